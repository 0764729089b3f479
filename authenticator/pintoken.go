package authenticator

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// pinToken asks for the PIN and exchanges it for a token. If the key wants another PIN before it does anything else, the
// user changes it on the way.
func (a *Authenticator) pinToken(ctx context.Context, u use) (token *ctap2.Token, err error) {
	if a.Info().ForcePINChange {
		pin, err := a.forcedPIN(ctx, u.reason)
		if err != nil {
			return nil, err
		}
		defer clear(pin)
		return a.exchangePIN(ctx, u, pin)
	}
	err = a.withPIN(ctx, u.reason, func(pin []byte) error {
		token, err = a.exchangePIN(ctx, u, pin)
		return err
	})
	return token, err
}

// firstPINToken has the user set a PIN, on a key that has none, and exchanges that for a token.
func (a *Authenticator) firstPINToken(ctx context.Context, u use) (*ctap2.Token, error) {
	if a.ui.NewPIN == nil {
		return nil, ErrUVNotConfigured
	}
	pin, err := a.choosePIN(ctx, NewPINNotSet, func(pin []byte) error { return a.setPIN(ctx, pin) })
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	return a.exchangePIN(ctx, u, pin)
}

// forcedPIN has the user change the PIN, and returns the new one for the caller to clear.
func (a *Authenticator) forcedPIN(ctx context.Context, reason PINReason) (pin []byte, err error) {
	if a.ui.NewPIN == nil {
		return nil, fmt.Errorf("%w: the key wants a new PIN first", ctap2.ErrPINPolicyViolation)
	}
	err = a.withPIN(ctx, reason, func(old []byte) error {
		pin, err = a.choosePIN(ctx, NewPINForced, func(pin []byte) error { return a.changePIN(ctx, old, pin) })
		return err
	})
	return pin, err
}

const (
	maxPINAnswers = 3 // that cannot be sent, in a row
	maxPINsSent   = 8 // in a row: more than any key takes
)

// withPIN asks for the PIN and sends it, until the key accepts it, cannot accept any, or the user gives up.
func (a *Authenticator) withPIN(ctx context.Context, reason PINReason, send func(pin []byte) error) error {
	req := &PINRequest{Key: a.key, Reason: reason, MinLength: int(a.Info().MinPINLength), authenticator: a}
	var last error
	for range maxPINsSent {
		pin, err := a.askPIN(ctx, req)
		if err != nil {
			return err
		}
		last = send(pin)
		clear(pin)
		var failure *PINError
		if !errors.As(last, &failure) || failure.kind() != KindPINInvalid || failure.Retries == -1 {
			return last
		}
		req.Reason = PINInvalid
		req.known = &retries{left: failure.Retries}
	}
	return last
}

// askPIN returns a PIN that can be sent: normalized, of a possible length, not rejected before.
func (a *Authenticator) askPIN(ctx context.Context, req *PINRequest) ([]byte, error) {
	if a.ui.PIN == nil {
		return nil, ErrPINRequired
	}
	var last error
	for range maxPINAnswers {
		answer, err := a.ui.PIN(ctx, req)
		pin, err := taken(ctx, answer, err)
		if err != nil {
			return nil, err
		}
		if req.Reason, last = a.unsendable(ctx, pin); last == nil {
			return pin, nil
		}
		clear(pin)
	}
	return nil, last
}

// taken normalizes what a callback answered, and clears the answer. One that comes too late is none.
func taken(ctx context.Context, answer []byte, err error) ([]byte, error) {
	defer clear(answer)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return normalize(answer), nil
}

// unsendable says why pin would only waste a retry.
func (a *Authenticator) unsendable(ctx context.Context, pin []byte) (PINReason, error) {
	err := checkPIN(pin, minPINCharacters, maxPINBytes)
	switch {
	case errors.Is(err, errPINTooShort):
		return PINTooShort, err
	case err != nil:
		return PINTooLong, err
	}
	return PINRepeated, a.checkNotRejected(ctx, pin)
}

// exchangePIN sends the PIN once.
func (a *Authenticator) exchangePIN(ctx context.Context, u use, pin []byte) (*ctap2.Token, error) {
	secret, err := a.freshSecret(ctx)
	if err != nil {
		return nil, err
	}
	client := a.client(TouchToVerify)
	var token *ctap2.Token
	if isOn(a.Info(), "pinUvAuthToken") {
		token, err = client.PINTokenWithPermissions(ctx, secret, pin, u.permissions, u.rpID)
	} else {
		token, err = client.PINToken(ctx, secret, pin)
	}
	if errors.Is(err, ctap2.ErrPINPolicyViolation) {
		a.stale = true // somebody has told the key to want another PIN since
	}
	if err != nil {
		return nil, a.pinRejected(ctx, err, pin)
	}
	a.rejected.forget()
	return token, nil
}
