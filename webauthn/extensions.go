package webauthn

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Extensions are what a relying party asks of extensions: AuthenticationExtensionsClientInputs, WebAuthn Level 3, section
// 5.7, with the members of its section 10 and of CTAP 2.2, section 12. The zero value asks for nothing.
type Extensions struct {
	// For registrations.

	AppIDExclude     string // appidExclude: exclude what was registered by U2F for this URL
	CredProps        bool   // tell whether the credential is discoverable
	HMACCreateSecret bool   // so that HMACGetSecret works
	MinPINLength     bool   // have the authenticator sign the least length of its PIN
	CredBlob         []byte // store this with the credential; nil: nothing

	// CredentialProtectionPolicy is 0 or one of the levels of package ctap2, as in [ctap2.CredProtectUVRequired].
	CredentialProtectionPolicy        uint
	EnforceCredentialProtectionPolicy bool // rather no credential than one that is less protected

	// For authentications.

	AppID         string     // appid: also use what was registered by U2F for this URL
	HMACGetSecret *HMACSalts // derive secrets
	GetCredBlob   bool       // return what CredBlob stored

	// For both.

	PRF       *PRFInputs       // not nil but empty, for a registration: so that PRF works
	LargeBlob *LargeBlobInputs // not nil but empty, for a registration: as if Support were [Preferred]

	// Payment is the input of the extension payment, a JSON object: Secure Payment Confirmation, section 5. Nothing here
	// looks into it.
	Payment json.RawMessage
}

// HMACSalts are what secrets are derived from by the extension hmacGetSecret.
type HMACSalts struct {
	Salt1 []byte // 32 bytes
	Salt2 []byte // 32 bytes; nil: there is only one
}

// PRFInputs are those of the extension prf, WebAuthn Level 3, section 10.1.4.
type PRFInputs struct {
	Eval *PRFValues // nil: nothing to evaluate

	// EvalByCredential has inputs that take precedence over Eval for some of the credentials that an authentication
	// allows. The key is the credential's ID: the bytes themselves, not base64url.
	EvalByCredential map[string]PRFValues
}

// PRFValues are inputs or results of the extension prf.
type PRFValues struct {
	First  []byte // of any length; a result has 32 bytes
	Second []byte // likewise; nil: there is only one
}

// LargeBlobInputs are those of the extension largeBlob, WebAuthn Level 3, section 10.1.5.
type LargeBlobInputs struct {
	Support Requirement // of a new credential: Required or Preferred
	Read    bool        // either this
	Write   []byte      // or that, with one credential allowed; nil: do not write
}

const hmacSaltLength = 32

func (e *Extensions) checkCreation() error {
	switch {
	case e.PRF != nil && e.PRF.EvalByCredential != nil:
		return unsupportedExtension("prf.evalByCredential", "in a registration")
	case e.LargeBlob != nil && (e.LargeBlob.Read || e.LargeBlob.Write != nil):
		return unsupportedExtension("largeBlob", "read or write in a registration")
	}
	return e.checkProtectionPolicy()
}

func (e *Extensions) checkProtectionPolicy() error {
	if e.CredentialProtectionPolicy >= uint(len(protectionPolicies)) {
		return unsupportedExtension("credentialProtectionPolicy", "there is no level %d", e.CredentialProtectionPolicy)
	}
	return nil
}

func (e *Extensions) checkRequest(allowed []ctap2.CredentialDescriptor) error {
	if err := e.HMACGetSecret.check(); err != nil {
		return fmt.Errorf("extensions.hmacGetSecret.%w", err)
	}
	if err := e.LargeBlob.checkRequest(len(allowed)); err != nil {
		return err
	}
	if err := e.PRF.checkRequest(allowed); err != nil {
		return err
	}
	return e.checkProtectionPolicy()
}

func (s *HMACSalts) check() error {
	switch {
	case s == nil:
		return nil
	case len(s.Salt1) != hmacSaltLength:
		return fmt.Errorf("salt1: %d bytes, want %d", len(s.Salt1), hmacSaltLength)
	case s.Salt2 != nil && len(s.Salt2) != hmacSaltLength:
		return fmt.Errorf("salt2: %d bytes, want %d", len(s.Salt2), hmacSaltLength)
	}
	return nil
}

func (l *LargeBlobInputs) checkRequest(allowed int) error {
	switch {
	case l == nil:
		return nil
	case l.Support != "":
		return unsupportedExtension("largeBlob.support", "in an authentication")
	case l.Read && l.Write != nil:
		return unsupportedExtension("largeBlob", "both read and write")
	case l.Write != nil && allowed != 1:
		return unsupportedExtension("largeBlob.write", "with %d credentials allowed, want 1", allowed)
	}
	return nil
}

func (p *PRFInputs) checkRequest(allowed []ctap2.CredentialDescriptor) error {
	if p == nil || len(p.EvalByCredential) == 0 {
		return nil
	}
	if len(allowed) == 0 {
		return unsupportedExtension("prf.evalByCredential", "without allowCredentials")
	}
	for id := range p.EvalByCredential {
		isID := func(c ctap2.CredentialDescriptor) bool { return string(c.ID) == id }
		if !slices.ContainsFunc(allowed, isID) {
			return errors.New("extensions.prf.evalByCredential: a credential that is not in allowCredentials")
		}
	}
	return nil
}

func unsupportedExtension(name, format string, args ...any) error {
	return fmt.Errorf("extensions.%s: %s: %w", name, fmt.Sprintf(format, args...), errors.ErrUnsupported)
}
