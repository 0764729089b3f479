package authenticator

import (
	"context"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
)

// UI is how an [Authenticator] talks to the user. Each callback may be nil, and runs on the goroutine of the method that
// needs it.
type UI struct {
	// PIN asks for the key's PIN and returns it in UTF-8; the library takes the slice over and clears it. The context is
	// the operation's: the question must go away when it is done. An error ends the operation and is returned by it.
	// Without this callback whatever needs a PIN fails with [ErrPINRequired].
	PIN func(ctx context.Context, req *PINRequest) ([]byte, error)

	// Notify tells what happens. It must return at once: the key waits meanwhile.
	Notify func(Event)
}

// PINRequest says why a PIN is asked for.
type PINRequest struct {
	Key       hid.Info
	Reason    PINReason
	MinLength int // in characters (Unicode code points)

	authenticator *Authenticator
	known         *retries // nil: the key was not asked yet
}

// PINReason is why a PIN is asked for.
type PINReason int

// The reasons.
const (
	PINNeeded   PINReason = iota // the key wants it
	PINInvalid                   // the key rejected the one before, which cost a retry
	PINRepeated                  // the key rejected this one earlier, so it was not sent again
	PINTooShort                  // the one before cannot be a PIN; it was not sent
	PINTooLong
)

type retries struct {
	left       int
	powerCycle bool
}

// Retries returns how many wrong PINs the key still accepts before it blocks. It asks the key if it was not asked since
// the last wrong PIN; that costs no retry.
func (r *PINRequest) Retries(ctx context.Context) (int, error) {
	if r.known == nil {
		known, err := r.authenticator.pinRetries(ctx)
		if err != nil {
			return 0, err
		}
		r.known = &known
	}
	return r.known.left, nil
}

// Event is something that the user should be told.
type Event struct {
	Kind  EventKind
	Key   hid.Info
	Touch TouchReason // why the key wants, or wanted, to be touched
}

// EventKind is the kind of an event.
type EventKind int

// The kinds.
const (
	// EventTouch: the key waits for a touch, from this moment on. It comes exactly when the key says so.
	EventTouch EventKind = iota + 1
	// EventProcessing: the key waits no longer and is busy.
	EventProcessing
)

// TouchReason is what a touch will mean.
type TouchReason int

// The reasons.
const (
	TouchToRegister     TouchReason = iota + 1 // create a credential
	TouchToAuthenticate                        // use a credential
	TouchToVerify                              // prove who you are, by a fingerprint or a PIN on the key itself
	TouchToSelect                              // choose this key
	TouchToReset                               // destroy everything on the key
)

// String returns what the touch does: "register", "reset".
func (r TouchReason) String() string {
	switch r {
	case TouchToRegister:
		return "register"
	case TouchToAuthenticate:
		return "authenticate"
	case TouchToVerify:
		return "verify"
	case TouchToSelect:
		return "select"
	case TouchToReset:
		return "reset"
	}
	return "unknown"
}

// client returns a client whose keepalives become events.
func (a *Authenticator) client(reason TouchReason) *ctap2.Client {
	return &ctap2.Client{Transport: a.transport, Keepalive: a.keepalive(reason)}
}

// keepalive returns the callback that turns changes of the key's status into events, nil if nobody wants them.
func (a *Authenticator) keepalive(reason TouchReason) func(status byte) {
	if a.ui.Notify == nil {
		return nil
	}
	var last byte
	return func(status byte) {
		if status == last {
			return
		}
		switch {
		case status == ctaphid.KeepaliveUPNeeded:
			a.ui.Notify(Event{Kind: EventTouch, Key: a.key, Touch: reason})
		case status == ctaphid.KeepaliveProcessing && last == ctaphid.KeepaliveUPNeeded:
			a.ui.Notify(Event{Kind: EventProcessing, Key: a.key, Touch: reason})
		}
		last = status
	}
}
