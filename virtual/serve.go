package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Serve is the key at the other end of a stream of reports, until the stream ends or ctx is done. Each Read of rw
// must return one report from a platform, and each Write takes one to it, 64 bytes without a report number; its
// Close must unblock both. Serve has closed rw when it returns: nil if Read said [io.EOF], the context's cause if
// ctx was done, or what went wrong. The key may serve several streams at once.
func (a *Authenticator) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	d := a.Device()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		<-ctx.Done()
		d.Close()
		rw.Close()
	})
	pumps.Go(func() { cancel(pump(rw, d)) })
	pumps.Go(func() { cancel(pump(d, rw)) })
	pumps.Wait()
	// The first cause counts: what comes after it is only the sound of things closing.
	if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
		return fmt.Errorf("virtual: serve: %w", err)
	}
	return nil
}

// pump moves reports until one side fails; it never returns nil.
func pump(to io.Writer, from io.Reader) error {
	var r [reportSize + 1]byte // a longer report than any is told by its last byte
	for {
		n, err := from.Read(r[:])
		if err != nil {
			return err
		}
		if _, err := to.Write(r[:n]); err != nil {
			return err
		}
	}
}
