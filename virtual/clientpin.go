package virtual

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	paramPermissions     key = 0x09
	paramPermissionsRPID key = 0x0a
)

var isClientPIN = isRecord(
	optional(key(0x01), isUnsigned),
	required(key(0x02), isUnsigned),
	optional(key(0x03), isMap),
	optional(key(0x04), isBytes),
	optional(key(0x05), isBytes),
	optional(key(0x06), isBytes),
	optional(paramPermissions, isUnsigned),
	optional(paramPermissionsRPID, isText),
)

// clientPIN is authenticatorClientPIN, section 6.5.5.
func (a *Authenticator) clientPIN(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.ClientPINRequest)
	sent, err := decode(params, isClientPIN, req)
	if err != nil {
		return nil, err
	}
	switch req.Subcommand {
	case ctap2.SubcommandGetKeyAgreement:
		return a.getKeyAgreement(req)
	case ctap2.SubcommandGetUVRetries:
		return a.getUVRetries()
	case ctap2.SubcommandGetUVTokenWithPermissions:
		return a.getUVToken(ctx, c, req, sent)
	}
	if a.config.NoClientPIN {
		return nil, ctap2.ErrInvalidSubcommand
	}
	switch req.Subcommand {
	case ctap2.SubcommandGetPINRetries:
		return a.getPINRetries()
	case ctap2.SubcommandSetPIN:
		return nil, a.setPIN(req)
	case ctap2.SubcommandChangePIN:
		return nil, a.changePIN(req)
	case ctap2.SubcommandGetPINToken:
		return a.getPINToken(req, sent)
	case ctap2.SubcommandGetPINTokenWithPermissions:
		return a.getPINTokenWithPermissions(req, sent)
	}
	return nil, ctap2.ErrInvalidSubcommand
}

// checkProtocol is for commands that need a PIN/UV auth protocol.
func (a *Authenticator) checkProtocol(p ctap2.PINProtocol) error {
	if p == 0 {
		return ctap2.ErrMissingParameter
	}
	if !slices.Contains(a.config.PINUVAuthProtocols, p) {
		return ctap2.ErrInvalidParameter
	}
	return nil
}

// regenerate makes a new key agreement key for the protocol; secrets agreed on before hold no longer.
func (a *Authenticator) regenerate(p ctap2.PINProtocol) {
	a.volatile.keyAgreement[p] = a.entropy.keyAgreement()
}

// agree is decapsulate of section 6.5.4.
func (a *Authenticator) agree(p ctap2.PINProtocol, peer *cose.Key) (*ctap2.SharedSecret, error) {
	own, ok := a.volatile.keyAgreement[p]
	if !ok || peer == nil {
		return nil, ctap2.ErrInvalidParameter
	}
	public, ok := peer.Public.(*ecdh.PublicKey)
	if !ok {
		return nil, ctap2.ErrInvalidParameter
	}
	shared, err := ctap2.NewSharedSecret(p, own, public)
	if err != nil {
		return nil, ctap2.ErrInvalidParameter
	}
	return shared, nil
}

func (a *Authenticator) getPINRetries() (*ctap2.ClientPINResponse, error) {
	retries, blocked := uint64(a.state.PINRetries), a.isSoftLocked()
	return &ctap2.ClientPINResponse{PINRetries: &retries, PowerCycleState: &blocked}, nil
}

func (a *Authenticator) getUVRetries() (*ctap2.ClientPINResponse, error) {
	if !a.hasUV() {
		return nil, ctap2.ErrInvalidSubcommand
	}
	retries := uint64(a.state.UVRetries)
	return &ctap2.ClientPINResponse{UVRetries: &retries}, nil
}

func (a *Authenticator) getKeyAgreement(req *ctap2.ClientPINRequest) (*ctap2.ClientPINResponse, error) {
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	public := a.volatile.keyAgreement[req.PINUVAuthProtocol].PublicKey()
	return &ctap2.ClientPINResponse{KeyAgreement: &cose.Key{Algorithm: cose.ECDHESHKDF256, Public: public}}, nil
}

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
	return a.storePIN(shared, req.NewPINEnc)
}

// changePIN is section 6.5.5.6.
func (a *Authenticator) changePIN(req *ctap2.ClientPINRequest) error {
	if req.KeyAgreement == nil || req.PINUVAuthParam == nil || req.NewPINEnc == nil || req.PINHashEnc == nil {
		return ctap2.ErrMissingParameter
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
	return a.storePIN(shared, req.NewPINEnc)
}

// beginPIN does what precedes every look at the PIN, and costs no retry.
func (a *Authenticator) beginPIN(req *ctap2.ClientPINRequest) (*ctap2.SharedSecret, error) {
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
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
// taken before the comparison, so that cutting the power gains nothing.
func (a *Authenticator) checkPIN(shared *ctap2.SharedSecret, pinHashEnc []byte) error {
	if err := a.update(func(s *state) { s.PINRetries-- }); err != nil {
		return err
	}
	hash, err := shared.Decrypt(pinHashEnc)
	if err != nil || subtle.ConstantTimeCompare(hash, a.state.PINHash) != 1 {
		a.regenerate(shared.Protocol())
		a.volatile.pinFailures++
		switch {
		case a.state.PINRetries == 0:
			return ctap2.ErrPINBlocked
		case a.isSoftLocked():
			return ctap2.ErrPINAuthBlocked
		}
		return ctap2.ErrPINInvalid
	}
	a.volatile.pinFailures = 0
	return a.update(func(s *state) { s.PINRetries, s.UVRetries = a.config.PIN.Retries, a.config.UVRetries })
}

const paddedPINSize = 64

// storePIN decrypts a new PIN, checks and stores it, and takes back what was authorized by the old one.
func (a *Authenticator) storePIN(shared *ctap2.SharedSecret, newPINEnc []byte) error {
	padded, err := shared.Decrypt(newPINEnc)
	if err != nil || len(padded) != paddedPINSize {
		return ctap2.ErrInvalidParameter
	}
	pin := bytes.TrimRight(padded, "\x00")
	if len(pin) == paddedPINSize || !utf8.Valid(pin) || utf8.RuneCount(pin) < minPINLength {
		return ctap2.ErrPINPolicyViolation
	}
	hash := sha256.Sum256(pin)
	err = a.update(func(s *state) { s.PINHash, s.PINRetries = hash[:pinHashSize], a.config.PIN.Retries })
	if err != nil {
		return err
	}
	a.volatile.token = nil
	return nil
}

// getPINToken is section 6.5.5.7.1, the subcommand of CTAP 2.0.
func (a *Authenticator) getPINToken(req *ctap2.ClientPINRequest, sent message) (*ctap2.ClientPINResponse, error) {
	if sent.has(paramPermissions) || sent.has(paramPermissionsRPID) {
		return nil, ctap2.ErrInvalidParameter
	}
	return a.pinToken(req, defaultPermissions)
}

// getPINTokenWithPermissions is section 6.5.5.7.2.
func (a *Authenticator) getPINTokenWithPermissions(
	req *ctap2.ClientPINRequest, sent message,
) (*ctap2.ClientPINResponse, error) {
	if err := checkPermissions(req, sent); err != nil {
		return nil, err
	}
	return a.pinToken(req, req.Permissions)
}

// checkPermissions refuses permissions for commands that the key does not have, and those without the relying party
// that they are for (the table in section 6.5.5.7).
func checkPermissions(req *ctap2.ClientPINRequest, sent message) error {
	switch {
	case !sent.has(paramPermissions):
		return ctap2.ErrMissingParameter
	case req.Permissions == 0:
		return ctap2.ErrInvalidParameter
	case req.Permissions&^defaultPermissions != 0:
		return ctap2.ErrUnauthorizedPermission
	case req.RPID == "":
		return ctap2.ErrInvalidParameter
	}
	return nil
}

func (a *Authenticator) pinToken(
	req *ctap2.ClientPINRequest, permissions ctap2.Permission,
) (*ctap2.ClientPINResponse, error) {
	if req.KeyAgreement == nil || req.PINHashEnc == nil {
		return nil, ctap2.ErrMissingParameter
	}
	shared, err := a.beginPIN(req)
	if err != nil {
		return nil, err
	}
	if err := a.checkPIN(shared, req.PINHashEnc); err != nil {
		return nil, err
	}
	return a.sendToken(shared, a.issueToken(req, permissions, false))
}

// getUVToken is section 6.5.5.7.3.
func (a *Authenticator) getUVToken(
	ctx context.Context, c *call, req *ctap2.ClientPINRequest, sent message,
) (*ctap2.ClientPINResponse, error) {
	if !a.hasUV() {
		return nil, ctap2.ErrInvalidSubcommand
	}
	if req.KeyAgreement == nil {
		return nil, ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	if err := checkPermissions(req, sent); err != nil {
		return nil, err
	}
	shared, err := a.agree(req.PINUVAuthProtocol, req.KeyAgreement)
	if err != nil {
		return nil, err
	}
	if err := a.verifyOnce(ctx, c, req.RPID); err != nil {
		return nil, err
	}
	return a.sendToken(shared, a.issueToken(req, req.Permissions, true))
}

func (a *Authenticator) verifyOnce(ctx context.Context, c *call, rpID string) error {
	if a.state.UVRetries == 0 {
		return ctap2.ErrUVBlocked
	}
	err := a.verify(ctx, c, rpID, 1)
	if !errors.Is(err, errNotRecognized) {
		return err
	}
	if a.state.UVRetries == 0 {
		return ctap2.ErrUVBlocked
	}
	return ctap2.ErrUVInvalid
}

func (a *Authenticator) sendToken(shared *ctap2.SharedSecret, t *token) (*ctap2.ClientPINResponse, error) {
	encrypted, err := shared.Encrypt(t.key[:])
	if err != nil {
		return nil, err
	}
	return &ctap2.ClientPINResponse{PINUVAuthToken: encrypted}, nil
}
