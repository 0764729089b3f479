package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// player plays one key's part in a ceremony. Its methods run on its own goroutine.
type player[T any] struct {
	c      *ceremony[T]
	key    hid.Info
	ctx    context.Context
	cancel context.CancelCauseFunc

	device  *Authenticator
	kept    bool   // device goes on to the caller
	waiting bool   // the key says that it waits for a touch
	pin     []byte // that the user gave, for the case that the key wants it again
}

// play opens the key and works with it until the ceremony or the key's part in it is over.
func (p *player[T]) play() {
	defer p.cancel(nil)
	device, err := p.c.client.open(p.ctx, p.key, p.ui())
	if err != nil {
		p.c.drop(p, err)
		return
	}
	defer func() {
		clear(p.pin)
		if !p.kept {
			device.Close()
		}
	}()
	p.device = device
	p.attempts()
}

// attempts does the work until it ends in one way or another.
func (p *player[T]) attempts() {
	for {
		begin := time.Now()
		result, err := p.c.work(p.ctx, p)
		p.judge(err)
		chosen := p.c.isChosen(p)
		switch {
		case p.ctx.Err() != nil && !chosen: // somebody else knows why
		case err == nil, chosen:
			p.c.end(p, result, err)
		case gaveUp(err, begin):
			continue
		case explains(err):
			p.explain(err)
		default:
			p.c.drop(p, err)
		}
		return
	}
}

// judge finds out whether the user has touched the key: it answered, after it had waited for a touch, and not because
// nobody came. If it then wants a PIN that nobody can be asked for, it has answered as well.
func (p *player[T]) judge(err error) {
	if p.waiting && answered(err) && !nobodyCame(err) && !errors.Is(err, ctap2.ErrKeepaliveCancel) {
		p.touch()
	}
	p.waiting = false
}

func answered(err error) bool {
	var status ctap2.Status
	return err == nil || errors.As(err, &status) || errors.Is(err, ErrInvalidResponse) ||
		errors.Is(err, ctap2.ErrInvalidResponse) || errors.Is(err, ErrPINRequired)
}

// touch notes that the user has touched the key, which makes it the chosen one unless another was faster.
func (p *player[T]) touch() bool {
	p.waiting = false
	if !p.c.choose(p, true) {
		return false
	}
	p.c.news.post(Event{Kind: EventTouched, Key: p.key})
	return true
}

// again says that the work may be tried again, in another way, after a failure: not if the user touched this key and has
// chosen another.
func (p *player[T]) again() bool {
	return !p.waiting || p.touch()
}

func nobodyCame(err error) bool {
	return isAny(err, ctap2.ErrUserActionTimeout, ctap2.ErrActionTimeout) || errors.Is(err, ctap1.ErrConditionsNotSatisfied)
}

// gaveUp says that the key waited long enough for a touch, and can be asked again. A key that says so at once would be
// asked for ever.
func gaveUp(err error, begin time.Time) bool {
	return nobodyCame(err) && time.Since(begin) >= time.Second
}

// explains says that the key is as good as any but cannot serve the request, which its user may not know.
func explains(err error) bool {
	switch KindOf(err) {
	case KindUnsupported, KindNoMatch, KindExcluded, KindPINNotSet, KindPINRequired, KindPINPolicy, KindUVFailed,
		KindStoreFull:
		return true
	}
	return false
}

// explain has the key blink as if it could serve the request. When the user has touched it, the ceremony ends with why it
// cannot. A PIN that nobody can be asked for is no reason to wait if there is no other key.
func (p *player[T]) explain(why error) {
	if KindOf(why) != KindPINRequired || !p.c.choose(p, false) {
		if err := p.awaitTouch(p.ctx); err != nil {
			p.c.drop(p, fmt.Errorf("%w; %w", why, err))
			return
		}
	}
	var none T
	p.c.end(p, none, why)
}

// awaitTouch has the key blink until it is touched.
func (p *player[T]) awaitTouch(ctx context.Context) error {
	for {
		begin := time.Now()
		err := p.device.blink(ctx, TouchToSelect)
		if err == nil {
			p.touch()
			return nil
		}
		if !gaveUp(err, begin) {
			return err
		}
	}
}

// ui returns the callbacks for the operations on this key: those of the client, once the user has chosen the key.
func (p *player[T]) ui() *UI {
	ui := &UI{Notify: p.notify}
	if p.c.client.ui().PIN != nil {
		ui.PIN = p.askPIN
	}
	if p.c.client.ui().NewPIN != nil {
		ui.NewPIN = p.askNewPIN
	}
	return ui
}

func (p *player[T]) notify(e Event) {
	if e.Kind == EventProgress { // of a large blob, which no user of a ceremony knows of
		return
	}
	p.waiting = p.waiting || e.Kind == EventTouch
	p.c.news.post(e)
}

// askPIN asks the user for the PIN of the chosen key, but not for one that the key has accepted already.
func (p *player[T]) askPIN(ctx context.Context, req *PINRequest) ([]byte, error) {
	if err := p.become(ctx); err != nil {
		return nil, err
	}
	if req.Reason == PINNeeded && p.pin != nil {
		return bytes.Clone(p.pin), nil
	}
	pin, err := p.c.client.ui().PIN(ctx, req)
	p.remember(pin)
	return pin, err
}

// askNewPIN asks the user for a new PIN of the chosen key.
func (p *player[T]) askNewPIN(ctx context.Context, req *NewPINRequest) ([]byte, error) {
	if err := p.become(ctx); err != nil {
		return nil, err
	}
	pin, err := p.c.client.ui().NewPIN(ctx, req)
	p.remember(pin)
	return pin, err
}

func (p *player[T]) remember(pin []byte) {
	clear(p.pin)
	p.pin = bytes.Clone(pin)
}

// become returns when this is the chosen key: by a touch, or because it is the only one.
func (p *player[T]) become(ctx context.Context) error {
	if p.waiting { // for a finger, and it was the wrong one
		p.touch()
	}
	for !p.c.choose(p, false) {
		if err := p.becomeByTouch(ctx); err != nil {
			return err
		}
	}
	p.c.news.flush(ctx) // the question that follows must not overtake what led to it
	return nil
}

var errAlone = errors.New("authenticator: no other key is left")

func (p *player[T]) becomeByTouch(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := p.c.whenAlone(func() { cancel(errAlone) })
	defer stop()
	err := p.awaitTouch(ctx)
	if errors.Is(err, errAlone) {
		return nil
	}
	return err
}
