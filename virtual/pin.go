package virtual

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"unicode/utf8"

	"github.com/keyfob-go/keyfob/ctap2"
)

const paddedPINSize = 64

// setPIN is section 6.5.5.5.
func (a *Authenticator) setPIN(req *ctap2.ClientPINRequest) error {
	if req.KeyAgreement == nil || req.PINUVAuthParam == nil || req.NewPINEnc == nil {
		return ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return err
	}
	if a.hasPIN() {
		return ctap2.ErrPINAuthInvalid
	}
	shared, err := a.agree(req.PINUVAuthProtocol, req.KeyAgreement)
	if err != nil {
		return err
	}
	if !shared.Verify(req.NewPINEnc, req.PINUVAuthParam) {
		return ctap2.ErrPINAuthInvalid
	}
	return a.replacePIN(shared, req.NewPINEnc)
}

// changePIN is section 6.5.5.6.
func (a *Authenticator) changePIN(req *ctap2.ClientPINRequest) error {
	if req.KeyAgreement == nil || req.PINUVAuthParam == nil || req.NewPINEnc == nil || req.PINHashEnc == nil {
		return ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return err
	}
	shared, err := a.beginPIN(req)
	if err != nil {
		return err
	}
	if !shared.Verify(slices.Concat(req.NewPINEnc, req.PINHashEnc), req.PINUVAuthParam) {
		return ctap2.ErrPINAuthInvalid
	}
	if err := a.checkPIN(shared, req.PINHashEnc); err != nil {
		return err
	}
	return a.replacePIN(shared, req.NewPINEnc)
}

// beginPIN does what precedes every look at the PIN, and costs no retry.
func (a *Authenticator) beginPIN(req *ctap2.ClientPINRequest) (*ctap2.SharedSecret, error) {
	switch {
	case !a.hasPIN():
		return nil, ctap2.ErrPINNotSet
	case a.state.PINRetries == 0:
		return nil, ctap2.ErrPINBlocked
	case a.isSoftLocked():
		return nil, ctap2.ErrPINAuthBlocked
	}
	return a.agree(req.PINUVAuthProtocol, req.KeyAgreement)
}

// isSoftLocked reports whether three wrong PINs in a row have made the key want a power cycle.
func (a *Authenticator) isSoftLocked() bool { return a.volatile.pinFailures >= maxPINFailuresInARow }

// checkPIN compares the PIN, at the price of a retry if it is wrong: section 6.5.5.6, steps 6 to 8. The retry is
// taken before the comparison, so that cutting the power gains nothing. The last one takes those of the built-in user
// verification along: section 6.5.2.2.
func (a *Authenticator) checkPIN(shared *ctap2.SharedSecret, pinHashEnc []byte) error {
	err := a.update(func(s *state) {
		if s.PINRetries--; s.PINRetries == 0 {
			s.UVRetries = 0
		}
	})
	if err != nil {
		return err
	}
	hash, err := shared.Decrypt(pinHashEnc)
	if err != nil || subtle.ConstantTimeCompare(hash, a.state.PINHash) != 1 {
		return a.wrongPIN(shared.Protocol())
	}
	a.volatile.pinFailures = 0
	return a.update(func(s *state) {
		s.PINRetries, s.UVRetries, s.UVCount = a.config.PIN.Retries, a.config.UVRetries, 0
	})
}

func (a *Authenticator) wrongPIN(p ctap2.PINProtocol) error {
	a.regenerate(p)
	a.volatile.pinFailures++
	switch {
	case a.state.PINRetries == 0:
		return ctap2.ErrPINBlocked
	case a.isSoftLocked():
		return ctap2.ErrPINAuthBlocked
	}
	return ctap2.ErrPINInvalid
}

// replacePIN decrypts a new PIN, checks and stores it, and takes back what was authorized by the old one, the
// persistent token included.
func (a *Authenticator) replacePIN(shared *ctap2.SharedSecret, newPINEnc []byte) error {
	padded, err := shared.Decrypt(newPINEnc)
	switch {
	case err != nil:
		return ctap2.ErrPINAuthInvalid
	case len(padded) != paddedPINSize:
		return ctap2.ErrInvalidParameter
	}
	pin := bytes.TrimRight(padded, "\x00")
	hash := hashPIN(pin)
	sameAgain := a.state.ForcePINChange && bytes.Equal(hash, a.state.PINHash)
	if len(pin) == paddedPINSize || sameAgain || !a.acceptsPIN(pin) {
		return ctap2.ErrPINPolicyViolation
	}
	err = a.update(func(s *state) {
		s.setPIN(pin)
		s.PINRetries, s.ForcePINChange = a.config.PIN.Retries, false
		s.PINChanges++
	})
	if err != nil {
		return err
	}
	a.volatile.token = nil
	return nil
}

func hashPIN(pin []byte) []byte {
	hash := sha256.Sum256(pin)
	return hash[:pinHashSize]
}

func (s *state) setPIN(pin []byte) { s.PINHash, s.PINLength = hashPIN(pin), utf8.RuneCount(pin) }

// acceptsPIN reports whether a PIN meets the policy. Its length is in code points: section 6.5.1.
func (a *Authenticator) acceptsPIN(pin []byte) bool {
	length := utf8.RuneCount(pin)
	if !utf8.Valid(pin) || length < a.minPINLength() || length > a.config.PIN.MaxLength {
		return false
	}
	if a.config.PIN.Complexity != nil {
		return a.config.PIN.Complexity(pin)
	}
	return !a.state.Settings.PINComplexity || !isSimple(pin)
}

// minPINLength is in code points.
func (a *Authenticator) minPINLength() int {
	return max(a.config.PIN.MinLength, a.state.Settings.MinPINLength)
}

// hasPINComplexityPolicy reports whether the key refuses simple PINs, of its own accord or because authenticatorConfig
// said so.
func (a *Authenticator) hasPINComplexityPolicy() bool {
	return a.config.PIN.Complexity != nil || a.state.Settings.PINComplexity
}

// isSimple is what the key refuses when authenticatorConfig asks for complex PINs: the same character all over, and
// each one up or down from the one before it.
func isSimple(pin []byte) bool {
	runes := bytes.Runes(pin)
	if len(runes) < 2 {
		return true
	}
	step := runes[1] - runes[0]
	if step < -1 || step > 1 {
		return false
	}
	for i := 2; i < len(runes); i++ {
		if runes[i]-runes[i-1] != step {
			return false
		}
	}
	return true
}
