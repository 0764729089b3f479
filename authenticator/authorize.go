package authenticator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// authorization is what a command carries to show that the user was verified: a token, or the request that the key
// verify the user itself, never both. The zero value shows nothing.
type authorization struct {
	token *ctap2.Token
	uv    bool
}

// verified says that the answer must say that the user was verified.
func (z authorization) verified() bool { return z.token != nil || z.uv }

// param returns the pinUvAuthParam over message and its protocol, if there is a token.
func (z authorization) param(message []byte) ([]byte, ctap2.PINProtocol) {
	if z.token == nil {
		return nil, 0
	}
	return z.token.Authenticate(message), z.token.Protocol()
}

func (z authorization) clear() {
	if z.token != nil {
		z.token.Clear()
	}
}

// use is what an authorization is for.
type use struct {
	permissions ctap2.Permission
	rpID        string
}

// authorized runs command with the authorization that method brings, and once more with a better one if the key wants
// it: with the PIN when the key failed to verify the user itself, or with any when it wants one unexpectedly.
func (a *Authenticator) authorized(ctx context.Context, method uvMethod, u use, command func(authorization) error) error {
	err := a.authorizedBy(ctx, method, u, command)
	switch {
	case method == uvOption && uvOptionFailed(err):
		method = decidePIN(a.Info())
	case method == uvNone && errors.Is(err, ctap2.ErrPUATRequired):
		method = decideUV(a.Info(), uvQuestion{wish: UVRequired})
	default:
		return err
	}
	if method == uvImpossible || method == uvRefused {
		return err
	}
	return a.authorizedBy(ctx, method, u, command)
}

func (a *Authenticator) authorizedBy(ctx context.Context, method uvMethod, u use, command func(authorization) error) error {
	z, err := a.authorize(ctx, method, u)
	if err != nil {
		return err
	}
	defer z.clear()
	return command(z)
}

// authorize verifies the user by the given method, asking for what it needs.
func (a *Authenticator) authorize(ctx context.Context, method uvMethod, u use) (z authorization, err error) {
	switch method {
	case uvToken:
		z.token, err = a.uvToken(ctx, u)
		if uvTokenFailed(err) && decidePIN(a.Info()) == uvPIN {
			z.token, err = a.pinToken(ctx, u)
		}
	case uvPIN:
		z.token, err = a.pinToken(ctx, u)
	case uvOption:
		z.uv = true
	case uvImpossible:
		err = ErrUVNotConfigured
	case uvRefused:
		err = fmt.Errorf("%w: it does not take its PIN for credentials", ErrUnsupported)
	}
	return z, err
}

// uvTokenFailed says that the key cannot, or can no longer, verify the user itself. A user who refuses (OPERATION_DENIED)
// is not asked for the PIN instead.
func uvTokenFailed(err error) bool {
	return isAny(err, ctap2.ErrUVBlocked, ctap2.ErrUVInvalid, ctap2.ErrUnauthorizedPermission)
}

// uvOptionFailed says the same of a CTAP 2.0 key. It has no better word than OPERATION_DENIED for another finger, and some
// list uv without taking it for every command.
func uvOptionFailed(err error) bool {
	return uvTokenFailed(err) || isAny(err,
		ctap2.ErrOperationDenied, ctap2.ErrUnsupportedOption, ctap2.ErrInvalidOption, ctap2.ErrPUATRequired)
}

func isAny(err error, statuses ...ctap2.Status) bool {
	return slices.ContainsFunc(statuses, func(s ctap2.Status) bool { return errors.Is(err, s) })
}

// uvToken lets the key verify the user itself, as often as the key suggests.
func (a *Authenticator) uvToken(ctx context.Context, u use) (*ctap2.Token, error) {
	attempts := max(1, min(a.Info().PreferredPlatformUVAttempts, maxUVAttempts))
	for {
		secret, err := a.freshSecret(ctx)
		if err != nil {
			return nil, err
		}
		token, err := a.client(TouchToVerify).UVToken(ctx, secret, u.permissions, u.rpID)
		if attempts--; attempts == 0 || !errors.Is(err, ctap2.ErrUVInvalid) {
			return token, err
		}
	}
}

const (
	maxUVAttempts = 8
	maxPINAnswers = 3 // that cannot be sent, in a row
)

// pinToken asks for the PIN until the key accepts it, cannot accept any, or the user gives up.
func (a *Authenticator) pinToken(ctx context.Context, u use) (*ctap2.Token, error) {
	if a.Info().ForcePINChange {
		return nil, fmt.Errorf("%w: the key wants a new PIN first", ctap2.ErrPINPolicyViolation)
	}
	req := PINRequest{Key: a.key, MinLength: int(a.Info().MinPINLength), authenticator: a}
	for {
		pin, err := a.askPIN(ctx, &req)
		if err != nil {
			return nil, err
		}
		token, err := a.exchangePIN(ctx, u, pin)
		var failure *PINError
		again := errors.As(err, &failure) && failure.kind() == KindPINInvalid && failure.Retries != -1
		clear(pin)
		if !again {
			return token, err
		}
		req.Reason = PINInvalid
		req.known = &retries{left: failure.Retries}
	}
}

// askPIN returns a PIN that can be sent: normalized, of a possible length, not rejected before.
func (a *Authenticator) askPIN(ctx context.Context, req *PINRequest) ([]byte, error) {
	if a.ui.PIN == nil {
		return nil, ErrPINRequired
	}
	var last error
	for range maxPINAnswers {
		answer, err := a.ui.PIN(ctx, req)
		if err != nil {
			clear(answer)
			return nil, err
		}
		if ctx.Err() != nil {
			clear(answer)
			return nil, context.Cause(ctx)
		}
		pin := normalize(answer)
		clear(answer)
		if req.Reason, last = a.unsendable(ctx, pin); last == nil {
			return pin, nil
		}
		clear(pin)
	}
	return nil, last
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
	if permissions, _ := a.Info().Option("pinUvAuthToken"); permissions {
		token, err = client.PINTokenWithPermissions(ctx, secret, pin, u.permissions, u.rpID)
	} else {
		token, err = client.PINToken(ctx, secret, pin)
	}
	if err != nil {
		return nil, a.pinRejected(ctx, err, pin)
	}
	a.rejected.forget()
	return token, nil
}
