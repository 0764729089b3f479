package authenticator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A key that speaks U2F only works as if it spoke CTAP2, as far as it can: CTAP 2.3, section 10.

const u2fVersion = "U2F_V2"

// u2fInfo is what such a key would say about itself.
func u2fInfo() *ctap2.Info {
	return &ctap2.Info{
		Versions:              []string{u2fVersion},
		Options:               map[string]bool{"rk": false, "up": true},
		MaxMsgSize:            1024,
		MaxCredentialIDLength: 255,
		Algorithms:            []ctap2.CredentialParameter{{Algorithm: cose.ES256, Type: ctap2.PublicKeyType}},
		MinPINLength:          minPINCharacters,
		MaxPINLength:          maxPINBytes,
		AttestationFormats:    []string{"fido-u2f"},
	}
}

// startU2F finds out whether the key speaks U2F.
func (a *Authenticator) startU2F(ctx context.Context) error {
	transport, ok := a.transport.(ctap1.Transport)
	if !ok {
		return fmt.Errorf("%w: neither CTAP2 nor U2F over this transport", ErrUnsupported)
	}
	a.u2f = &ctap1.Client{Transport: transport}
	version, err := a.u2f.Version(ctx)
	if err != nil {
		return err
	}
	if version != u2fVersion {
		return fmt.Errorf("%w: U2F version %q", ErrUnsupported, version)
	}
	a.setInfo(u2fInfo())
	return nil
}

// mayBeU2F says that a key whose getInfo failed may still speak U2F: it answered, but not what it should have.
func (a *Authenticator) mayBeU2F(err error) bool {
	var status ctap2.Status
	var refusal ctaphid.Error
	answered := errors.As(err, &status) || errors.As(err, &refusal) || errors.Is(err, ctap2.ErrInvalidResponse)
	_, messages := a.transport.(ctap1.Transport)
	return answered && messages && !a.has(ctaphid.CapabilityNoMsg)
}

// has reports whether the key told of the capability. Over transports without capabilities no key has any.
func (a *Authenticator) has(capability ctaphid.Capabilities) bool {
	d, ok := a.transport.(interface{ DeviceInfo() ctaphid.DeviceInfo })
	return ok && d.DeviceInfo().Capabilities.Has(capability)
}

// u2fFor returns the client with events for the given reason.
func (a *Authenticator) u2fFor(reason TouchReason) *ctap1.Client {
	return &ctap1.Client{Transport: a.u2f.Transport, Keepalive: a.keepalive(reason)}
}

var errNoUV = fmt.Errorf("%w: U2F cannot verify the user", ErrUnsupported)

func (a *Authenticator) makeCredentialU2F(ctx context.Context, opts *CredentialOptions) (*Credential, error) {
	if opts.UserVerification == UVRequired {
		return nil, errNoUV
	}
	if err := a.excludeU2F(ctx, opts); err != nil {
		return nil, err
	}
	application := sha256.Sum256([]byte(opts.RP.ID))
	reg, err := a.u2fFor(TouchToRegister).Register(ctx, [32]byte(opts.ClientDataHash), application)
	if err != nil {
		return nil, err
	}
	authData, err := reg.AuthenticatorData(application)
	if err != nil {
		return nil, err
	}
	certificate := reg.Certificate
	if repaired, err := reg.X509(); err == nil {
		certificate = repaired.Raw
	}
	statement, err := ctapcbor.Marshal(map[string]any{"x5c": [][]byte{certificate}, "sig": reg.Signature})
	if err != nil {
		return nil, err
	}
	resp := &ctap2.MakeCredentialResponse{Format: "fido-u2f", AuthData: authData, AttStmt: statement}
	return opts.credential(resp, a.expected(opts.RP.ID, true, authorization{}), nil)
}

// excludeU2F refuses, after a touch, if the key holds a credential of the exclude list.
func (a *Authenticator) excludeU2F(ctx context.Context, opts *CredentialOptions) error {
	for _, rpID := range identities(opts.RP.ID, opts.AppIDExclude) {
		id, err := a.findU2F(ctx, rpID, opts.ExcludeList)
		if err != nil {
			return err
		}
		if id != nil {
			return a.touched(ctx, TouchToRegister, ctap2.ErrCredentialExcluded)
		}
	}
	return nil
}

// identities returns for which names a credential may have been made: the RP ID and, if there is one, the U2F AppID.
func identities(rpID, appID string) []string {
	if appID == "" {
		return []string{rpID}
	}
	return []string{rpID, appID}
}

// findU2F returns the first credential of the list that the key made for rpID, nil if there is none. It costs no touch.
func (a *Authenticator) findU2F(ctx context.Context, rpID string, list [][]byte) ([]byte, error) {
	application := sha256.Sum256([]byte(rpID))
	for _, id := range list {
		if held, err := a.u2f.Check(ctx, application, id); held || err != nil {
			return id, err
		}
	}
	return nil, nil
}

// touched returns err after a touch, so that nobody learns without one what the key holds.
func (a *Authenticator) touched(ctx context.Context, reason TouchReason, err error) error {
	if failure := a.blink(ctx, reason); failure != nil {
		return failure
	}
	return err
}

func (a *Authenticator) getAssertionsU2F(ctx context.Context, opts *AssertionOptions) ([]*Assertion, error) {
	if opts.UserVerification == UVRequired {
		return nil, errNoUV
	}
	if len(opts.AllowList) == 0 {
		return nil, fmt.Errorf("%w: U2F keys hold no resident keys", ctap2.ErrNoCredentials)
	}
	for _, rpID := range identities(opts.RPID, opts.AppID) {
		id, err := a.findU2F(ctx, rpID, opts.AllowList)
		if err != nil {
			return nil, err
		}
		if id != nil {
			return a.signU2F(ctx, opts, rpID, id)
		}
	}
	if opts.NoTouch {
		return nil, ctap2.ErrNoCredentials
	}
	return nil, a.touched(ctx, TouchToAuthenticate, ctap2.ErrNoCredentials)
}

func (a *Authenticator) signU2F(ctx context.Context, opts *AssertionOptions, rpID string, id []byte) ([]*Assertion, error) {
	control := ctap1.EnforceUserPresence
	if opts.NoTouch {
		control = ctap1.DontEnforceUserPresence
	}
	application := sha256.Sum256([]byte(rpID))
	signed, err := a.u2fFor(TouchToAuthenticate).Authenticate(ctx, control, [32]byte(opts.ClientDataHash), application, id)
	if err != nil {
		return nil, err
	}
	entry := descriptor(id)
	check := assertionCheck{
		expectation: a.expected(rpID, !opts.NoTouch, authorization{}),
		opts:        opts,
		allow:       []ctap2.CredentialDescriptor{entry},
	}
	assertion, err := check.assertion(&ctap2.GetAssertionResponse{
		Credential: &entry,
		AuthData:   signed.AuthenticatorData(application),
		Signature:  signed.Signature,
	})
	if err != nil {
		return nil, err
	}
	return []*Assertion{assertion}, nil
}
