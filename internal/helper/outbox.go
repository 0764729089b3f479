package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// patience is how long the parent may take to read a message before it counts as gone. A parent that was stopped, or
// whose own pipe is full, must not keep a key.
const patience = 10 * time.Second

var errStalled = errors.New("helper: the parent does not read what it is told")

// outbox writes messages, one at a time, on a goroutine of its own.
type outbox struct {
	framing Framing
	w       io.Writer
	queue   chan []byte
	flushed chan struct{}   // closed when everything is written
	lost    context.Context // done when nothing can be written any more; its cause says why
	lose    context.CancelCauseFunc
}

func newOutbox(f Framing, w io.Writer) *outbox {
	o := &outbox{framing: f, w: w, queue: make(chan []byte), flushed: make(chan struct{})}
	o.lost, o.lose = context.WithCancelCause(context.Background())
	go o.run()
	return o
}

// run is left behind in a write that the parent never takes, until the writer is closed or the process ends.
func (o *outbox) run() {
	for b := range o.queue {
		late := time.AfterFunc(patience, func() { o.lose(errStalled) })
		_, err := o.w.Write(b)
		late.Stop()
		if err != nil {
			o.lose(fmt.Errorf("helper: %w", err))
		}
		if o.lost.Err() != nil {
			return
		}
	}
	close(o.flushed)
}

// send waits for its turn. It does nothing when the parent is lost; the error is about the message. It may be called
// concurrently, but not after close.
func (o *outbox) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return &refusal{name: unknownError, code: codeInternal, hint: "repeat the request", err: err}
	}
	if len(b) > MaxMessage {
		return tooLarge("an answer")
	}
	select {
	case o.queue <- o.framing.encode(b):
	case <-o.lost.Done():
	}
	return nil
}

// close waits until everything is written, or cannot be, which is the error.
func (o *outbox) close() error {
	close(o.queue)
	select {
	case <-o.flushed:
		return nil
	case <-o.lost.Done():
		return context.Cause(o.lost)
	}
}
