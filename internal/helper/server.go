package helper

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// Server does what a parent asks for. The zero value works with every key of the system, for every origin.
type Server struct {
	Client  authenticator.Client       // where the keys come from; UI and TopOrigin are set for each request
	List    func() ([]hid.Info, error) // what "list" shows; nil means [hid.List]
	Origins []string                   // which may ask, as [webauthn.CanonicalOrigin] returns them; none means all
	Log     *slog.Logger               // gets what happens, but neither who nor where; nil means nobody does
	Version string                     // of the program, for the first message
}

// Serve serves one parent until it closes its end, which is no error, or ctx is done. A request that runs then is
// cancelled, and the keys are released before Serve returns. An error of a message goes to the parent; only what ends
// the conversation is returned.
//
// A parent that does not read for 10 seconds counts as gone. A Read or Write that it keeps waiting is left behind: the
// caller should close in and out, or end the process.
func (s *Server) Serve(ctx context.Context, f Framing, in io.Reader, out io.Writer) error {
	x := &session{Server: s, box: newOutbox(f, out), log: s.Log, ended: make(chan outcome)}
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(x.box.lost, func() { cancel(context.Cause(x.box.lost)) })
	defer stop()
	x.box.send(hello{Type: "hello", Protocol: protocolVersion, Version: s.Version})
	x.keys = newRoster(ctx, s.Client.Watch)
	err := x.converse(ctx, receive(ctx, f, in))
	x.abandon()
	x.keys.end()
	x.log.Info("end", "requests", x.requests)
	if lost := x.box.close(); err == nil {
		err = lost
	}
	return err
}

const protocolVersion = 1

type hello struct {
	Type     string `json:"type"`
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
}

// received is a message, or why there is none.
type received struct {
	b   []byte
	err error
}

// receive reads messages until there are no more, or it cannot tell where the next one begins.
func receive(ctx context.Context, f Framing, in io.Reader) <-chan received {
	messages := make(chan received)
	go func() {
		defer close(messages)
		r := bufio.NewReader(in)
		for more := true; more; {
			b, err := f.read(r)
			if err == io.EOF {
				return
			}
			var passing *refusal
			if more = err == nil || errors.As(err, &passing); !more {
				err = badMessage("%w", err)
			}
			select {
			case messages <- received{b, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return messages
}
