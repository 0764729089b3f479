package model

import (
	"context"
	"errors"

	"github.com/keyfob-go/keyfob/hid"
)

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
	d.update(func(s *State) { s.Open, d.gone = nil, false }) // it may have been pulled meanwhile
}
