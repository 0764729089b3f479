package ctaphid

import (
	"context"
	"io"
	"sync"
	"time"
)

// watch closes a device that takes no report. It looks from time to time, so that it costs nothing while all is well.
type watch struct {
	dev   io.Closer
	every time.Duration
	timer *time.Timer

	mu      sync.Mutex      // guards the fields below
	ctx     context.Context // of the message being sent, nil if none is
	until   time.Time       // so long it may take
	left    bool            // ctx was done when the watch last looked
	stalled bool            // the device was closed
}

func newWatch(dev io.Closer, every time.Duration) *watch {
	w := &watch{dev: dev, every: every}
	w.timer = time.AfterFunc(every, w.look)
	w.timer.Stop()
	return w
}

// begin starts to watch a message being sent, which may take the given time, but not much of it once ctx is done.
func (w *watch) begin(ctx context.Context, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx, w.until, w.left = ctx, time.Now().Add(limit), false
	w.timer.Reset(min(w.every, limit))
}

// end stops watching, and reports whether the device was closed.
func (w *watch) end() (stalled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx = nil
	w.timer.Stop()
	return w.stalled
}

func (w *watch) look() {
	if w.gaveUp() {
		w.dev.Close()
	}
}

func (w *watch) gaveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.left
	switch {
	case w.ctx == nil:
		return false
	case left || !time.Now().Before(w.until):
		w.stalled = true
		return true
	}
	w.left = w.ctx.Err() != nil
	w.timer.Reset(min(w.every, time.Until(w.until)))
	return false
}
