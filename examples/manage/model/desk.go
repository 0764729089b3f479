// Package model manages security keys, without a screen: what a program shows is its State, what its user does are the
// methods of a Desk. It knows nothing of terminals and can stand behind a window as well.
//
//	desk := model.New(model.Source{})
//	go desk.Run(ctx)
//	for range desk.Changes() {
//		show(desk.State()) // and ask what it asks: desk.Answer
//	}
//
// The code that talks to keys is in the files passkeys.go, fingerprints.go, pin.go, settings.go, reset.go and key.go.
package model

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// Source is where keys come from. The zero value is the system: see authenticator.Client.
type Source struct {
	Watch func(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error)
	Open  func(path string) (io.ReadWriteCloser, error)
}

// Desk is where the user's keys lie and one of them is managed at a time. Its methods may be called concurrently and never
// block, save Run. Commands start a task; while there is one they do nothing.
type Desk struct {
	source  Source
	tasks   chan task     // has room for the one that there may be
	pulled  chan struct{} // gets a value when the open key is gone
	changes chan struct{}

	mu     sync.Mutex // guards the fields below
	state  State
	ended  bool
	gone   bool                    // the open key was pulled, and is still to be closed
	reply  chan<- []byte           // to the question
	cancel context.CancelCauseFunc // ends the task; nil while there is none
	replug chan hid.Info           // gets the keys that are plugged in while a task waits for one; else nil

	key *authenticator.Authenticator // the open key; only the goroutine of work uses it
}

// New returns a desk with the keys of a source, for Run.
func New(source Source) *Desk {
	if source.Watch == nil {
		source.Watch = hid.Watch
	}
	if source.Open == nil {
		source.Open = func(path string) (io.ReadWriteCloser, error) { return hid.Open(path) }
	}
	return &Desk{
		source: source,
		tasks:  make(chan task, 1), pulled: make(chan struct{}, 1), changes: make(chan struct{}, 1),
	}
}

// Run does the work until ctx is done, whose cause it returns, or the source fails. Then the key that was open is closed
// and blinks no longer. It must be called once.
func (d *Desk) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer d.end()
	present, events, err := d.source.Watch(ctx)
	if err != nil {
		stop()
		return err
	}
	d.update(func(s *State) { s.Keys = present })
	var worker sync.WaitGroup
	worker.Go(func() { d.work(ctx) })
	for e := range events { // until ctx is done
		d.happen(e)
	}
	stop()
	worker.Wait()
	return context.Cause(ctx)
}

func (d *Desk) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	close(d.changes)
}

// State returns what there is to show.
func (d *Desk) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// Changes returns the channel that gets a value when the State has changed, once or more often. It is closed when Run
// returns.
func (d *Desk) Changes() <-chan struct{} { return d.changes }

func (d *Desk) update(change func(s *State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.state)
	if d.ended {
		return
	}
	select {
	case d.changes <- struct{}{}:
	default:
	}
}

// updateOpen changes a copy of what is known of the open key.
func (d *Desk) updateOpen(change func(o *Open)) {
	d.update(func(s *State) {
		if s.Open != nil {
			o := *s.Open
			change(&o)
			s.Open = &o
		}
	})
}

func (d *Desk) updateTask(change func(t *Task)) {
	d.update(func(s *State) {
		if s.Task != nil {
			t := *s.Task
			change(&t)
			s.Task = &t
		}
	})
}

// happen takes note of a key that came, changed or went.
func (d *Desk) happen(e hid.Event) {
	d.update(func(s *State) {
		i := slices.IndexFunc(s.Keys, func(k hid.Info) bool { return k.Path == e.Info.Path })
		s.Keys = slices.Clone(s.Keys)
		switch {
		case e.Kind == hid.Removed && i >= 0:
			s.Keys = slices.Delete(s.Keys, i, i+1)
			if s.Open != nil && s.Open.Key.Path == e.Info.Path {
				d.openIsGone()
			}
		case e.Kind != hid.Removed && i >= 0:
			s.Keys[i] = e.Info
		case e.Kind != hid.Removed:
			s.Keys = append(s.Keys, e.Info)
		}
		if e.Kind != hid.Removed && e.Info.Err == nil && d.replug != nil {
			select {
			case d.replug <- e.Info:
			default: // there is one already
			}
		}
	})
}

// openIsGone ends what is done with the open key, with mu held.
func (d *Desk) openIsGone() {
	d.gone = true
	if d.cancel != nil {
		d.cancel(hid.ErrRemoved)
	}
	select {
	case d.pulled <- struct{}{}:
	default:
	}
}
