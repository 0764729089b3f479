package webauthn

import (
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// CreationOptions are what a relying party wants of a new credential: PublicKeyCredentialCreationOptionsJSON, WebAuthn
// Level 3, section 5.4. Members without a comment are as they stand in the JSON.
type CreationOptions struct {
	RP        ctap2.RelyingParty // an empty ID stands for the host of the origin: see [OriginPolicy.Resolve]
	User      ctap2.User         // ID of 1 to 64 bytes
	Challenge []byte             // at least 1 byte, and should be 16 or more

	// PubKeyCredParams are the algorithms of public-key credentials, best first. None stand for [cose.ES256] and
	// [cose.RS256].
	PubKeyCredParams []cose.Algorithm

	Timeout            time.Duration                // 0 stands for the client's own idea; at most 2^32-1 ms
	ExcludeCredentials []ctap2.CredentialDescriptor // each with an ID of 1 to 1023 bytes; an empty Type is public-key

	AuthenticatorSelection AuthenticatorSelection
	Hints                  []string // best first: "security-key", "client-device", "hybrid", and others to be ignored
	Attestation            Conveyance
	AttestationFormats     []string // best first

	Extensions Extensions
}

// AuthenticatorSelection says which authenticators will do (WebAuthn Level 3, section 5.4.4).
type AuthenticatorSelection struct {
	Attachment       Attachment  // empty: any
	ResidentKey      Requirement // empty: [Discouraged]
	UserVerification Requirement // empty: [Preferred]
}

// RequestOptions are what a relying party wants of an authentication: PublicKeyCredentialRequestOptionsJSON, WebAuthn
// Level 3, section 5.5. Members without a comment are as they stand in the JSON.
type RequestOptions struct {
	Challenge        []byte                       // at least 1 byte, and should be 16 or more
	Timeout          time.Duration                // 0 stands for the client's own idea; at most 2^32-1 ms
	RPID             string                       // empty stands for the host of the origin: see [OriginPolicy.Resolve]
	AllowCredentials []ctap2.CredentialDescriptor // empty: any that is discoverable; each as in ExcludeCredentials
	UserVerification Requirement                  // empty: [Preferred]
	Hints            []string                     // as in CreationOptions
	Extensions       Extensions
}

// Requirement is how much a relying party wants something. Each member says what it is when it is empty.
type Requirement string

// The requirements.
const (
	Required    Requirement = "required"
	Preferred   Requirement = "preferred"
	Discouraged Requirement = "discouraged"
)

// Attachment is how an authenticator is connected (WebAuthn Level 3, section 5.4.5). Empty means that nobody says.
type Attachment string

// The attachments.
const (
	Platform      Attachment = "platform"       // part of the computer
	CrossPlatform Attachment = "cross-platform" // goes from computer to computer, as security keys do
)

// Conveyance is how much a relying party wants to know about where a credential comes from (WebAuthn Level 3, section
// 5.4.7). Empty is [ConveyNone].
type Conveyance string

// The conveyances.
const (
	ConveyNone       Conveyance = "none"       // nothing
	ConveyIndirect   Conveyance = "indirect"   // the attestation, or what the client makes of it to protect the user
	ConveyDirect     Conveyance = "direct"     // the attestation as the authenticator made it
	ConveyEnterprise Conveyance = "enterprise" // one that may name the single authenticator
)

// The largest timeout, an unsigned long of Web IDL in milliseconds.
const maxTimeout = (1<<32 - 1) * time.Millisecond

// The lengths of a user handle and a credential ID, WebAuthn Level 3, section 4.
const (
	maxUserHandle   = 64
	maxCredentialID = 1023
)

// Validate returns nil for options that a client can work with: with binary members of the lengths that are said there,
// at most 256 credentials, and extensions that make sense for a registration. Options that were decoded from JSON are
// valid. The error names the member, and wraps [errors.ErrUnsupported] where browsers throw a NotSupportedError.
func (o *CreationOptions) Validate() error {
	if err := o.check(); err != nil {
		return fmt.Errorf("webauthn: creation options: %w", err)
	}
	return nil
}

// Validate is for an authentication what it is for a registration.
func (o *RequestOptions) Validate() error {
	if err := o.check(); err != nil {
		return fmt.Errorf("webauthn: request options: %w", err)
	}
	return nil
}

func (o *CreationOptions) check() error {
	if err := inRange("user.id", len(o.User.ID), maxUserHandle); err != nil {
		return err
	}
	if err := inRange("challenge", len(o.Challenge), maxJSON); err != nil {
		return err
	}
	if err := checkCredentials("excludeCredentials", o.ExcludeCredentials); err != nil {
		return err
	}
	return o.Extensions.checkCreation()
}

func (o *RequestOptions) check() error {
	if err := inRange("challenge", len(o.Challenge), maxJSON); err != nil {
		return err
	}
	if err := checkCredentials("allowCredentials", o.AllowCredentials); err != nil {
		return err
	}
	return o.Extensions.checkRequest(o.AllowCredentials)
}

func checkCredentials(name string, credentials []ctap2.CredentialDescriptor) error {
	if len(credentials) > maxItems {
		return fmt.Errorf("%s: %d items, want %d at most", name, len(credentials), maxItems)
	}
	for i, c := range credentials {
		if err := inRange(fmt.Sprintf("%s[%d].id", name, i), len(c.ID), maxCredentialID); err != nil {
			return err
		}
	}
	return nil
}

func inRange(name string, n, most int) error {
	if n < 1 || n > most {
		return fmt.Errorf("%s: %d bytes, want 1 to %d", name, n, most)
	}
	return nil
}
