package authenticator

import (
	"context"
	"sync"
)

// bulletin hands events to a callback of the user's, one at a time, on a goroutine of its own: whoever posts one, perhaps
// on the way to cancel a key, never waits for the callback.
type bulletin struct {
	notify func(Event)
	done   sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	posted sync.Cond
	queue  []Event
	idle   signal // on while everything is delivered
	closed bool
}

// newBulletin returns a bulletin for notify, which may be nil. It must be closed.
func newBulletin(notify func(Event)) *bulletin {
	b := &bulletin{notify: notify}
	b.posted.L = &b.mu
	b.idle.set(true)
	if notify != nil {
		b.done.Go(b.deliver)
	}
	return b
}

// post queues an event. While the callback is slow, what a key wanted earlier gives way to what it wants now, so no key
// can make the queue long.
func (b *bulletin) post(e Event) {
	if b.notify == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Kind.passes() {
		for i, old := range b.queue {
			if old.Kind.passes() && old.Key.Path == e.Key.Path {
				b.queue = append(b.queue[:i], b.queue[i+1:]...)
				break
			}
		}
	}
	b.queue = append(b.queue, e)
	b.idle.set(false)
	b.posted.Signal()
}

// flush waits until everything is delivered, or ctx is done.
func (b *bulletin) flush(ctx context.Context) {
	b.mu.Lock()
	idle := b.idle.on()
	b.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// close delivers what was posted, and returns when the callback will not run again.
func (b *bulletin) close() {
	b.mu.Lock()
	b.closed = true
	b.posted.Signal()
	b.mu.Unlock()
	b.done.Wait()
}

func (b *bulletin) deliver() {
	for {
		e, ok := b.next()
		if !ok {
			return
		}
		b.notify(e)
	}
}

func (b *bulletin) next() (e Event, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 {
		b.idle.set(true)
		if b.closed {
			return e, false
		}
		b.posted.Wait()
	}
	e, b.queue = b.queue[0], b.queue[1:]
	return e, true
}
