package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/keyfob-go/keyfob/ctap2"
)

// SetPIN sets the first PIN of a key that has none: UTF-8, at least Info().MinPINLength and at most Info().MaxPINLength
// characters and 63 bytes long, counted in normalization form C, to which it is brought. What the key would refuse is
// refused before anything is sent.
func (a *Authenticator) SetPIN(ctx context.Context, pin []byte) error {
	return a.run(ctx, "set PIN", func(ctx context.Context) error {
		if set, supported := a.Info().Option("clientPin"); !supported {
			return fmt.Errorf("%w: it cannot have a PIN", ErrUnsupported)
		} else if set {
			return fmt.Errorf("%w: the key has a PIN already: change it", ctap2.ErrNotAllowed)
		}
		normalized, err := a.newPIN(pin)
		if err != nil {
			return err
		}
		defer clear(normalized)
		return a.setPIN(ctx, normalized)
	})
}

// setPIN sends a PIN that newPIN or choosePIN found good.
func (a *Authenticator) setPIN(ctx context.Context, pin []byte) error {
	secret, err := a.freshSecret(ctx)
	if err != nil {
		return err
	}
	if err := a.client(0).SetPIN(ctx, secret, pin); err != nil {
		a.stale = true // it may have a PIN now, by us or, if it refused for that, by somebody else
		return a.pinFailure(ctx, err)
	}
	a.pinIsSet()
	return nil
}

// ChangePIN replaces the PIN; for the new one see [Authenticator.SetPIN]. A wrong old PIN costs a retry and gives a
// [PINError]. One that this Authenticator saw rejected before is not sent again.
func (a *Authenticator) ChangePIN(ctx context.Context, oldPIN, newPIN []byte) error {
	return a.run(ctx, "change PIN", func(ctx context.Context) error {
		if set, _ := a.Info().Option("clientPin"); !set {
			return ctap2.ErrPINNotSet
		}
		normalizedNew, err := a.newPIN(newPIN)
		if err != nil {
			return err
		}
		defer clear(normalizedNew)
		normalizedOld := normalize(oldPIN)
		defer clear(normalizedOld)
		if err := a.checkNotRejected(ctx, normalizedOld); err != nil {
			return err
		}
		return a.changePIN(ctx, normalizedOld, normalizedNew)
	})
}

// changePIN sends PINs that were found good: see askPIN and choosePIN.
func (a *Authenticator) changePIN(ctx context.Context, oldPIN, newPIN []byte) error {
	secret, err := a.freshSecret(ctx)
	if err != nil {
		return err
	}
	err = a.change(func() error { return a.client(0).ChangePIN(ctx, secret, oldPIN, newPIN) })
	if err != nil {
		return a.pinRejected(ctx, err, oldPIN)
	}
	a.pinIsSet()
	return nil
}

// PINRetries returns how many wrong PINs the key still accepts before it blocks, and whether it must be unplugged and
// plugged in again before it accepts any. It costs no retry.
func (a *Authenticator) PINRetries(ctx context.Context) (left int, powerCycle bool, err error) {
	var r retries
	err = a.run(ctx, "PIN retries", func(ctx context.Context) error {
		if _, supported := a.Info().Option("clientPin"); !supported {
			return fmt.Errorf("%w: it cannot have a PIN", ErrUnsupported)
		}
		r, err = a.pinRetries(ctx)
		return err
	})
	return r.left, r.powerCycle, err
}

func (a *Authenticator) pinRetries(ctx context.Context) (r retries, err error) {
	protocol, err := a.Info().PINProtocol()
	if err != nil {
		return r, err
	}
	r.left, r.powerCycle, err = a.client(0).PINRetries(ctx, protocol)
	if err == nil {
		a.rejected.retries = r.left
	}
	return r, err
}

// UVRetries returns how many times the key may still fail to recognize the user (by a fingerprint, for example) before it
// wants the PIN. It costs none of them.
func (a *Authenticator) UVRetries(ctx context.Context) (left int, err error) {
	err = a.run(ctx, "UV retries", func(ctx context.Context) error {
		if _, supported := a.Info().Option("uv"); !supported {
			return fmt.Errorf("%w: it cannot verify the user itself", ErrUnsupported)
		}
		left, err = a.uvRetries(ctx)
		return err
	})
	return left, err
}

func (a *Authenticator) uvRetries(ctx context.Context) (int, error) {
	protocol, err := a.Info().PINProtocol()
	if err != nil {
		return 0, err
	}
	return a.client(0).UVRetries(ctx, protocol)
}

// pinIsSet notes what the key would say now if it were asked again.
func (a *Authenticator) pinIsSet() {
	a.rejected.forget()
	a.kept.forget()
	info := *a.Info()
	info.Options = maps.Clone(info.Options)
	info.Options["clientPin"] = true
	info.ForcePINChange = false
	a.setInfo(&info)
}

// normalize returns pin in normalization form C, in a slice of its own.
func normalize(pin []byte) []byte {
	// No character grows by more than a factor of three, so nothing is left behind in a smaller slice.
	return norm.NFC.Append(make([]byte, 0, 3*len(pin)), pin...)
}

// newPIN normalizes and checks a PIN that is to be set.
func (a *Authenticator) newPIN(pin []byte) ([]byte, error) {
	info, normalized := a.Info(), normalize(pin)
	if err := checkPIN(normalized, int(info.MinPINLength), int(info.MaxPINLength)); err != nil {
		clear(normalized)
		return nil, err
	}
	return normalized, nil
}

const (
	minPINCharacters = 4  // of any PIN that a key may hold
	maxPINBytes      = 63 // CTAP 2.3, section 6.5.1
)

var (
	errPINTooShort = fmt.Errorf("%w: PIN too short", ctap2.ErrPINPolicyViolation)
	errPINTooLong  = fmt.Errorf("%w: PIN too long", ctap2.ErrPINPolicyViolation)
	errPINText     = fmt.Errorf("%w: PIN is no text", ctap2.ErrPINPolicyViolation)
)

// checkPIN finds what a key would refuse. Lengths are in characters.
func checkPIN(pin []byte, minLength, maxLength int) error {
	n := utf8.RuneCount(pin)
	switch {
	case n < minLength:
		return fmt.Errorf("%w: %d characters, at least %d", errPINTooShort, n, minLength)
	case n > maxLength || len(pin) > maxPINBytes:
		return fmt.Errorf("%w: %d characters in %d bytes, at most %d in %d", errPINTooLong, n, len(pin), maxLength, maxPINBytes)
	case !utf8.Valid(pin) || bytes.IndexByte(pin, 0) >= 0:
		return errPINText
	}
	return nil
}

// pinRejected turns the error of a command that sent pin into what the caller is told, and remembers a rejected PIN.
func (a *Authenticator) pinRejected(ctx context.Context, err error, pin []byte) error {
	left := a.rejected.retriesAtMost() - 1
	failure := a.pinFailure(ctx, err)
	var rejected *PINError
	if errors.As(failure, &rejected) && rejected.Status == ctap2.ErrPINInvalid {
		if rejected.Retries >= 0 {
			left = min(left, rejected.Retries)
		}
		a.rejected.add(pin, left)
	}
	return failure
}

// checkNotRejected returns an error for a PIN that the key rejected before, unless it has more retries now than that left
// it: either somebody gave it the right one since, and any other may have become the right one, or it took no retry.
func (a *Authenticator) checkNotRejected(ctx context.Context, pin []byte) error {
	left, rejected := a.rejected.left(pin)
	if !rejected {
		return nil
	}
	r, err := a.pinRetries(ctx)
	if err != nil {
		return err
	}
	if r.left > left {
		a.rejected.forget()
		return nil
	}
	return &PINError{Status: ctap2.ErrPINInvalid, Retries: r.left, PowerCycle: r.powerCycle}
}

// pinFailure adds the retries that are left to an error of a PIN command. The key has a new key pair now.
func (a *Authenticator) pinFailure(ctx context.Context, err error) error {
	a.agreement.forget()
	for _, status := range []ctap2.Status{ctap2.ErrPINInvalid, ctap2.ErrPINAuthBlocked, ctap2.ErrPINBlocked} {
		if !errors.Is(err, status) {
			continue
		}
		failure := &PINError{Status: status, Retries: -1, PowerCycle: status == ctap2.ErrPINAuthBlocked}
		if r, err := a.pinRetries(ctx); err == nil {
			failure.Retries = r.left
			failure.PowerCycle = failure.PowerCycle || r.powerCycle
		}
		return failure
	}
	return err
}
