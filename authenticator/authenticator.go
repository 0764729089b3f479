package authenticator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
)

// Authenticator is one open security key. It must be closed.
//
// Its methods may be called concurrently; they run one after the other. While one runs, the callbacks of the UI may call
// Info, Key and the methods of what they are given, but no other method: that would wait for ever.
type Authenticator struct {
	key       hid.Info
	transport ctap2.Transport
	u2f       *ctap1.Client // nil unless the key speaks U2F only
	ui        UI

	life context.Context // done when the authenticator is closed
	end  context.CancelCauseFunc
	once sync.Once     // Close
	turn chan struct{} // holds a value while an operation runs, which owns the fields below

	agreement agreement
	kept      keptToken
	rejected  rejectedPINs
	stale     bool // the key may no longer be what info says

	infoMu sync.Mutex
	info   *ctap2.Info // guarded by infoMu; replaced, never changed
}

// Open opens a key that [hid.List] found. A key with nothing but its Path set will do.
func Open(ctx context.Context, key hid.Info, ui *UI) (*Authenticator, error) {
	dev, err := hid.Open(key.Path)
	if err != nil {
		return nil, fmt.Errorf("authenticator: %w", err)
	}
	channel, err := ctaphid.Open(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("authenticator: open %s: %w", key.Path, err)
	}
	return start(ctx, dev.Info(), channel, ui)
}

// New starts talking to the authenticator at the far end of transport: a *ctaphid.Channel or anything else that carries
// CTAP2 messages, and U2F messages if it is a [ctap1.Transport] as well. The Authenticator owns the transport from here
// on, and closes it if it is an [io.Closer], also when New returns an error.
//
// If the transport has a method Info() hid.Info, as [hid.Device] has, that is what Key returns and events name.
func New(ctx context.Context, transport ctap2.Transport, ui *UI) (*Authenticator, error) {
	var key hid.Info
	if named, ok := transport.(interface{ Info() hid.Info }); ok {
		key = named.Info()
	}
	return start(ctx, key, transport, ui)
}

func start(ctx context.Context, key hid.Info, transport ctap2.Transport, ui *UI) (*Authenticator, error) {
	a := &Authenticator{key: key, transport: transport, turn: make(chan struct{}, 1)}
	if ui != nil {
		a.ui = *ui
	}
	a.life, a.end = context.WithCancelCause(context.Background())
	if err := a.begins(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("authenticator: open %v: %w", key, err)
	}
	return a, nil
}

// begins asks the key what it is. One without CTAP2, or whose CTAP2 does not work, is used as a U2F key.
func (a *Authenticator) begins(ctx context.Context) error {
	_, tells := a.transport.(interface{ DeviceInfo() ctaphid.DeviceInfo })
	if tells && !a.has(ctaphid.CapabilityCBOR) {
		return a.startU2F(ctx)
	}
	err := a.refresh(ctx)
	if err != nil && a.mayBeU2F(err) && a.startU2F(ctx) == nil {
		return nil
	}
	return err
}

// refresh asks the key anew what it can do.
func (a *Authenticator) refresh(ctx context.Context) error {
	info, err := a.client(0).GetInfo(ctx)
	if err == nil {
		a.setInfo(info)
		a.stale = false
	}
	return err
}

// Info returns what the key says about itself: when it was opened, and again after what changes its settings. What a new
// resident credential changes, RemainingDiscoverableCredentials and EncCredStoreState, is as it was then. It must not be
// modified.
func (a *Authenticator) Info() *ctap2.Info {
	a.infoMu.Lock()
	defer a.infoMu.Unlock()
	return a.info
}

func (a *Authenticator) setInfo(info *ctap2.Info) {
	a.infoMu.Lock()
	defer a.infoMu.Unlock()
	a.info = info
}

// Key returns what the system says about the key. It is empty for one whose transport came without that: see [New].
func (a *Authenticator) Key() hid.Info { return a.key }

// Close ends a running operation with an error that wraps [fs.ErrClosed], forgets all secrets and closes the transport.
// Further calls do nothing.
func (a *Authenticator) Close() error {
	var err error
	a.once.Do(func() {
		a.end(fmt.Errorf("authenticator: %w", fs.ErrClosed))
		a.turn <- struct{}{} // wait for the running operation, and let no other begin
		a.agreement.forget()
		a.kept.forget()
		if c, ok := a.transport.(io.Closer); ok {
			err = c.Close()
		}
	})
	return err
}

// operation waits for the caller's turn. The returned context is done when ctx is or when the authenticator is closed;
// done ends the operation.
func (a *Authenticator) operation(ctx context.Context) (_ context.Context, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(a.life, func() { cancel(context.Cause(a.life)) })
	release := func() { stop(); cancel(nil) }
	if ctx.Err() == nil {
		select {
		case a.turn <- struct{}{}:
			return ctx, func() { <-a.turn; release() }, nil
		case <-ctx.Done():
		}
	}
	err = context.Cause(ctx)
	release()
	return nil, nil, err
}

// run runs an operation and gives its errors its name.
func (a *Authenticator) run(ctx context.Context, name string, operation func(context.Context) error) error {
	inTurn, done, err := a.operation(ctx)
	if err != nil {
		return wrap(ctx, name, err)
	}
	defer done()
	a.agreement.fresh = false
	if a.stale {
		err = a.refresh(inTurn)
	}
	if err == nil {
		err = operation(inTurn)
	}
	return wrap(inTurn, name, err)
}

// change runs a command that changes what the key says about itself. When the answer is lost nobody knows whether the key
// has changed, so the next operation asks.
func (a *Authenticator) change(command func() error) error {
	err := command()
	var answered ctap2.Status
	if err != nil && !errors.As(err, &answered) {
		a.stale = true
	}
	return err
}

// wrap adds the operation to an error, and to the cause of its context, which may be anything, that it was cancelled or
// out of time.
func wrap(ctx context.Context, name string, err error) error {
	if err == nil {
		return nil
	}
	if done := ctx.Err(); done != nil && errors.Is(err, context.Cause(ctx)) && !errors.Is(err, done) {
		err = fmt.Errorf("%w: %w", done, err)
	}
	return failedIn(name, err)
}

// failedIn adds the operation to an error. One that a ceremony is made of gives way to the ceremony.
func failedIn(name string, err error) error {
	if part, ok := err.(*operationError); ok {
		err = part.err
	}
	return &operationError{name, err}
}

// operationError is the error of a method of this package.
type operationError struct {
	name string
	err  error
}

func (e *operationError) Error() string { return "authenticator: " + e.name + ": " + e.err.Error() }

func (e *operationError) Unwrap() error { return e.err }

// Wink makes the key show itself, by a blinking light for example. Keys that cannot do that give an error that wraps
// [ErrUnsupported].
func (a *Authenticator) Wink(ctx context.Context) error {
	return a.run(ctx, "wink", func(ctx context.Context) error {
		w, ok := a.transport.(interface{ Wink(context.Context) error })
		if !ok {
			return fmt.Errorf("%w: no wink over this transport", ErrUnsupported)
		}
		err := w.Wink(ctx)
		if errors.Is(err, ctaphid.ErrInvalidCommand) {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return err
	})
}

// Ping sends data to the key and back, to test the connection. A key takes 7609 bytes at most over 64-byte reports.
func (a *Authenticator) Ping(ctx context.Context, data []byte) error {
	return a.run(ctx, "ping", func(ctx context.Context) error {
		p, ok := a.transport.(interface {
			Ping(context.Context, []byte) error
		})
		if !ok {
			return fmt.Errorf("%w: no ping over this transport", ErrUnsupported)
		}
		return p.Ping(ctx, data)
	})
}

// Reset destroys every credential, the PIN and every setting of the key, after a touch. Most USB keys refuse
// (ctap2.ErrNotAllowed) when more than ten seconds have passed since they were plugged in. A key whose Info says
// LongTouchForReset wants a touch of several seconds, and the event for the touch looks like any other: tell the user first.
func (a *Authenticator) Reset(ctx context.Context) error {
	return a.run(ctx, "reset", func(ctx context.Context) error {
		if a.u2f != nil {
			return fmt.Errorf("%w: U2F keys cannot be reset", ErrUnsupported)
		}
		if err := a.change(func() error { return a.client(TouchToReset).Reset(ctx) }); err != nil {
			return err
		}
		a.agreement.forget()
		a.kept.forget()
		a.rejected.forget()
		a.stale = true
		if err := a.refresh(ctx); err != nil {
			return fmt.Errorf("the key was reset, but does not say what it can do: %w", err)
		}
		return nil
	})
}

// Selection blinks and waits for a touch, which tells this key from others and authorizes nothing. It works on every
// key, also on those from before the command of that name.
func (a *Authenticator) Selection(ctx context.Context) error {
	return a.run(ctx, "selection", func(ctx context.Context) error { return a.blink(ctx, TouchToSelect) })
}

// blink waits for a touch that authorizes nothing.
func (a *Authenticator) blink(ctx context.Context, reason TouchReason) error {
	if a.u2f != nil {
		return a.u2fFor(reason).Touch(ctx)
	}
	client := a.client(reason)
	if a.Info().AtLeastCTAP21() {
		return client.Selection(ctx)
	}
	return selectionProbe(ctx, client)
}

// selectionProbe asks a CTAP 2.0 key for a touch: makeCredential with an empty pinUvAuthParam fails, but not before it
// was touched.
func selectionProbe(ctx context.Context, client *ctap2.Client) error {
	_, err := client.MakeCredential(ctx, &ctap2.MakeCredentialRequest{
		ClientDataHash:    make([]byte, hashSize),
		RP:                ctap2.RelyingParty{ID: ".dummy"},
		User:              ctap2.User{ID: []byte{1}, Name: "dummy"},
		PubKeyCredParams:  []ctap2.CredentialParameter{{Algorithm: -7, Type: ctap2.PublicKeyType}},
		PINUVAuthParam:    []byte{},
		PINUVAuthProtocol: ctap2.PINProtocol1,
	})
	for _, touched := range []error{ctap2.ErrPINNotSet, ctap2.ErrPINInvalid, ctap2.ErrPINAuthInvalid} {
		if errors.Is(err, touched) {
			return nil
		}
	}
	return err
}
