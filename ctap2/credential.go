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

// Levels of the credProtect extension (section 12.1).
const (
	CredProtectUVOptional       = 1 // userVerificationOptional
	CredProtectUVOptionalWithID = 2 // userVerificationOptionalWithCredentialIDList
	CredProtectUVRequired       = 3 // userVerificationRequired
)

// HMACSecretInput asks for one or two secrets of a credential (extension hmac-secret, section 12.7).
type HMACSecretInput struct {
	KeyAgreement      *cose.Key   `cbor:"1,keyasint"` // the platform's
	SaltEnc           []byte      `cbor:"2,keyasint"`
	SaltAuth          []byte      `cbor:"3,keyasint"`
	PINUVAuthProtocol PINProtocol `cbor:"4,keyasint,omitempty"`
}

// NewHMACSecretInput encrypts one salt of 32 bytes, or two as 64 bytes, for the authenticator that shares s. The answer
// is encrypted with the same secret: [SharedSecret.Decrypt].
func NewHMACSecretInput(s *SharedSecret, salts []byte) (*HMACSecretInput, error) {
	enc, err := s.Encrypt(salts)
	if err != nil {
		return nil, err
	}
	return &HMACSecretInput{
		KeyAgreement:      s.PublicKey(),
		SaltEnc:           enc,
		SaltAuth:          s.Authenticate(enc),
		PINUVAuthProtocol: s.Protocol(),
	}, nil
}
