package authenticator

import (
	"context"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// CredentialOptions describe the credential that [Authenticator.MakeCredential] creates. A key that does not know an
// extension that is asked for is an error, [ErrUnsupported], and so is one that does not do as asked.
type CredentialOptions struct {
	ClientDataHash   []byte             // 32 bytes: see [webauthn.ClientDataHash]
	RP               ctap2.RelyingParty // ID required
	User             ctap2.User         // ID of 1 to 64 bytes required
	Algorithms       []cose.Algorithm   // best first; nil means ES256, EdDSA, RS256
	ExcludeList      [][]byte           // IDs of credentials; a key that holds one refuses (ctap2.ErrCredentialExcluded)
	ResidentKey      bool               // found by the RP ID alone (a passkey, a discoverable credential)
	UserVerification UserVerification
	AppIDExclude     string // exclude credentials of the list that were made for this U2F AppID, too

	// Attestation.
	EnterpriseAttestation uint     // 1: if the key's vendor listed the RP; 2: the platform vouches for the RP; 0: none
	AttestationFormats    []string // best first; only a preference, for keys that tell which they have

	// Extensions for secrets.
	HMACSecret      bool     // so that assertions can derive secrets
	HMACSecretSalts [][]byte // one or two of 32 bytes: derive their secrets at once (hmac-secret-mc); implies HMACSecret
	LargeBlobKey    bool     // a key for a large blob in the key's storage; resident keys only
	LargeBlob       string   // room for a large blob (CTAP 2.3), ctap2.LargeBlobRequired, or if there is any, LargeBlobPreferred

	// Extensions for relying parties.
	CredProtect         uint   // 0 or one of the ctap2.CredProtect levels; less is an error
	CredBlob            []byte // data to keep with the credential, at most Info().MaxCredBlobLength bytes; empty means none
	MinPINLength        bool   // tell the minimum length of the key's PIN, if the key was told to tell this RP
	PINComplexityPolicy bool   // tell whether the key enforces one, likewise
	ThirdPartyPayment   bool   // the credential may confirm payments that others than the RP initiate
}

// Credential is a new credential.
type Credential struct {
	ID                []byte
	PublicKey         *cose.Key
	AuthenticatorData *ctap2.AuthenticatorData
	Attestation       *webauthn.AttestationObject // holds the authenticator data as signed
	Transports        []string                    // by which the key can be reached, as it says itself; may be empty

	EnterpriseAttested bool // the attestation may identify the very key

	// What was asked for.
	HMACSecrets         [][]byte // of 32 bytes, one for each salt, secret
	LargeBlobKey        []byte   // 32 bytes, secret
	LargeBlobSupported  bool     // there is room for a large blob: option LargeBlob
	MinPINLength        int      // in characters; 0 if the key does not tell this RP
	PINComplexityPolicy *bool    // nil if the key does not tell this RP

	UnsignedExtensions []byte // extension outputs outside of the authenticator data, one CBOR item as the key sent it, or nil
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
	c, err := a.planCreation(opts)
	if err != nil {
		return nil, err
	}
	if a.u2f != nil {
		return a.makeCredentialU2F(ctx, opts)
	}
	err = a.authorized(ctx, c.method, c.use, func(z authorization) error {
		return c.exclude.fitted(func() error {
			cred, err = a.create(ctx, c, z)
			return err
		})
	})
	return cred, err
}

// creation is a credential that the key can make, and how the user is verified for it.
type creation struct {
	opts    *CredentialOptions
	req     *ctap2.MakeCredentialRequest
	exclude credentialList
	method  uvMethod
	use     use
}

// planCreation finds out whether the key can make the credential, and how. It sends nothing.
func (a *Authenticator) planCreation(opts *CredentialOptions) (c *creation, err error) {
	info := a.Info()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := opts.supportedBy(info); err != nil {
		return nil, err
	}
	c = &creation{opts: opts, req: opts.request(info)}
	if c.exclude, err = a.newCredentialList(opts.ExcludeList, c.req); err != nil {
		return nil, err
	}
	c.use = use{permissions: ctap2.PermissionMakeCredential, rpID: opts.RP.ID}
	if c.exclude.oversized() || c.exclude.mayBeTooLong() {
		c.use.permissions |= ctap2.PermissionGetAssertion
	}
	c.method = decideUV(info, uvQuestion{
		permissions: c.use.permissions, wish: opts.UserVerification, resident: opts.ResidentKey,
	})
	return c, nil
}

// create makes the credential under an authorization.
func (a *Authenticator) create(ctx context.Context, c *creation, z authorization) (cred *Credential, err error) {
	if err := a.excludeAppID(ctx, c.exclude, c.opts.AppIDExclude); err != nil {
		return nil, err
	}
	if c.req.ExcludeList, err = a.narrow(ctx, c.exclude, c.opts.RP.ID, z); err != nil {
		return nil, err
	}
	c.req.PINUVAuthParam, c.req.PINUVAuthProtocol = z.param(c.req.ClientDataHash)
	c.req.Options.UserVerification = z.uv
	if len(c.opts.HMACSecretSalts) == 0 {
		return a.createOnce(ctx, c, z, nil)
	}
	err = a.withSecret(ctx, func(secret *ctap2.SharedSecret) error {
		cred, err = a.createOnce(ctx, c, z, secret)
		return err
	})
	return cred, err
}

// createOnce sends the request. The shared secret is nil unless secrets are asked for.
func (a *Authenticator) createOnce(
	ctx context.Context, c *creation, z authorization, secret *ctap2.SharedSecret,
) (cred *Credential, err error) {
	if secret != nil {
		c.req.Extensions.HMACSecretMC, err = hmacSecretInput(secret, c.opts.HMACSecretSalts)
		if err != nil {
			return nil, err
		}
	}
	resp, err := a.client(TouchToRegister).MakeCredential(ctx, c.req)
	if err != nil {
		return nil, err
	}
	if cred, err = c.opts.credential(resp, a.expected(c.opts.RP.ID, true, z), secret); err != nil {
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
	case o.EnterpriseAttestation > 2:
		return fmt.Errorf("%w: enterprise attestation %d", ErrInvalidOptions, o.EnterpriseAttestation)
	}
	return o.checkExtensions()
}

func (o *CredentialOptions) checkExtensions() error {
	switch {
	case o.CredProtect > ctap2.CredProtectUVRequired:
		return fmt.Errorf("%w: credProtect level %d", ErrInvalidOptions, o.CredProtect)
	case o.LargeBlobKey && !o.ResidentKey:
		return fmt.Errorf("%w: largeBlobKey without a resident key", ErrInvalidOptions)
	case o.LargeBlobKey && o.LargeBlob != "":
		return fmt.Errorf("%w: largeBlobKey and largeBlob together", ErrInvalidOptions)
	case o.LargeBlob != "" && o.LargeBlob != ctap2.LargeBlobRequired && o.LargeBlob != ctap2.LargeBlobPreferred:
		return fmt.Errorf("%w: largeBlob %q", ErrInvalidOptions, o.LargeBlob)
	}
	return checkSalts(o.HMACSecretSalts)
}

// supportedBy finds what the key cannot do.
func (o *CredentialOptions) supportedBy(info *ctap2.Info) error {
	switch {
	case o.ResidentKey && !isOn(info, "rk"):
		return fmt.Errorf("%w: resident keys", ErrUnsupported)
	case o.EnterpriseAttestation != 0 && !isOn(info, "ep"):
		return fmt.Errorf("%w: enterprise attestation, or it is not enabled", ErrUnsupported)
	}
	err := knowsExtensions(info,
		extensionWish{"hmac-secret", o.derivesSecrets()},
		extensionWish{"hmac-secret-mc", len(o.HMACSecretSalts) > 0},
		extensionWish{"credProtect", o.CredProtect > ctap2.CredProtectUVOptional},
		extensionWish{"credBlob", len(o.CredBlob) > 0},
		extensionWish{"largeBlobKey", o.LargeBlobKey},
		extensionWish{"largeBlob", o.LargeBlob == ctap2.LargeBlobRequired},
		extensionWish{"minPinLength", o.MinPINLength},
		extensionWish{"pinComplexityPolicy", o.PINComplexityPolicy},
		extensionWish{"thirdPartyPayment", o.ThirdPartyPayment},
	)
	if err != nil {
		return err
	}
	if uint64(len(o.CredBlob)) > info.MaxCredBlobLength {
		return fmt.Errorf("%w: credBlob of %d bytes, at most %d", ErrUnsupported, len(o.CredBlob), info.MaxCredBlobLength)
	}
	return o.algorithmSupportedBy(info)
}

func (o *CredentialOptions) algorithmSupportedBy(info *ctap2.Info) error {
	known := func(wanted cose.Algorithm) bool {
		return slices.ContainsFunc(info.Algorithms, func(p ctap2.CredentialParameter) bool { return p.Algorithm == wanted })
	}
	if len(info.Algorithms) == 0 || slices.ContainsFunc(o.algorithms(), known) { // it need not tell
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, ctap2.ErrUnsupportedAlgorithm)
}

func (o *CredentialOptions) algorithms() []cose.Algorithm {
	if len(o.Algorithms) == 0 {
		return defaultAlgorithms
	}
	return o.Algorithms
}

// derivesSecrets says that the credential shall be one that can.
func (o *CredentialOptions) derivesSecrets() bool { return o.HMACSecret || len(o.HMACSecretSalts) > 0 }

func (o *CredentialOptions) request(info *ctap2.Info) *ctap2.MakeCredentialRequest {
	req := &ctap2.MakeCredentialRequest{
		ClientDataHash: o.ClientDataHash,
		RP:             o.RP,
		User:           o.User,
		Extensions: ctap2.MakeCredentialExtensions{
			CredProtect:         o.CredProtect,
			CredBlob:            o.CredBlob,
			LargeBlobKey:        o.LargeBlobKey,
			MinPINLength:        o.MinPINLength,
			PINComplexityPolicy: o.PINComplexityPolicy,
			HMACSecret:          o.derivesSecrets(),
			ThirdPartyPayment:   o.ThirdPartyPayment,
		},
		Options:               ctap2.MakeCredentialOptions{ResidentKey: o.ResidentKey},
		EnterpriseAttestation: o.EnterpriseAttestation,
	}
	if info.HasExtension("largeBlob") {
		req.Extensions.LargeBlob.Support = o.LargeBlob
	}
	if tellsFormats(info) {
		req.AttestationFormatsPreference = o.AttestationFormats
	}
	for _, algorithm := range o.algorithms() {
		param := ctap2.CredentialParameter{Algorithm: algorithm, Type: ctap2.PublicKeyType}
		req.PubKeyCredParams = append(req.PubKeyCredParams, param)
	}
	return req
}

// tellsFormats says that the key knows of a preference among attestation formats: it tells of others than the one that
// all keys are taken to have. There is no version string of CTAP 2.2.
func tellsFormats(info *ctap2.Info) bool {
	return info.HasVersion("FIDO_2_3") || !slices.Equal(info.AttestationFormats, []string{"packed"})
}

// credential checks that the response holds what was asked for.
func (o *CredentialOptions) credential(
	resp *ctap2.MakeCredentialResponse, want expectation, secret *ctap2.SharedSecret,
) (*Credential, error) {
	data, err := want.check(resp.AuthData)
	if err != nil {
		return nil, err
	}
	made := data.Credential
	switch {
	case made == nil:
		return nil, fmt.Errorf("%w: no credential in it", ErrInvalidResponse)
	case made.PublicKey == nil || !slices.Contains(o.algorithms(), made.PublicKey.Algorithm):
		return nil, fmt.Errorf("%w: a key of an algorithm that was not asked for", ErrInvalidResponse)
	case resp.EnterpriseAttestation && o.EnterpriseAttestation == 0:
		return nil, fmt.Errorf("%w: enterprise attestation that was not asked for", ErrInvalidResponse)
	}
	cred := &Credential{
		ID:                made.ID,
		PublicKey:         made.PublicKey,
		AuthenticatorData: data,
		Attestation: &webauthn.AttestationObject{
			Format: resp.Format, Statement: resp.AttStmt, AuthData: resp.AuthData,
		},
		EnterpriseAttested: resp.EnterpriseAttestation,
		UnsignedExtensions: resp.UnsignedExtensionOutputs,
	}
	if err := o.takeSigned(cred, secret); err != nil {
		return nil, err
	}
	if err := o.takeUnsigned(cred, resp); err != nil {
		return nil, err
	}
	return cred, nil
}

// takeSigned takes the extension outputs from the authenticator data that were asked for.
func (o *CredentialOptions) takeSigned(cred *Credential, secret *ctap2.SharedSecret) (err error) {
	var outputs ctap2.MakeCredentialOutputs
	if err := decodeExtensions(cred.AuthenticatorData, &outputs); err != nil {
		return err
	}
	switch {
	case o.derivesSecrets() && !outputs.HMACSecret:
		return fmt.Errorf("%w: no hmac-secret", ErrInvalidResponse)
	case o.CredProtect > ctap2.CredProtectUVOptional && outputs.CredProtect < o.CredProtect:
		return fmt.Errorf("%w: credProtect level %d", ErrInvalidResponse, outputs.CredProtect)
	case len(o.CredBlob) > 0 && !outputs.CredBlob:
		return fmt.Errorf("%w: credBlob not stored", ErrInvalidResponse)
	case o.MinPINLength && outputs.MinPINLength > maxPINBytes:
		return fmt.Errorf("%w: PINs of at least %d characters", ErrInvalidResponse, outputs.MinPINLength)
	}
	if o.MinPINLength {
		cred.MinPINLength = int(outputs.MinPINLength)
	}
	if o.PINComplexityPolicy {
		cred.PINComplexityPolicy = outputs.PINComplexityPolicy
	}
	cred.HMACSecrets, err = hmacSecrets(secret, outputs.HMACSecretMC, len(o.HMACSecretSalts))
	return err
}

// takeUnsigned takes the outputs from outside of the authenticator data that were asked for.
func (o *CredentialOptions) takeUnsigned(cred *Credential, resp *ctap2.MakeCredentialResponse) (err error) {
	if cred.LargeBlobKey, err = checkLargeBlobKey(resp.LargeBlobKey, o.LargeBlobKey, true); err != nil {
		return err
	}
	if o.LargeBlob == "" {
		return nil
	}
	outputs, err := resp.UnsignedOutputs()
	if err != nil {
		return err
	}
	if o.LargeBlob == ctap2.LargeBlobRequired && !outputs.LargeBlob.Supported {
		return fmt.Errorf("%w: no room for a large blob", ErrInvalidResponse)
	}
	cred.LargeBlobSupported = outputs.LargeBlob.Supported
	return nil
}
