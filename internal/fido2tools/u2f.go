package fido2tools

import (
	"crypto/sha256"
	"errors"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// register is makeCredential for a key that speaks U2F only.
func (d *device) register(
	o *credMakeOptions, req *ctap2.MakeCredentialRequest, pin []byte,
) (*ctap2.MakeCredentialResponse, error) {
	switch {
	case pin != nil || o.rk || o.uv == on || o.secret || o.largeBlob || o.protect > 0:
		return nil, ctap2.ErrUnsupportedOption
	case o.kind.algorithm != cose.ES256 || len(req.ClientDataHash) != sha256.Size:
		return nil, codeInvalidArgument
	}
	application := sha256.Sum256([]byte(req.RP.ID))
	r, err := d.ctap1.Register(d.ctx, [32]byte(req.ClientDataHash), application)
	if err != nil {
		return nil, u2fCode(err)
	}
	authData, err := r.AuthenticatorData(application)
	if err != nil {
		return nil, err
	}
	certificate := r.Certificate
	if repaired, err := r.X509(); err == nil {
		certificate = repaired.Raw
	}
	encoded, err := ctapcbor.Marshal(statement{Signature: r.Signature, Certificates: [][]byte{certificate}})
	return &ctap2.MakeCredentialResponse{Format: "fido-u2f", AuthData: authData, AttStmt: encoded}, err
}

// authenticate is getAssertion for a key that speaks U2F only.
func (d *device) authenticate(
	o *assertGetOptions, req *ctap2.GetAssertionRequest, pin []byte,
) (*ctap2.GetAssertionResponse, error) {
	switch {
	case pin != nil || o.uv == on || o.secret || o.largeBlob || len(req.AllowList) == 0:
		return nil, ctap2.ErrUnsupportedOption
	case len(req.ClientDataHash) != sha256.Size:
		return nil, codeInvalidArgument
	}
	application, id := sha256.Sum256([]byte(req.RPID)), req.AllowList[0].ID
	switch held, err := d.ctap1.Check(d.ctx, application, id); {
	case err != nil:
		return nil, u2fCode(err)
	case !held:
		return nil, ctap2.ErrNoCredentials
	case o.up == off:
		return nil, codePresenceRequired
	}
	a, err := d.ctap1.Authenticate(d.ctx, ctap1.EnforceUserPresence, [32]byte(req.ClientDataHash), application, id)
	if err != nil {
		return nil, u2fCode(err)
	}
	return &ctap2.GetAssertionResponse{AuthData: a.AuthenticatorData(application), Signature: a.Signature}, nil
}

// u2fCode returns what libfido2 makes of a status word.
func u2fCode(err error) error {
	var word ctap1.StatusWord
	if !errors.As(err, &word) {
		return err
	}
	switch word {
	case ctap1.ErrConditionsNotSatisfied:
		return codePresenceRequired
	case ctap1.ErrWrongData:
		return code(ctap2.ErrInvalidCredential)
	}
	return codeRX
}
