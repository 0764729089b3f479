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
	reason      PINReason // why the PIN is asked for, if it is
}

// authorized runs command with the authorization that method brings, and once more with a better one if the key wants
// it: with the PIN when the key failed to verify the user itself, or with any when it wants one unexpectedly.
func (a *Authenticator) authorized(ctx context.Context, method uvMethod, u use, command func(authorization) error) error {
	err := a.authorizedBy(ctx, method, u, command)
	switch {
	case method == uvOption && uvOptionFailed(err):
		method, u.reason = pinWay(a.Info(), u.permissions), PINInsteadOfUV
	case method == uvNone && errors.Is(err, ctap2.ErrPUATRequired):
		method = uvWay(a.Info(), u.permissions)
	default:
		return err
	}
	if !method.works() {
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
		if uvTokenFailed(err) && pinWay(a.Info(), u.permissions) == uvPIN {
			u.reason = PINInsteadOfUV
			z.token, err = a.pinToken(ctx, u)
		}
	case uvPIN:
		z.token, err = a.pinToken(ctx, u)
	case uvOption:
		z.uv = true
	case uvNoPIN:
		z.token, err = a.firstPINToken(ctx, u)
	case uvImpossible:
		err = ErrUVNotConfigured
	case uvRefused:
		err = fmt.Errorf("%w: it does not take its PIN for credentials", ErrUnsupported)
	}
	if z.token != nil && a.endsOthers(u.permissions) {
		a.kept.forget()
	}
	return z, err
}

// endsOthers says that the key takes back the tokens from before as soon as it gives out one for the permissions: it has
// but one of them, besides the persistent one.
func (a *Authenticator) endsOthers(permissions ctap2.Permission) bool {
	return isOn(a.Info(), "pinUvAuthToken") && permissions != ctap2.PermissionPersistentReadOnly
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

const maxUVAttempts = 8

// uvToken lets the key verify the user itself, as often as the key suggests.
func (a *Authenticator) uvToken(ctx context.Context, u use) (*ctap2.Token, error) {
	attempts := max(1, min(a.Info().PreferredPlatformUVAttempts, maxUVAttempts))
	for {
		secret, err := a.freshSecret(ctx)
		if err != nil {
			return nil, err
		}
		token, err := a.exchangeUV(ctx, secret, u)
		if isAny(err, ctap2.ErrUVInvalid, ctap2.ErrUVBlocked) {
			a.notifyUVFailed(ctx)
		}
		if attempts--; attempts == 0 || !errors.Is(err, ctap2.ErrUVInvalid) {
			return token, err
		}
	}
}

// exchangeUV has the key verify the user once. The preview knows no permissions.
func (a *Authenticator) exchangeUV(ctx context.Context, secret *ctap2.SharedSecret, u use) (*ctap2.Token, error) {
	if !isOn(a.Info(), "pinUvAuthToken") {
		u = use{}
	}
	return a.client(TouchToVerify).UVToken(ctx, secret, u.permissions, u.rpID)
}

// notifyUVFailed tells that the key did not recognize the user.
func (a *Authenticator) notifyUVFailed(ctx context.Context) {
	if a.ui.Notify == nil {
		return
	}
	left, err := a.uvRetries(ctx)
	if err != nil {
		left = -1
	}
	a.ui.Notify(Event{Kind: EventUVFailed, Key: a.key, UVRetries: left})
}
