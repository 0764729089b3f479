package helper

import (
	"context"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/hid"
)

// linger is how long the keys are watched on after a request, for the next one. Where the system tells nothing of its own
// accord, a watch looks every second, which must not go on for ever.
const linger = time.Minute

// roster keeps one watch for several requests: to begin one, which lists and describes all keys, takes a fifth of what a
// ceremony takes. One request at a time may use it.
type roster struct {
	begin func() (present []hid.Info, events <-chan hid.Event, stop func(), err error)
	joins chan *subscriber
	done  chan struct{} // closed when the watch is over; nil if there was none yet
	stop  func()
}

// subscriber is a request that watches.
type subscriber struct {
	left    <-chan struct{} // closed when it does no longer
	present chan []hid.Info
	events  chan hid.Event
}

// newRoster returns one whose watches end with ctx at the latest.
func newRoster(
	ctx context.Context, watch func(context.Context) ([]hid.Info, <-chan hid.Event, error),
) *roster {
	if watch == nil {
		watch = hid.Watch
	}
	return &roster{joins: make(chan *subscriber), begin: func() ([]hid.Info, <-chan hid.Event, func(), error) {
		ctx, cancel := context.WithCancel(ctx)
		present, events, err := watch(ctx)
		if err != nil {
			cancel()
		}
		return present, events, cancel, err
	}}
}

// watch is [hid.Watch], over the watch that runs already if there is one.
func (r *roster) watch(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error) {
	s := &subscriber{left: ctx.Done(), present: make(chan []hid.Info, 1), events: make(chan hid.Event)}
	for {
		if err := r.ensure(); err != nil {
			return nil, nil, err
		}
		select {
		case r.joins <- s:
			return <-s.present, s.events, nil
		case <-r.done: // at this moment; the next one will take it
		}
	}
}

// ensure begins a watch unless one runs.
func (r *roster) ensure() error {
	if r.done != nil {
		select {
		case <-r.done:
		default:
			return nil
		}
	}
	present, events, stop, err := r.begin()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	r.done, r.stop = done, stop
	go func() {
		defer close(done)
		r.run(present, events)
		stop()
		for range events { // until nothing of the watch is left
		}
	}()
	return nil
}

// end ends the watch, if one runs, and waits for that.
func (r *roster) end() {
	if r.done != nil {
		r.stop()
		<-r.done
	}
}

// run follows the keys, and tells whoever has joined, until nobody has for a while.
func (r *roster) run(present []hid.Info, events <-chan hid.Event) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			present = follow(present, e)
		case s := <-r.joins:
			s.present <- slices.Clone(present)
			present = s.serve(present, events)
		case <-time.After(linger):
			return
		}
	}
}

// serve tells a request what happens, until it does not want to know any more, and returns which keys there are then. It
// has no queue: what it has not taken yet, the watch keeps.
func (s *subscriber) serve(present []hid.Info, events <-chan hid.Event) []hid.Info {
	defer close(s.events)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return present
			}
			present = follow(present, e)
			select {
			case s.events <- e:
			case <-s.left:
				return present
			}
		case <-s.left:
			return present
		}
	}
}

// follow returns the keys that are there after an event.
func follow(present []hid.Info, e hid.Event) []hid.Info {
	present = slices.DeleteFunc(present, func(k hid.Info) bool { return k.Path == e.Info.Path })
	if e.Kind != hid.Removed {
		present = append(present, e.Info)
	}
	return present
}
