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
	// the operation's: the question must go away when it is done. An error, such as [context.Canceled] if the user gave
	// up, ends the operation and is returned by it. Without this callback whatever needs a PIN fails with
	// [ErrPINRequired].
	PIN func(ctx context.Context, req *PINRequest) ([]byte, error)

	// NewPIN asks for a new PIN, when the user must be verified and the key has no PIN yet, or when the key wants its PIN
	// changed before it goes on. What holds for PIN holds here. Without this callback the operation fails, with
	// [ErrUVNotConfigured] or an error that wraps ctap2.ErrPINPolicyViolation.
	NewPIN func(ctx context.Context, req *NewPINRequest) ([]byte, error)

	// ChooseAccount asks which of several accounts to use and returns its index. Only ceremonies of a [Client] ask, and
	// without the callback they use the newest.
	ChooseAccount func(ctx context.Context, req *AccountRequest) (int, error)

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
	PINInsteadOfUV // the key wants it since it could not verify the user itself
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

// client returns a client whose keepalives become events.
func (a *Authenticator) client(reason TouchReason) *ctap2.Client {
	return &ctap2.Client{Transport: a.transport, Keepalive: a.keepalive(reason)}
}

// progress tells how far the key is. A key may do more than it said there would be.
func (a *Authenticator) progress(done, total int) {
	if a.ui.Notify != nil {
		a.ui.Notify(Event{Kind: EventProgress, Key: a.key, Done: done, Total: max(done, total)})
	}
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
