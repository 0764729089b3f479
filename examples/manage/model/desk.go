// Package model manages security keys, without a screen: what a program shows is its State, what its user does are the
// methods of a Desk. It knows nothing of terminals and can stand behind a window as well.
//
//	desk := model.New(model.Source{})
//	go desk.Run(ctx)
//	for range desk.Changes() {
//		show(desk.State()) // and ask what it asks: desk.Answer
//	}
//
// The code that talks to keys is in the files passkeys.go, fingerprints.go, pin.go, settings.go and reset.go.
package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctaphid"
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
	gone   bool                    // the open key was pulled
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

// task is what a command does.
type task struct {
	name string
	done string // what to say when it is done; empty: nothing
	run  func(ctx context.Context) error
}

// start begins a task, unless there is one.
func (d *Desk) start(t task) {
	d.update(func(s *State) {
		if s.Task == nil && !d.ended {
			s.Task, s.Notice = &Task{Name: t.name}, nil
			d.tasks <- t
		}
	})
}

// manage begins a task with the open key.
func (d *Desk) manage(t task) {
	run := t.run
	t.run = func(ctx context.Context) error {
		if d.key == nil {
			return hid.ErrRemoved
		}
		return run(ctx)
	}
	d.start(t)
}

// Cancel ends the task, also on the key.
func (d *Desk) Cancel() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel(errors.Join(errDeclined, context.Canceled))
	}
}

// Dismiss takes the notice away.
func (d *Desk) Dismiss() { d.update(func(s *State) { s.Notice = nil }) }

// work does one task after the other until ctx is done.
func (d *Desk) work(ctx context.Context) {
	defer d.close()
	for {
		select {
		case t := <-d.tasks:
			d.do(ctx, t)
		case <-d.pulled:
			d.leaveIfGone()
		case <-ctx.Done():
			return
		}
	}
}

func (d *Desk) do(ctx context.Context, t task) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.update(func(*State) { d.cancel = cancel })
	err := t.run(ctx)
	if stale := d.refresh(ctx); err == nil {
		err = stale
	}
	d.update(func(s *State) {
		d.cancel = nil
		s.Task = nil
		switch {
		case err != nil:
			s.Notice = failure(err)
		case t.done != "":
			s.Notice = &Notice{Text: t.done}
		}
	})
	d.leaveIfGone()
}

// leaveIfGone closes the open key if it was pulled.
func (d *Desk) leaveIfGone() {
	d.mu.Lock()
	gone := d.gone
	d.gone = false
	d.mu.Unlock()
	if !gone {
		return
	}
	name := d.keyName()
	d.close()
	d.update(func(s *State) { s.Notice = &Notice{Text: name + " was unplugged.", Failed: true} })
}

func (d *Desk) close() {
	if d.key != nil {
		d.key.Close()
		d.key = nil
	}
	d.update(func(s *State) { s.Open = nil })
}

// Enter opens a key to manage it. Other programs may have to wait meanwhile.
func (d *Desk) Enter(key hid.Info) {
	d.start(task{name: "Opening " + keyName(key), run: func(ctx context.Context) error { return d.open(ctx, key) }})
}

// Leave closes the key.
func (d *Desk) Leave() {
	d.start(task{name: "Closing the key", run: func(context.Context) error {
		d.close()
		return nil
	}})
}

// Identify makes a key show itself, by a blinking light for example: the open one, or if there is none, the one given.
func (d *Desk) Identify(key hid.Info) {
	d.start(task{name: "Identifying the key", done: "The key shows itself.", run: func(ctx context.Context) error {
		if d.key != nil {
			return d.key.Wink(ctx)
		}
		a, err := d.dial(ctx, key)
		if err != nil {
			return err
		}
		defer a.Close()
		return a.Wink(ctx)
	}})
}

func (d *Desk) open(ctx context.Context, key hid.Info) error {
	d.close()
	a, err := d.dial(ctx, key)
	if err != nil {
		return err
	}
	d.key = a
	d.update(func(s *State) {
		s.Open = &Open{Key: key, Info: a.Info(), PINRetries: -1}
		if !slices.ContainsFunc(s.Keys, func(k hid.Info) bool { return k.Path == key.Path }) {
			d.openIsGone()
		}
	})
	return nil
}

func (d *Desk) dial(ctx context.Context, key hid.Info) (*authenticator.Authenticator, error) {
	if key.Err != nil {
		return nil, key.Err
	}
	device, err := d.source.Open(key.Path)
	if err != nil {
		return nil, err
	}
	channel, err := ctaphid.Open(ctx, device)
	if err != nil {
		return nil, err
	}
	return authenticator.New(ctx, named{channel, key}, &authenticator.UI{
		PIN: d.askPIN, NewPIN: d.askNewPIN, Notify: d.notify,
	})
}

// named is a channel to a key that knows which it is.
type named struct {
	*ctaphid.Channel
	key hid.Info
}

// Info returns which key it is.
func (n named) Info() hid.Info { return n.key }

// keyName names the open key.
func (d *Desk) keyName() string {
	s := d.State()
	return s.NameOf(d.key.Key())
}

const refreshTimeout = time.Second

// refresh brings what is known of the open key up to date after a task, also one that was cancelled.
func (d *Desk) refresh(ctx context.Context) error {
	if d.key == nil || errors.Is(context.Cause(ctx), hid.ErrRemoved) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	info := d.key.Info()
	set, _ := info.Option("clientPin")
	left, locked := -1, false
	if set {
		var err error
		if left, locked, err = d.key.PINRetries(ctx); err != nil {
			return err
		}
	}
	d.updateOpen(func(o *Open) { o.Info, o.PINSet, o.PINRetries, o.PINLocked = info, set, left, locked })
	return nil
}

// notify tells the user what the key wants.
func (d *Desk) notify(e authenticator.Event) {
	d.updateTask(func(t *Task) {
		switch e.Kind {
		case authenticator.EventTouch:
			t.Touch = touches[e.Touch]
		case authenticator.EventProcessing:
			t.Touch = ""
		case authenticator.EventUVFailed:
			t.Progress = "The key did not recognize you."
			if e.UVRetries >= 0 {
				t.Progress = fmt.Sprintf("The key did not recognize you (%s left).", retries(e.UVRetries))
			}
		}
	})
}

var touches = map[authenticator.TouchReason]string{
	authenticator.TouchToVerify: "prove who you are",
	authenticator.TouchToSelect: "choose the key",
	authenticator.TouchToReset:  "reset it",
	authenticator.TouchToEnroll: "teach it your finger",
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}
