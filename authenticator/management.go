package authenticator

import (
	"context"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// VerifyUser asks for the PIN, or lets the key verify the user, for all of the permissions at once. The methods that need
// one of them then ask no more for a while: who lists the credentials to change a large blob is asked once instead of
// twice. A key with neither PIN nor fingerprint gives [ErrUVNotConfigured], and one that does not know one of the
// permissions an error of its own.
func (a *Authenticator) VerifyUser(ctx context.Context, permissions ctap2.Permission) error {
	return a.run(ctx, "verify the user", func(ctx context.Context) error {
		q := uvQuestion{permissions: permissions, wish: UVRequired}
		return a.managed(ctx, q, func(*ctap2.Token) error { return nil })
	})
}

// keptToken is the token of the last management command. It opens the next one as well, so that who lists and then
// deletes is asked for the PIN once. The key decides for how long: ten minutes at most, less if it is not used, and
// not after anybody got another token (CTAP 2.3, section 6.5.2.1).
type keptToken struct {
	token       *ctap2.Token
	permissions ctap2.Permission
}

func (k *keptToken) forget() {
	if k.token != nil {
		k.token.Clear()
	}
	*k = keptToken{}
}

// keep takes a copy of the token.
func (k *keptToken) keep(token *ctap2.Token, permissions ctap2.Permission) error {
	k.forget()
	secret := token.Secret()
	defer clear(secret)
	own, err := ctap2.NewToken(token.Protocol(), secret)
	if err != nil {
		return err
	}
	*k = keptToken{token: own, permissions: permissions}
	return nil
}

// managed runs a command that needs a token, or may need one: the one of the last time if the key still takes it,
// else one that the user is asked for. The command may run twice.
func (a *Authenticator) managed(ctx context.Context, q uvQuestion, command func(*ctap2.Token) error) error {
	if a.kept.token != nil && a.kept.permissions&q.permissions == q.permissions {
		err := command(a.kept.token)
		if !isAny(err, ctap2.ErrPINAuthInvalid, ctap2.ErrPINTokenExpired, ctap2.ErrPUATRequired) {
			return err
		}
	}
	a.kept.forget()
	use := use{permissions: q.permissions}
	return a.authorized(ctx, decideUV(a.Info(), q), use, func(z authorization) error {
		if z.token == nil {
			return command(nil)
		}
		if err := a.kept.keep(z.token, q.permissions); err != nil {
			return err
		}
		return command(z.token)
	})
}

// offers returns an error unless one of the options is there, and says whether it is the second, for the commands of
// CTAP 2.1-PRE. Where it matters whether an option is there at all, but not what it says, listed is true.
func (a *Authenticator) offers(what, option, previewOption string, listed bool) (preview bool, err error) {
	for i, name := range []string{option, previewOption} {
		if on, present := a.Info().Option(name); on || listed && present {
			return i == 1, nil
		}
	}
	return false, fmt.Errorf("%w: no %s", ErrUnsupported, what)
}

// changes runs a command after which the key says other things about itself, and asks it for them. The change is made
// even if it does not answer; then the next operation asks again.
func (a *Authenticator) changes(ctx context.Context, command func() error) error {
	if err := a.change(command); err != nil {
		return err
	}
	a.stale = true
	a.refresh(ctx)
	return nil
}
