package virtual

import (
	"maps"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// maxCredBlobSize is in bytes; section 12.2 wants 32 at least.
const maxCredBlobSize = 32

var isCreationExtensions = isRecord(
	optional(extensionCredProtect, isCredProtect),
	optional(extensionCredBlob, isBytes),
	optional(extensionLargeBlobKey, isTrue),
	optional(extensionLargeBlob, isLargeBlobSupport),
	optional(extensionMinPINLength, isBool),
	optional(extensionPINComplexityPolicy, isBool),
	optional(extensionHMACSecret, isBool),
	optional(extensionHMACSecretMC, isHMACSecret),
	optional(extensionThirdPartyPayment, isBool),
)

var isAssertionExtensions = isRecord(
	optional(extensionCredBlob, isBool),
	optional(extensionLargeBlobKey, isTrue),
	optional(extensionLargeBlob, isLargeBlobUse),
	optional(extensionHMACSecret, isHMACSecret),
	optional(extensionThirdPartyPayment, isBool),
)

func isCredProtect(v any) error {
	level, ok := v.(uint64)
	if !ok {
		return ctap2.ErrCBORUnexpectedType
	}
	if level < ctap2.CredProtectUVOptional || level > ctap2.CredProtectUVRequired {
		return ctap2.ErrInvalidOption
	}
	return nil
}

// isTrue is for what can be asked for but not be refused.
func isTrue(v any) error {
	asked, ok := v.(bool)
	switch {
	case !ok:
		return ctap2.ErrCBORUnexpectedType
	case !asked:
		return ctap2.ErrInvalidOption
	}
	return nil
}

// decodeExtended is [decode] for requests with extensions as parameter k. It ignores those that the key does not have,
// whatever they hold.
func (a *Authenticator) decodeExtended(params []byte, k key, want shape, req any) (message, error) {
	tree, err := parse(params)
	if err != nil {
		return nil, err
	}
	if m, _ := tree.(map[any]any); a.config.Faults.RefuseExtensions && message(m).has(k) {
		return nil, ctap2.ErrUnsupportedExtension
	}
	if a.dropExtensions(tree, k) {
		if params, err = ctapcbor.Marshal(tree); err != nil {
			return nil, err
		}
	}
	return fill(tree, params, want, req)
}

// dropExtensions reports whether it has dropped any.
func (a *Authenticator) dropExtensions(tree any, k key) bool {
	m, _ := tree.(map[any]any)
	extensions, _ := m[k].(map[any]any)
	all := len(extensions)
	maps.DeleteFunc(extensions, func(name, _ any) bool {
		id, ok := name.(string)
		return !ok || !a.has(id)
	})
	return len(extensions) != all
}

// outputs are what extensions answer, by their identifiers.
type outputs map[string]any

// checkCreationExtensions refuses what the extensions of a new credential can't do, section 6.1.2 step 15.
func (a *Authenticator) checkCreationExtensions(req *ctap2.MakeCredentialRequest) error {
	in := &req.Extensions
	switch {
	case in.LargeBlobKey && !req.Options.ResidentKey: // section 12.3
		return ctap2.ErrInvalidOption
	case in.LargeBlob.Support == ctap2.LargeBlobRequired && !req.Options.ResidentKey:
		return ctap2.ErrLargeBlobStorageFull
	case in.HMACSecretMC != nil && !in.HMACSecret: // section 12.8
		return ctap2.ErrInvalidOption
	}
	return nil
}

// extend gives the new credential what its extensions ask for.
func (a *Authenticator) extend(cred *credential, in *ctap2.MakeCredentialExtensions) {
	cred.CredProtect = a.credProtect(in.CredProtect)
	if in.ThirdPartyPayment {
		cred.ThirdPartyPayment = new(true)
	}
	if cred.Discoverable && len(in.CredBlob) <= maxCredBlobSize {
		cred.CredBlob = in.CredBlob
	}
	if in.LargeBlobKey {
		cred.LargeBlobKey = newLargeBlobKey()
	}
	cred.OwnBlob = cred.Discoverable && in.LargeBlob.Support != ""
}

// credProtect returns the level of a new credential: a key may choose a higher one than it was asked for, section 12.1.
func (a *Authenticator) credProtect(asked uint) uint {
	if !a.has(extensionCredProtect) {
		return 0
	}
	if asked == 0 {
		asked = a.config.DefaultCredProtect
	}
	return max(asked, a.config.LeastCredProtect)
}

// creationOutputs returns what the extensions of a new credential answer in its authenticator data.
func (a *Authenticator) creationOutputs(
	cred *credential, req *ctap2.MakeCredentialRequest, user evidence,
) (outputs, error) {
	in, out := &req.Extensions, outputs{}
	if cred.CredProtect != 0 {
		out[extensionCredProtect] = cred.CredProtect
	}
	if in.CredBlob != nil {
		out[extensionCredBlob] = cred.CredBlob != nil
	}
	if in.HMACSecret {
		out[extensionHMACSecret] = true
	}
	a.addPINPolicy(out, req.RP.ID, in)
	secrets, err := a.hmacSecrets(in.HMACSecretMC, cred, user)
	if secrets != nil {
		out[extensionHMACSecretMC] = secrets
	}
	return out, err
}

// addPINPolicy tells the relying party about the PIN if it may know, sections 12.5 and 12.6.
func (a *Authenticator) addPINPolicy(out outputs, rpID string, in *ctap2.MakeCredentialExtensions) {
	if !a.revealsPINLength(rpID) {
		return
	}
	if in.MinPINLength {
		out[extensionMinPINLength] = a.minPINLength()
	}
	if in.PINComplexityPolicy {
		out[extensionPINComplexityPolicy] = a.hasPINComplexityPolicy()
	}
}

// assertionOutputs returns what the extensions of an assertion answer in its authenticator data.
func (a *Authenticator) assertionOutputs(as *assertion, cred *credential) (outputs, error) {
	out := outputs{}
	if as.extensions.CredBlob {
		out[extensionCredBlob] = append([]byte{}, cred.CredBlob...) // empty without one
	}
	if as.extensions.ThirdPartyPayment {
		out[extensionThirdPartyPayment] = cred.isForPayment()
	}
	if as.secrets == nil {
		return out, nil
	}
	secrets, err := as.secrets.outputs(a.state.hmacSecret(cred, as.user.verified))
	out[extensionHMACSecret] = secrets
	return out, err
}
