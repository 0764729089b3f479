package virtual

import (
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/ctaphid"
)

// exchange is a message from a platform with all that answers it. The bus's mutex guards it.
type exchange struct {
	number  int
	command ctaphid.Command
	reports int    // that the key has made for it
	ended   bool   // drops the rest
	steps   []step // that have to wait; in order, so while there are any the next reports wait too
	timer   *time.Timer
}

// step is one thing that a fault does.
type step struct {
	data    []byte
	wait    time.Duration // before what comes next, or between two repetitions
	endless bool          // until the next message; without data nothing but waiting
	unplug  bool
}

func (b *bus) newExchange(cmd ctaphid.Command) *exchange {
	x := &exchange{number: b.exchanges, command: cmd}
	b.exchanges++
	return x
}

// post sends one report, or what the fault makes of it.
func (b *bus) post(x *exchange, data []byte) {
	fault := b.key.config.Faults.Report
	if fault == nil {
		b.broadcast(data)
		return
	}
	if x.ended {
		return
	}
	r := &Report{Transaction: x.number, Request: x.command, Index: x.reports, Data: data}
	x.reports++
	fault(r)
	x.ended = r.ended
	waiting := len(x.steps) > 0
	x.steps = append(x.steps, r.steps...)
	if !waiting {
		b.advance(x)
	}
}

// advance does the steps up to one that takes time.
func (b *bus) advance(x *exchange) {
	for len(x.steps) > 0 && !b.closed {
		s := x.steps[0]
		if s.data != nil {
			b.broadcast(s.data)
		}
		if s.unplug {
			b.unplug()
			return
		}
		if s.wait > 0 || s.endless {
			b.pause(x, s)
			return
		}
		x.steps = x.steps[1:]
	}
	b.forget(x)
}

// pause waits with the rest of x.
func (b *bus) pause(x *exchange, s step) {
	if !slices.Contains(b.paused, x) {
		b.paused = append(b.paused, x)
	}
	if s.wait == 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(s.wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if x.timer != timer {
			return // stopped too late
		}
		if !s.endless {
			x.steps = x.steps[1:]
		}
		b.advance(x)
	})
	x.timer = timer
}

// resume goes on with what waited for a message.
func (b *bus) resume() {
	for _, x := range slices.Clone(b.paused) {
		if len(x.steps) > 0 && x.steps[0].endless { // none when the one before has pulled the key
			x.stop()
			x.steps = x.steps[1:]
			b.advance(x)
		}
	}
}

func (b *bus) forget(x *exchange) {
	x.stop()
	b.paused = slices.DeleteFunc(b.paused, func(other *exchange) bool { return other == x })
}

// forgetAll drops what waits.
func (b *bus) forgetAll() {
	for _, x := range b.paused {
		x.stop()
		x.steps = nil
	}
	b.paused = nil
}

func (x *exchange) stop() {
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
}
