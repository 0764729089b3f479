package virtual

import (
	"context"
	"errors"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// evidence is what a command has found out about the user.
type evidence struct {
	present  bool
	verified bool
}

// touch waits for the user's touch.
func (a *Authenticator) touch(ctx context.Context, c *call, rpID string) error {
	return a.touchFor(ctx, c, Prompt{Command: c.command, RPID: rpID})
}

func (a *Authenticator) touchFor(ctx context.Context, c *call, p Prompt) error {
	return orDenied(a.ask(ctx, c, p, a.config.UserPresence))
}

// orDenied is the status for what a callback said: a user who does not agree, unless it names another.
func orDenied(err error) error {
	if _, ok := errors.AsType[ctap2.Status](err); err != nil && !ok {
		return ctap2.ErrOperationDenied
	}
	return err
}

// ask runs one of the user's callbacks with a deadline. The state may have changed when it returns, but only by a
// power cycle, which ends ctx.
func (a *Authenticator) ask(
	ctx context.Context, c *call, p Prompt, callback func(context.Context, Prompt) error,
) error {
	return a.askFor(ctx, c, p, a.config.TouchTimeout, callback)
}

func (a *Authenticator) askFor(
	ctx context.Context, c *call, p Prompt, timeout time.Duration, callback func(context.Context, Prompt) error,
) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	a.endPoll() // the light means something else now
	a.outside(func() {
		a.asking.Lock()
		defer a.asking.Unlock()
		c.keepalive(ctaphid.KeepaliveUPNeeded)
		if callback != nil {
			err = callback(limited, p)
		}
		c.keepalive(ctaphid.KeepaliveProcessing)
	})
	switch {
	case ctx.Err() != nil:
		return ctap2.ErrKeepaliveCancel
	case err != nil && limited.Err() != nil:
		return ctap2.ErrUserActionTimeout
	}
	return err
}

var errNotRecognized = errors.New("the user was not recognized")

// verify is performBuiltInUv of section 6.5.3.1: so many tries while there are any left. Whoever is verified has
// touched the key as well.
func (a *Authenticator) verify(ctx context.Context, c *call, rpID string, tries int) error {
	for ; tries > 0 && a.state.UVRetries > 0; tries-- {
		if err := a.update(func(s *state) { s.UVRetries-- }); err != nil {
			return err
		}
		err := a.recognize(ctx, c, Prompt{Command: c.command, RPID: rpID})
		if err == nil {
			return a.update(func(s *state) { s.UVRetries, s.UVCount = a.config.UVRetries, s.UVCount+1 })
		}
		if _, ok := errors.AsType[ctap2.Status](err); ok { // no verdict of the reader: costs nothing
			return errors.Join(err, a.update(func(s *state) { s.UVRetries++ }))
		}
	}
	return errNotRecognized
}

// recognize asks for the user, and returns nil if it is the right one.
func (a *Authenticator) recognize(ctx context.Context, c *call, p Prompt) error {
	if a.config.Finger == nil {
		return a.ask(ctx, c, p, a.config.UserVerification)
	}
	sample, err := a.scan(ctx, c, p, a.config.TouchTimeout)
	if err == nil && !a.state.matches(sample) {
		return errNotRecognized
	}
	return err
}

// uvAttempts is how often the key asks for the user before it gives up on a command.
const uvAttempts = 3

// hasUV reports whether the key can verify the user now: option uv.
func (a *Authenticator) hasUV() bool {
	return a.config.UserVerification != nil || a.config.Finger != nil && len(a.state.Fingerprints) > 0
}

// alwaysUV is option alwaysUv.
func (a *Authenticator) alwaysUV() bool { return a.config.AlwaysUV != a.state.Settings.ToggledAlwaysUV }

// makeCredUVRequired is the contrary of option makeCredUvNotRqd, which CTAP 2.0 did not have.
func (a *Authenticator) makeCredUVRequired() bool {
	return a.config.Version < CTAP21 || a.config.MakeCredUVRequired || a.alwaysUV()
}

// hasU2F reports whether the key answers over U2F, which cannot verify the user.
func (a *Authenticator) hasU2F() bool { return a.config.hasU2F() && !a.alwaysUV() }

func (a *Authenticator) hasPIN() bool { return a.state.PINHash != nil }

// isProtected reports whether the key is "protected by some form of user verification".
func (a *Authenticator) isProtected() bool { return a.hasUV() || a.hasPIN() }

// errUVMissing is the status for a request that lacks user verification, as far as the platform can do something
// about it (sections 6.1.2 and 6.2.2).
func (a *Authenticator) errUVMissing() error {
	if a.config.NoMCGAWithPIN {
		return ctap2.ErrOperationDenied
	}
	if a.hasPIN() || !a.isProtected() && !a.config.NoClientPIN {
		return ctap2.ErrPUATRequired
	}
	return ctap2.ErrOperationDenied
}

// authorization is the part of makeCredential and getAssertion that both treat the same way.
type authorization struct {
	rpID           string
	clientDataHash []byte
	param          []byte // pinUvAuthParam
	protocol       ctap2.PINProtocol
	permission     ctap2.Permission
	uv             bool // option uv
	required       bool // by the key's configuration
}

// begin is steps 1 and 2 of both commands. A zero-length pinUvAuthParam is a platform that wants to know by a touch
// which key the user means, and then whether it has a PIN.
func (a *Authenticator) begin(ctx context.Context, c *call, auth *authorization) error {
	if auth.param == nil {
		return nil
	}
	if len(auth.param) > 0 {
		return a.checkProtocol(auth.protocol)
	}
	if err := a.touch(ctx, c, auth.rpID); err != nil {
		return err
	}
	if a.hasPIN() {
		return ctap2.ErrPINInvalid
	}
	return ctap2.ErrPINNotSet
}

// checkUV refuses option uv where the key can't verify the user. A pinUvAuthParam takes precedence over it.
func (a *Authenticator) checkUV(auth *authorization) error {
	auth.uv = auth.uv && auth.param == nil
	if auth.uv && !a.hasUV() {
		return ctap2.ErrInvalidOption
	}
	return nil
}

// insist refuses a request without verification where the key's configuration requires it: section 6.1.2, steps 6 to
// 8, and section 6.2.2, step 5. A key with alwaysUv that can verify the user does so unasked.
func (a *Authenticator) insist(auth *authorization) error {
	switch {
	case !auth.required || auth.uv || auth.param != nil:
		return nil
	case a.alwaysUV() && a.hasUV():
		auth.uv = true
		return nil
	}
	return a.errUVMissing()
}

// authorize finds out whether the user is verified, by the token or by the key itself, where either is asked for.
func (a *Authenticator) authorize(ctx context.Context, c *call, auth *authorization) (evidence, error) {
	if auth.param != nil {
		// A key without a PIN and built-in verification has no token, so this refuses a platform that believes
		// otherwise.
		return a.useToken(auth)
	}
	if !auth.uv {
		return evidence{}, nil
	}
	err := a.verify(ctx, c, auth.rpID, uvAttempts)
	if errors.Is(err, errNotRecognized) {
		err = a.errUVFailed()
	}
	if err != nil {
		return evidence{}, err
	}
	return evidence{present: true, verified: true}, nil
}

// errUVFailed is the status when the built-in verification did not recognize the user: section 6.1.2, step 11.2.
func (a *Authenticator) errUVFailed() error {
	err := a.errUVMissing()
	if err == ctap2.ErrOperationDenied && a.state.UVRetries == 0 && a.config.Version >= CTAP21 {
		return ctap2.ErrPINBlocked
	}
	return err
}
