package webauthn

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The attestation statement formats that [AttestationObject.Verify] knows.
const (
	FormatNone   = "none"
	FormatPacked = "packed"
)

// ErrUnsupportedFormat is wrapped by the error of [AttestationObject.Verify] when it does not know the format of the
// statement, which may be good or bad then.
var ErrUnsupportedFormat = errors.New("unsupported attestation statement format")

// AttestationObject is what a registration returns: the authenticator data with the new credential, and a statement
// of where the authenticator comes from. WebAuthn Level 3, section 6.5.
type AttestationObject struct {
	Format    string              // "packed", "none", ...
	Statement ctapcbor.RawMessage // CBOR, usually a map; nil stands for the empty one
	AuthData  []byte              // as signed; see ParseAuthenticatorData
}

// ParseAttestationObject decodes b, which must hold an attestation object and nothing else. It looks into neither the
// authenticator data nor the statement. The result keeps nothing of b.
func ParseAttestationObject(b []byte) (*AttestationObject, error) {
	o, err := parseAttestationObject(b)
	if err != nil {
		return nil, fmt.Errorf("webauthn: attestation object: %w", err)
	}
	return o, nil
}

// parseAttestationObject decodes into a map because the decoder matches the names of struct fields in any case.
func parseAttestationObject(b []byte) (*AttestationObject, error) {
	var members map[string]ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(b, &members); err != nil {
		return nil, err
	}
	statement, ok := members["attStmt"]
	if !ok || len(members) != 3 {
		return nil, errors.New("the members are not fmt, attStmt and authData")
	}
	format, err := decode[string](members["fmt"])
	if err != nil {
		return nil, fmt.Errorf("fmt: %w", err)
	}
	authData, err := decode[[]byte](members["authData"])
	if err != nil {
		return nil, fmt.Errorf("authData: %w", err)
	}
	return &AttestationObject{Format: format, Statement: statement, AuthData: authData}, nil
}

// decode goes through an interface because the decoder would take null, and arrays of small integers for byte
// strings.
func decode[T any](raw ctapcbor.RawMessage) (v T, err error) {
	var item any
	if err := ctapcbor.Unmarshal(raw, &item); err != nil {
		return v, err
	}
	v, ok := item.(T)
	if !ok {
		return v, fmt.Errorf("is a %T, want a %T", item, v)
	}
	return v, nil
}

// Marshal returns the encoded form in the canonical order (fmt, attStmt, authData), for what an authenticator encoded
// canonically the same bytes again. Statement must be one CBOR item.
func (o *AttestationObject) Marshal() ([]byte, error) {
	statement := o.Statement
	if statement == nil {
		statement = emptyStatement
	}
	var item ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(statement, &item); err != nil {
		return nil, fmt.Errorf("webauthn: attestation object: attStmt: %w", err)
	}
	b, err := ctapcbor.Marshal(struct {
		Format    string              `cbor:"fmt"`
		Statement ctapcbor.RawMessage `cbor:"attStmt"`
		AuthData  []byte              `cbor:"authData"`
	}{o.Format, statement, o.AuthData})
	if err != nil {
		return nil, fmt.Errorf("webauthn: attestation object: %w", err)
	}
	return b, nil
}

var emptyStatement = ctapcbor.RawMessage{0xa0}

// AttestationType says what a verified attestation statement stands on. WebAuthn Level 3, section 6.5.3. The zero
// value is none of them.
type AttestationType int

const (
	// AttestationNone is nothing: the statement is empty, and anybody could have made the credential.
	AttestationNone AttestationType = iota + 1
	// AttestationSelf is the credential's own key: its owner has it, but anybody could have made it.
	AttestationSelf
	// AttestationBasic is the key of a certificate: Basic or AttCA. Only the issuer knows which.
	AttestationBasic
)

// String returns "none", "self" or "basic".
func (t AttestationType) String() string {
	switch t {
	case AttestationNone:
		return "none"
	case AttestationSelf:
		return "self"
	case AttestationBasic:
		return "basic"
	}
	return fmt.Sprintf("AttestationType(%d)", int(t))
}

// Attestation is the result of verifying an attestation statement.
type Attestation struct {
	Type   AttestationType
	AAGUID ctap2.AAGUID // the model, as trustworthy as Type and TrustPath make it

	// TrustPath is the chain of certificates whose first one signed the statement, for AttestationBasic. Nobody has
	// verified the chain: anybody can make one. Before believing the AAGUID, verify it up to a root of the FIDO
	// Metadata Service or of the vendor, with the other certificates as intermediates.
	TrustPath []*x509.Certificate
}

// Verify checks the statement over the authenticator data and the [ClientDataHash] of 32 bytes, by the procedure of
// its format: none (WebAuthn Level 3, section 8.7) or packed (8.2, with the requirements on certificates of 8.2.1).
// Any error means that nothing was verified. It wraps [ErrUnsupportedFormat] for other formats,
// [cose.ErrUnsupportedAlgorithm] for unknown algorithms and [cose.ErrVerification] for a wrong signature.
//
// No error does not mean that the authenticator is genuine: see [Attestation]. Nor does it check the rest of what a
// relying party has to, such as the RP ID hash and the flags.
func (o *AttestationObject) Verify(clientDataHash []byte) (*Attestation, error) {
	a, err := o.verify(clientDataHash)
	if err != nil {
		return nil, fmt.Errorf("webauthn: attestation: %w", err)
	}
	return a, nil
}

func (o *AttestationObject) verify(clientDataHash []byte) (*Attestation, error) {
	message, err := signedMessage(o.AuthData, clientDataHash)
	if err != nil {
		return nil, err
	}
	d, err := ParseAuthenticatorData(o.AuthData)
	if err != nil {
		return nil, err
	}
	if d.Credential == nil {
		return nil, errors.New("no credential in the authenticator data")
	}
	switch o.Format {
	case FormatNone:
		return o.verifyNone(d.Credential)
	case FormatPacked:
		return o.verifyPacked(d.Credential, message)
	}
	return nil, fmt.Errorf("%w %q", ErrUnsupportedFormat, o.Format)
}

func (o *AttestationObject) verifyNone(c *ctap2.AttestedCredential) (*Attestation, error) {
	members, err := o.statementMembers()
	if err != nil {
		return nil, err
	}
	if len(members) != 0 {
		return nil, errors.New("a statement of format none is not empty")
	}
	return &Attestation{Type: AttestationNone, AAGUID: c.AAGUID}, nil
}

// statementMembers decodes a statement that must be a map.
func (o *AttestationObject) statementMembers() (map[any]any, error) {
	if o.Statement == nil {
		return nil, nil
	}
	members, err := decode[map[any]any](o.Statement)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return members, nil
}
