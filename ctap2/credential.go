package ctap2

import "github.com/keyfob-go/keyfob/cose"

// RelyingParty names the party that a credential is for (PublicKeyCredentialRpEntity).
type RelyingParty struct {
	ID   string `cbor:"id"`
	Name string `cbor:"name,omitempty"`
}

// User names the account that a credential is for (PublicKeyCredentialUserEntity). An authenticator may shorten the
// names, even in the middle of a character, so names that it returns need not be valid UTF-8.
type User struct {
	ID          []byte `cbor:"id"` // user handle, 1 to 64 bytes
	Name        string `cbor:"name,omitempty"`
	DisplayName string `cbor:"displayName,omitempty"`
}

// PublicKeyType is the only type of credential there is.
const PublicKeyType = "public-key"

// CredentialParameter is an algorithm that a credential may have (PublicKeyCredentialParameters).
type CredentialParameter struct {
	Algorithm cose.Algorithm `cbor:"alg"`
	Type      string         `cbor:"type"` // [PublicKeyType]
}

// CredentialDescriptor points at one credential (PublicKeyCredentialDescriptor).
type CredentialDescriptor struct {
	ID         []byte   `cbor:"id"`
	Type       string   `cbor:"type"` // [PublicKeyType]
	Transports []string `cbor:"transports,omitempty"`
}
