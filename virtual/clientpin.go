package virtual

import (
	"context"
	"crypto/ecdh"
	"errors"
	"slices"

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
	switch {
	case !a.hasSubcommand(req.Subcommand):
		return nil, a.errSubcommand()
	case req.Subcommand == ctap2.SubcommandGetKeyAgreement:
		return a.getKeyAgreement(req)
	case req.Subcommand == ctap2.SubcommandGetUVRetries:
		return a.getUVRetries(), nil
	case req.Subcommand == ctap2.SubcommandGetUVTokenWithPermissions:
		return a.getUVToken(ctx, c, req, sent)
	case req.Subcommand == ctap2.SubcommandGetPINRetries:
		return a.getPINRetries(), nil
	case req.Subcommand == ctap2.SubcommandSetPIN:
		return nil, a.setPIN(req)
	case req.Subcommand == ctap2.SubcommandChangePIN:
		return nil, a.changePIN(req)
	case req.Subcommand == ctap2.SubcommandGetPINToken:
		return a.getPINToken(req, sent)
	}
	return a.getPINTokenWithPermissions(req, sent)
}

// hasSubcommand reports whether the key knows a subcommand of clientPIN.
func (a *Authenticator) hasSubcommand(s ctap2.Subcommand) bool {
	switch s {
	case ctap2.SubcommandGetKeyAgreement:
		return true
	case ctap2.SubcommandGetUVRetries, ctap2.SubcommandGetUVTokenWithPermissions:
		return a.config.hasBuiltInUV() && (a.has(optionPINUVAuthToken) || a.has(optionUVToken))
	case ctap2.SubcommandGetPINTokenWithPermissions:
		return a.config.hasClientPIN() && a.has(optionPINUVAuthToken)
	case ctap2.SubcommandGetPINRetries, ctap2.SubcommandSetPIN, ctap2.SubcommandChangePIN, ctap2.SubcommandGetPINToken:
		return a.config.hasClientPIN()
	}
	return false
}

// errSubcommand refuses an unknown subcommand. CTAP 2.0 did not have a status for that alone.
func (a *Authenticator) errSubcommand() error {
	if a.config.Version < CTAP21 {
		return ctap2.ErrInvalidParameter
	}
	return ctap2.ErrInvalidSubcommand
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

func (a *Authenticator) getPINRetries() *ctap2.ClientPINResponse {
	retries, blocked := uint64(a.state.PINRetries), a.isSoftLocked()
	resp := &ctap2.ClientPINResponse{PINRetries: &retries, PowerCycleState: &blocked}
	if a.config.Version < CTAP21 {
		resp.PowerCycleState = nil
	}
	return resp
}

func (a *Authenticator) getUVRetries() *ctap2.ClientPINResponse {
	retries := uint64(a.state.UVRetries)
	return &ctap2.ClientPINResponse{UVRetries: &retries}
}

func (a *Authenticator) getKeyAgreement(req *ctap2.ClientPINRequest) (*ctap2.ClientPINResponse, error) {
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	public := a.volatile.keyAgreement[req.PINUVAuthProtocol].PublicKey()
	return &ctap2.ClientPINResponse{KeyAgreement: &cose.Key{Algorithm: cose.ECDHESHKDF256, Public: public}}, nil
}

// getPINToken is section 6.5.5.7.1, the subcommand of CTAP 2.0.
func (a *Authenticator) getPINToken(req *ctap2.ClientPINRequest, sent message) (*ctap2.ClientPINResponse, error) {
	if req.KeyAgreement == nil || req.PINHashEnc == nil {
		return nil, ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	if sent.has(paramPermissions) || sent.has(paramPermissionsRPID) {
		return nil, ctap2.ErrInvalidParameter
	}
	if a.config.NoMCGAWithPIN {
		return a.pinToken(req, 0, ctap2.ErrPINInvalid)
	}
	return a.pinToken(req, defaultPermissions, ctap2.ErrPINInvalid)
}

// getPINTokenWithPermissions is section 6.5.5.7.2.
func (a *Authenticator) getPINTokenWithPermissions(
	req *ctap2.ClientPINRequest, sent message,
) (*ctap2.ClientPINResponse, error) {
	if req.KeyAgreement == nil || req.PINHashEnc == nil || !sent.has(paramPermissions) {
		return nil, ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	if err := a.checkPermissions(req, a.pinPermissions()); err != nil {
		return nil, err
	}
	return a.pinToken(req, req.Permissions, ctap2.ErrPINPolicyViolation)
}

// pinToken makes a token for a PIN; errForced refuses one that has to be changed first.
func (a *Authenticator) pinToken(
	req *ctap2.ClientPINRequest, permissions ctap2.Permission, errForced error,
) (*ctap2.ClientPINResponse, error) {
	shared, err := a.beginPIN(req)
	if err != nil {
		return nil, err
	}
	if err := a.checkPIN(shared, req.PINHashEnc); err != nil {
		return nil, err
	}
	if a.state.ForcePINChange {
		return nil, errForced
	}
	return a.sendToken(shared, a.issueToken(req.PINUVAuthProtocol, permissions, req.RPID, false))
}

// getUVToken is section 6.5.5.7.3, and getUvToken of the preview, which knows no permissions.
func (a *Authenticator) getUVToken(
	ctx context.Context, c *call, req *ctap2.ClientPINRequest, sent message,
) (*ctap2.ClientPINResponse, error) {
	preview := a.has(optionUVToken)
	if req.KeyAgreement == nil || !preview && !sent.has(paramPermissions) {
		return nil, ctap2.ErrMissingParameter
	}
	if err := a.checkProtocol(req.PINUVAuthProtocol); err != nil {
		return nil, err
	}
	if !preview {
		if err := a.checkPermissions(req, a.uvPermissions()); err != nil {
			return nil, err
		}
	}
	if !a.hasUV() {
		return nil, ctap2.ErrNotAllowed
	}
	shared, err := a.agree(req.PINUVAuthProtocol, req.KeyAgreement)
	if err != nil {
		return nil, err
	}
	if err := a.verifyOnce(ctx, c, req.RPID); err != nil {
		return nil, err
	}
	return a.sendToken(shared, a.issueToken(req.PINUVAuthProtocol, req.Permissions, req.RPID, true))
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
	encrypted, err := a.entropy.encrypt(shared, t.key)
	if err != nil {
		return nil, err
	}
	return &ctap2.ClientPINResponse{PINUVAuthToken: encrypted}, nil
}
