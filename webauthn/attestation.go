package webauthn

import (
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

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

// parseAttestationObject decodes into a map, so that members that do not belong there are seen.
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
