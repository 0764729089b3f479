package authenticator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Register creates a credential on the key that the user chooses, as navigator.credentials.create does (WebAuthn Level 3,
// section 5.1.3), for a server's options and the origin that they came from. The result is what the server expects, with
// the attestation as far as the options want it. Extensions that the key does not have are left out, unless the options
// insist. [AdviceOn] tells the name of the error that a browser would have thrown.
func (c *Client) Register(
	ctx context.Context, origin string, o *webauthn.CreationOptions,
) (*webauthn.RegistrationResponse, error) {
	resp, err := c.register(ctx, origin, o)
	if err != nil {
		return nil, failedIn("register", err)
	}
	return resp, nil
}

func (c *Client) register(
	ctx context.Context, origin string, o *webauthn.CreationOptions,
) (*webauthn.RegistrationResponse, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	r := registration{CreationOptions: o}
	var err error
	if r.scene, err = c.scene(ctx, webauthn.TypeCreate, origin, o.RP.ID, o.Challenge); err != nil {
		return nil, err
	}
	if o.AuthenticatorSelection.Attachment == webauthn.Platform {
		return nil, fmt.Errorf("%w: a security key is no part of the computer", ErrUnsupported)
	}
	if r.algorithms = supportedAlgorithms(o.PubKeyCredParams); len(r.algorithms) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, ctap2.ErrUnsupportedAlgorithm)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout(o.Timeout))
	defer cancel()
	return conduct(ctx, c, func(ctx context.Context, p *player[*webauthn.RegistrationResponse]) (*webauthn.RegistrationResponse, error) {
		return registerOn(ctx, p, &r)
	})
}

// supportedAlgorithms returns those whose keys can be checked: a key may choose any.
func supportedAlgorithms(wanted []cose.Algorithm) []cose.Algorithm {
	if len(wanted) == 0 {
		wanted = []cose.Algorithm{cose.ES256, cose.RS256}
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(a cose.Algorithm) bool { return !a.IsSupported() })
}

// registration is a request for a credential, whatever key will make it.
type registration struct {
	*webauthn.CreationOptions
	scene
	algorithms []cose.Algorithm
}

// registerOn makes the credential on one key. Where a resident key would only be better, another kind will do when there is
// no room for one.
func registerOn[T any](ctx context.Context, p *player[T], r *registration) (*webauthn.RegistrationResponse, error) {
	opts := r.optionsFor(p.device.Info())
	cred, err := p.device.MakeCredential(ctx, opts)
	if errors.Is(err, ctap2.ErrKeyStoreFull) && opts.ResidentKey && !r.insistsOnResidentKey(opts) && p.again() {
		opts = r.nonResident(opts)
		cred, err = p.device.MakeCredential(ctx, opts)
	}
	if err != nil {
		return nil, err
	}
	return r.response(cred, opts, p.key)
}

// optionsFor returns what to ask of a key.
func (r *registration) optionsFor(info *ctap2.Info) *CredentialOptions {
	opts := &CredentialOptions{
		ClientDataHash:   r.hash(),
		RP:               r.RP,
		User:             r.User,
		Algorithms:       r.algorithms,
		ExcludeList:      ids(r.ExcludeCredentials),
		ResidentKey:      r.wantsResidentKey(info),
		UserVerification: userVerification(r.AuthenticatorSelection.UserVerification),
		AppIDExclude:     r.Extensions.AppIDExclude,
	}
	opts.RP.ID = r.rpID
	if r.Attestation == webauthn.ConveyEnterprise && isOn(info, "ep") {
		opts.EnterpriseAttestation = 1
	}
	if r.Attestation != "" && r.Attestation != webauthn.ConveyNone {
		opts.AttestationFormats = r.AttestationFormats
	}
	r.addExtensions(opts, info)
	return opts
}

// insistsOnResidentKey: also for a large blob, which keys with largeBlobKey have for no other kind.
func (r *registration) insistsOnResidentKey(opts *CredentialOptions) bool {
	return r.AuthenticatorSelection.ResidentKey == webauthn.Required ||
		opts.LargeBlobKey && r.Extensions.LargeBlob.Support == webauthn.Required
}

// wantsResidentKey: where it is only preferred, not on a key that says it has no room.
func (r *registration) wantsResidentKey(info *ctap2.Info) bool {
	switch r.AuthenticatorSelection.ResidentKey {
	case webauthn.Required:
		return true
	case webauthn.Preferred:
		left := info.RemainingDiscoverableCredentials
		return isOn(info, "rk") && (left == nil || *left > 0)
	}
	return false
}

// addExtensions asks for those that the key has, and for those that the relying party insists on.
func (r *registration) addExtensions(opts *CredentialOptions, info *ctap2.Info) {
	x := &r.Extensions
	if x.EnforceCredentialProtectionPolicy || info.HasExtension("credProtect") {
		opts.CredProtect = x.CredentialProtectionPolicy
	}
	opts.HMACSecret = (x.HMACCreateSecret || x.PRF != nil) && info.HasExtension("hmac-secret")
	verifies := isProtected(info) || opts.UserVerification == UVRequired // else the results have to wait
	if salts := prfSalts(evalOf(x.PRF)); salts != nil && verifies && info.HasExtension("hmac-secret-mc") {
		opts.HMACSecretSalts = salts
		opts.UserVerification = UVRequired // WebAuthn Level 3, section 10.1.4
	}
	opts.MinPINLength = x.MinPINLength && info.HasExtension("minPinLength")
	opts.ThirdPartyPayment = isPayment(x.Payment) && info.HasExtension("thirdPartyPayment")
	if info.HasExtension("credBlob") && uint64(len(x.CredBlob)) <= info.MaxCredBlobLength {
		opts.CredBlob = x.CredBlob
	}
	r.addLargeBlob(opts, info)
}

// addLargeBlob asks for a large blob in the way of the key: CTAP 2.3's extension, or a key for the array of CTAP 2.1, which
// only resident keys have.
func (r *registration) addLargeBlob(opts *CredentialOptions, info *ctap2.Info) {
	if r.Extensions.LargeBlob == nil {
		return
	}
	required := r.Extensions.LargeBlob.Support == webauthn.Required
	switch {
	case info.HasExtension("largeBlob") || required && !hasLargeBlobKeys(info):
		opts.LargeBlob = ctap2.LargeBlobPreferred
		if required {
			opts.LargeBlob = ctap2.LargeBlobRequired
		}
	case hasLargeBlobKeys(info) && opts.ResidentKey:
		opts.LargeBlobKey = true
	case required:
		opts.LargeBlobKey, opts.ResidentKey = true, true
	}
}

func hasLargeBlobKeys(info *ctap2.Info) bool {
	return info.HasExtension("largeBlobKey") && isOn(info, "largeBlobs")
}

// nonResident returns the options for a key that is full.
func (r *registration) nonResident(opts *CredentialOptions) *CredentialOptions {
	other := *opts
	other.ResidentKey, other.LargeBlobKey = false, false
	return &other
}

func (r *registration) response(
	cred *Credential, opts *CredentialOptions, key hid.Info,
) (*webauthn.RegistrationResponse, error) {
	attestation, err := convey(r.Attestation, cred)
	if err != nil {
		return nil, err
	}
	object, err := attestation.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	return &webauthn.RegistrationResponse{
		RawID:                   cred.ID,
		ClientDataJSON:          r.clientDataJSON,
		AttestationObject:       object,
		Transports:              transports(cred.Transports, key.Bus),
		AuthenticatorAttachment: webauthn.CrossPlatform,
		ClientExtensionResults:  r.results(cred, opts),
	}, nil
}

// transports returns by which a key can be reached: at least by that which was used.
func transports(told []string, bus hid.Bus) []string {
	if len(told) > 0 {
		return told
	}
	if bus == hid.BusBluetooth {
		return []string{"ble"}
	}
	return []string{"usb"}
}

// results answers the extensions that were asked for.
func (r *registration) results(cred *Credential, opts *CredentialOptions) (results webauthn.ExtensionResults) {
	x := &r.Extensions
	if x.CredProps {
		results.CredProps = &webauthn.CredentialProperties{ResidentKey: &opts.ResidentKey}
	}
	if x.AppIDExclude != "" {
		results.AppIDExclude = new(true)
	}
	if x.HMACCreateSecret {
		results.HMACCreateSecret = &opts.HMACSecret
	}
	if x.PRF != nil {
		results.PRF = &webauthn.PRFResults{Enabled: &opts.HMACSecret, Results: prfValues(cred.HMACSecrets)}
	}
	if x.CredBlob != nil {
		results.CredBlob = new(len(opts.CredBlob) > 0)
	}
	if x.LargeBlob != nil {
		results.LargeBlob = &webauthn.LargeBlobResults{Supported: new(cred.LargeBlobSupported || cred.LargeBlobKey != nil)}
	}
	return results
}

// convey returns as much of the attestation as the relying party shall see: WebAuthn Level 3, section 5.1.3, step 25.
func convey(how webauthn.Conveyance, cred *Credential) (*webauthn.AttestationObject, error) {
	if how != "" && how != webauthn.ConveyNone {
		return cred.Attestation, nil
	}
	data, attested := *cred.AuthenticatorData, *cred.AuthenticatorData.Credential
	attested.AAGUID = ctap2.AAGUID{}
	data.Credential = &attested
	authData, err := data.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	return &webauthn.AttestationObject{Format: webauthn.FormatNone, AuthData: authData}, nil
}

// isPayment reads the one member of the extension payment that keys know of: Secure Payment Confirmation, section 5.
func isPayment(input json.RawMessage) bool {
	var payment struct {
		IsPayment bool `json:"isPayment"`
	}
	return input != nil && json.Unmarshal(input, &payment) == nil && payment.IsPayment
}
