package ctap2

import (
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// MakeCredentialExtensions are the extension inputs of a new credential (section 12). A zero member is not sent.
type MakeCredentialExtensions struct {
	CredProtect         uint                  `cbor:"credProtect,omitempty"`  // [CredProtectUVOptional] and so on
	CredBlob            []byte                `cbor:"credBlob,omitempty"`     // at most Info.MaxCredBlobLength bytes
	LargeBlobKey        bool                  `cbor:"largeBlobKey,omitempty"` // resident credentials only
	LargeBlob           LargeBlobSupportInput `cbor:"largeBlob,omitempty"`    // CTAP 2.3; not together with LargeBlobKey
	MinPINLength        bool                  `cbor:"minPinLength,omitempty"`
	PINComplexityPolicy bool                  `cbor:"pinComplexityPolicy,omitempty"`
	HMACSecret          bool                  `cbor:"hmac-secret,omitempty"`
	HMACSecretMC        *HMACSecretInput      `cbor:"hmac-secret-mc,omitempty"` // together with HMACSecret
	ThirdPartyPayment   bool                  `cbor:"thirdPartyPayment,omitempty"`
}

// MakeCredentialOutputs are the extension outputs in the authenticator data of a new credential. The extensions
// largeBlobKey and largeBlob answer outside of it, and thirdPartyPayment not at all.
type MakeCredentialOutputs struct {
	CredProtect         uint   `cbor:"credProtect,omitempty"`
	CredBlob            bool   `cbor:"credBlob,omitempty"`            // it is stored
	MinPINLength        uint64 `cbor:"minPinLength,omitempty"`        // Unicode code points; 0: the RP may not know
	PINComplexityPolicy *bool  `cbor:"pinComplexityPolicy,omitempty"` // nil: the RP may not know
	HMACSecret          bool   `cbor:"hmac-secret,omitempty"`
	HMACSecretMC        []byte `cbor:"hmac-secret-mc,omitempty"` // encrypted, see [NewHMACSecretInput]
}

// GetAssertionExtensions are the extension inputs of an assertion (section 12). A zero member is not sent.
type GetAssertionExtensions struct {
	CredBlob          bool             `cbor:"credBlob,omitempty"`
	LargeBlobKey      bool             `cbor:"largeBlobKey,omitempty"`
	LargeBlob         LargeBlobInput   `cbor:"largeBlob,omitempty"` // CTAP 2.3; not together with LargeBlobKey
	HMACSecret        *HMACSecretInput `cbor:"hmac-secret,omitempty"`
	ThirdPartyPayment bool             `cbor:"thirdPartyPayment,omitempty"`
}

// GetAssertionOutputs are the extension outputs in the authenticator data of an assertion. The extensions
// largeBlobKey and largeBlob answer outside of it.
type GetAssertionOutputs struct {
	CredBlob          []byte `cbor:"credBlob,omitzero"`           // empty if the credential has none
	HMACSecret        []byte `cbor:"hmac-secret,omitempty"`       // encrypted, see [NewHMACSecretInput]
	ThirdPartyPayment bool   `cbor:"thirdPartyPayment,omitempty"` // the credential was made for it
}

// Levels of the credProtect extension (section 12.1).
const (
	CredProtectUVOptional       = 1 // userVerificationOptional
	CredProtectUVOptionalWithID = 2 // userVerificationOptionalWithCredentialIDList
	CredProtectUVRequired       = 3 // userVerificationRequired
)

// LargeBlobSupportInput says whether a new credential needs room for a large blob of its own (extension largeBlob,
// section 12.4).
type LargeBlobSupportInput struct {
	Support string `cbor:"support,omitempty"` // [LargeBlobRequired] or [LargeBlobPreferred]
}

// How much a new credential needs room for a large blob.
const (
	LargeBlobRequired  = "required"
	LargeBlobPreferred = "preferred"
)

// LargeBlobInput reads or writes the large blob of the credential that signs (extension largeBlob, section 12.4).
type LargeBlobInput struct {
	Read         bool   `cbor:"read,omitempty"`
	Write        []byte `cbor:"write,omitempty"`        // compressed: [CompressLargeBlob]
	OriginalSize uint64 `cbor:"originalSize,omitempty"` // of what is written, before it was compressed
}

// HMACSecretInput asks for one or two secrets of a credential (extensions hmac-secret and hmac-secret-mc, sections
// 12.7 and 12.8).
type HMACSecretInput struct {
	KeyAgreement      *cose.Key   `cbor:"1,keyasint"` // the platform's
	SaltEnc           []byte      `cbor:"2,keyasint"`
	SaltAuth          []byte      `cbor:"3,keyasint"`
	PINUVAuthProtocol PINProtocol `cbor:"4,keyasint,omitempty"`
}

// NewHMACSecretInput encrypts one salt of 32 bytes, or two as 64 bytes, for the authenticator that shares s. The
// answer is encrypted with the same secret: [SharedSecret.Decrypt].
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

// UnsignedOutputs are the extension outputs that an authenticator does not sign. The zero value says nothing.
type UnsignedOutputs struct {
	LargeBlob LargeBlobOutput `cbor:"largeBlob,omitempty"`
}

// LargeBlobOutput is the output of the extension largeBlob: Supported for a new credential, Blob or Written for an
// assertion.
type LargeBlobOutput struct {
	Supported    bool   `cbor:"supported,omitempty"`
	Blob         []byte `cbor:"blob,omitempty"`         // nil: there is none; compressed: [InflateLargeBlob]
	OriginalSize uint64 `cbor:"originalSize,omitempty"` // of Blob, once it is inflated; untrusted
	Written      bool   `cbor:"written,omitempty"`
}

// UnsignedOutputs decodes the unsigned extension outputs. What is not known here stays in UnsignedExtensionOutputs.
func (r *MakeCredentialResponse) UnsignedOutputs() (*UnsignedOutputs, error) {
	return unsignedOutputs(CommandMakeCredential, r.UnsignedExtensionOutputs)
}

// UnsignedOutputs decodes the unsigned extension outputs. What is not known here stays in UnsignedExtensionOutputs.
func (r *GetAssertionResponse) UnsignedOutputs() (*UnsignedOutputs, error) {
	return unsignedOutputs(CommandGetAssertion, r.UnsignedExtensionOutputs)
}

func unsignedOutputs(cmd Command, raw ctapcbor.RawMessage) (*UnsignedOutputs, error) {
	outputs := new(UnsignedOutputs)
	if len(raw) == 0 {
		return outputs, nil
	}
	if err := checkExtensions(raw); err != nil {
		return nil, fmt.Errorf("ctap2: %v: %w: unsigned %w", cmd, ErrInvalidResponse, err)
	}
	if err := ctapcbor.Unmarshal(raw, outputs); err != nil {
		return nil, fmt.Errorf("ctap2: %v: %w: unsigned extension outputs: %w", cmd, ErrInvalidResponse, err)
	}
	return outputs, nil
}
