package authenticator

import (
	"context"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// CredentialOptions describe the credential that [Authenticator.MakeCredential] creates.
type CredentialOptions struct {
	ClientDataHash   []byte             // 32 bytes: see [webauthn.ClientDataHash]
	RP               ctap2.RelyingParty // ID required
	User             ctap2.User         // ID of 1 to 64 bytes required
	Algorithms       []cose.Algorithm   // best first; nil means ES256, EdDSA, RS256
	ExcludeList      [][]byte           // IDs of credentials; a key that holds one refuses (ctap2.ErrCredentialExcluded)
	ResidentKey      bool               // found by the RP ID alone (a passkey, a discoverable credential)
	UserVerification UserVerification
	AppIDExclude     string // exclude credentials of the list that were made for this U2F AppID, too

	HMACSecret  bool // so that assertions can derive secrets
	CredProtect uint // 0 or one of the ctap2.CredProtect levels; a key that does not know it, or gives less, is an error
}

// Credential is a new credential.
type Credential struct {
	ID                []byte
	PublicKey         *cose.Key
	AuthenticatorData *ctap2.AuthenticatorData
	Attestation       *webauthn.AttestationObject // holds the authenticator data as signed
	Transports        []string                    // by which the key can be reached, as it says itself; may be empty
}

var defaultAlgorithms = []cose.Algorithm{cose.ES256, cose.EdDSA, cose.RS256}

// MakeCredential creates a credential after a touch, verifying the user where the options or the key ask for it, and
// checks that the key made what was asked for. It does not verify the attestation: see
// [webauthn.AttestationObject.Verify].
//
// What the key cannot do is found out before the user is asked for anything, as an error that wraps [ErrUnsupported].
func (a *Authenticator) MakeCredential(ctx context.Context, opts *CredentialOptions) (cred *Credential, err error) {
	err = a.run(ctx, "make credential", func(ctx context.Context) error {
		cred, err = a.makeCredential(ctx, opts)
		return err
	})
	return cred, err
}

func (a *Authenticator) makeCredential(ctx context.Context, opts *CredentialOptions) (cred *Credential, err error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := opts.supportedBy(a.Info()); err != nil {
		return nil, err
	}
	if a.u2f != nil {
		return a.makeCredentialU2F(ctx, opts)
	}
	req := opts.request()
	exclude, err := a.newCredentialList(opts.ExcludeList, req)
	if err != nil {
		return nil, err
	}
	u := use{permissions: ctap2.PermissionMakeCredential, rpID: opts.RP.ID}
	if exclude.oversized() {
		u.permissions |= ctap2.PermissionGetAssertion
	}
	method := decideUV(a.Info(), uvQuestion{
		permissions: u.permissions, wish: opts.UserVerification, resident: opts.ResidentKey,
	})
	err = a.authorized(ctx, method, u, func(z authorization) error {
		if err := a.excludeAppID(ctx, exclude, opts.AppIDExclude); err != nil {
			return err
		}
		if req.ExcludeList, err = a.narrow(ctx, exclude, opts.RP.ID, z); err != nil {
			return err
		}
		cred, err = a.makeCredentialWith(ctx, req, opts, z)
		return err
	})
	return cred, err
}

func (a *Authenticator) makeCredentialWith(
	ctx context.Context, req *ctap2.MakeCredentialRequest, opts *CredentialOptions, z authorization,
) (*Credential, error) {
	req.PINUVAuthParam, req.PINUVAuthProtocol = z.param(req.ClientDataHash)
	req.Options.UserVerification = z.uv
	resp, err := a.client(TouchToRegister).MakeCredential(ctx, req)
	if err != nil {
		return nil, err
	}
	cred, err := opts.credential(resp, a.expected(opts.RP.ID, true, z))
	if err != nil {
		return nil, err
	}
	cred.Transports = a.Info().Transports
	return cred, nil
}

func (o *CredentialOptions) check() error {
	switch {
	case len(o.ClientDataHash) != hashSize:
		return fmt.Errorf("%w: client data hash of %d bytes", ErrInvalidOptions, len(o.ClientDataHash))
	case o.RP.ID == "":
		return fmt.Errorf("%w: no RP ID", ErrInvalidOptions)
	case len(o.User.ID) == 0 || len(o.User.ID) > maxUserID:
		return fmt.Errorf("%w: user ID of %d bytes", ErrInvalidOptions, len(o.User.ID))
	case o.CredProtect > ctap2.CredProtectUVRequired:
		return fmt.Errorf("%w: credProtect level %d", ErrInvalidOptions, o.CredProtect)
	}
	return nil
}

// supportedBy finds what the key cannot do.
func (o *CredentialOptions) supportedBy(info *ctap2.Info) error {
	if rk, _ := info.Option("rk"); o.ResidentKey && !rk {
		return fmt.Errorf("%w: resident keys", ErrUnsupported)
	}
	if o.HMACSecret && !info.HasExtension("hmac-secret") {
		return fmt.Errorf("%w: hmac-secret", ErrUnsupported)
	}
	if o.CredProtect > ctap2.CredProtectUVOptional && !info.HasExtension("credProtect") {
		return fmt.Errorf("%w: credProtect", ErrUnsupported)
	}
	if len(info.Algorithms) == 0 { // not told
		return nil
	}
	for _, known := range info.Algorithms {
		for _, wanted := range o.algorithms() {
			if known.Algorithm == wanted {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, ctap2.ErrUnsupportedAlgorithm)
}

func (o *CredentialOptions) algorithms() []cose.Algorithm {
	if len(o.Algorithms) == 0 {
		return defaultAlgorithms
	}
	return o.Algorithms
}

func (o *CredentialOptions) request() *ctap2.MakeCredentialRequest {
	req := &ctap2.MakeCredentialRequest{
		ClientDataHash: o.ClientDataHash,
		RP:             o.RP,
		User:           o.User,
		Extensions:     ctap2.MakeCredentialExtensions{CredProtect: o.CredProtect, HMACSecret: o.HMACSecret},
		Options:        ctap2.MakeCredentialOptions{ResidentKey: o.ResidentKey},
	}
	for _, algorithm := range o.algorithms() {
		param := ctap2.CredentialParameter{Algorithm: algorithm, Type: ctap2.PublicKeyType}
		req.PubKeyCredParams = append(req.PubKeyCredParams, param)
	}
	return req
}

// credential checks that the response holds what was asked for.
func (o *CredentialOptions) credential(resp *ctap2.MakeCredentialResponse, want expectation) (*Credential, error) {
	data, err := want.check(resp.AuthData)
	if err != nil {
		return nil, err
	}
	made := data.Credential
	if made == nil {
		return nil, fmt.Errorf("%w: no credential in it", ErrInvalidResponse)
	}
	if made.PublicKey == nil || !slices.Contains(o.algorithms(), made.PublicKey.Algorithm) {
		return nil, fmt.Errorf("%w: a key of an algorithm that was not asked for", ErrInvalidResponse)
	}
	var outputs ctap2.MakeCredentialOutputs
	if err := decodeExtensions(data, &outputs); err != nil {
		return nil, err
	}
	if o.HMACSecret && !outputs.HMACSecret {
		return nil, fmt.Errorf("%w: no hmac-secret", ErrInvalidResponse)
	}
	if o.CredProtect > ctap2.CredProtectUVOptional && outputs.CredProtect < o.CredProtect {
		return nil, fmt.Errorf("%w: credProtect level %d", ErrInvalidResponse, outputs.CredProtect)
	}
	return &Credential{
		ID:                made.ID,
		PublicKey:         made.PublicKey,
		AuthenticatorData: data,
		Attestation: &webauthn.AttestationObject{
			Format: resp.Format, Statement: resp.AttStmt, AuthData: resp.AuthData,
		},
	}, nil
}
