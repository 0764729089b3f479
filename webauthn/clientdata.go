package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// The values of [ClientData.Type].
const (
	TypeCreate = "webauthn.create" // a registration
	TypeGet    = "webauthn.get"    // an assertion
)

// ClientData says which request of which origin an authenticator answers: CollectedClientData, WebAuthn Level 3,
// section 5.8.1.
type ClientData struct {
	Type        string // TypeCreate or TypeGet
	Challenge   []byte
	Origin      string // as in "https://example.org"
	CrossOrigin bool   // asked for in a frame of another origin than a page around it
	TopOrigin   string // the top-level page's origin, or empty; only where CrossOrigin
}

// ClientDataHash returns the hash of an encoded ClientData that authenticators sign: SHA-256 of the very bytes that
// the client made, which no other encoding of the same members can replace.
func ClientDataHash(clientDataJSON []byte) [sha256.Size]byte { return sha256.Sum256(clientDataJSON) }

// JSON returns the encoded form, byte for byte the one of the specification's section 5.8.1.1, so that even a
// verifier without a JSON parser understands it. (json.Marshal makes another.) Invalid UTF-8 becomes U+FFFD.
func (c *ClientData) JSON() []byte {
	b := appendString([]byte(`{"type":`), c.Type)
	b = appendString(append(b, `,"challenge":`...), base64.RawURLEncoding.EncodeToString(c.Challenge))
	b = appendString(append(b, `,"origin":`...), c.Origin)
	b = fmt.Appendf(b, `,"crossOrigin":%t`, c.CrossOrigin)
	if c.TopOrigin != "" {
		b = appendString(append(b, `,"topOrigin":`...), c.TopOrigin)
	}
	return append(b, '}')
}

// appendString appends s as the specification's CCDToString does: unlike encoding/json, which also escapes "<" and
// has short forms for control characters.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// ParseClientData decodes b, which must hold one JSON object with at least type, challenge and origin. It ignores
// members that it does not know: browsers add some on purpose. Member names count case and must not repeat, and the
// challenge must be base64url without padding. A byte order mark is skipped. The caller checks the values.
func ParseClientData(b []byte) (*ClientData, error) {
	c, err := parseClientData(b)
	if err != nil {
		return nil, fmt.Errorf("webauthn: client data: %w", err)
	}
	return c, nil
}

func parseClientData(b []byte) (*ClientData, error) {
	members, err := strictjson.Object(bytes.TrimPrefix(b, []byte("\ufeff"))) // WebAuthn Level 3, section 7.1, step 5
	if err != nil {
		return nil, err
	}
	c := new(ClientData)
	var challenge string
	for _, m := range []struct {
		name     string
		required bool
		value    any
	}{
		{"type", true, &c.Type},
		{"challenge", true, &challenge},
		{"origin", true, &c.Origin},
		{"crossOrigin", false, &c.CrossOrigin},
		{"topOrigin", false, &c.TopOrigin},
	} {
		if err := decodeMember(members[m.name], m.required, m.value); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	c.Challenge, err = decodeChallenge(challenge)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// decodeMember refuses null, which json.Unmarshal would take for any type.
func decodeMember(raw json.RawMessage, required bool, v any) error {
	switch {
	case raw == nil && required:
		return errors.New("missing")
	case raw == nil:
		return nil
	case string(raw) == "null":
		return errors.New("null")
	}
	return json.Unmarshal(raw, v)
}

// decodeChallenge compares with the encoding again because the decoder skips line breaks and ignores unused bits.
func decodeChallenge(s string) ([]byte, error) {
	challenge, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || base64.RawURLEncoding.EncodeToString(challenge) != s {
		return nil, errors.New("challenge: not base64url without padding")
	}
	return challenge, nil
}
