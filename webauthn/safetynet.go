package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
)

// verifySafetyNet is the procedure of WebAuthn Level 3, section 8.5.
func verifySafetyNet(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"ver", "response"})
	if err != nil {
		return nil, err
	}
	if ver, err := m.text("ver"); err != nil || ver == "" {
		return nil, errors.New("ver is not a text with a version")
	}
	response, err := m.bytes("response")
	if err != nil {
		return nil, err
	}
	jws, err := parseJWS(response)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	path, err := parseCertificates(jws.header.X5C)
	if err != nil {
		return nil, fmt.Errorf("response: x5c: %w", err)
	}
	if err := verifyByLeaf(path[0], cose.RS256, jws.signed, jws.sig); err != nil {
		return nil, err
	}
	if err := path[0].VerifyHostname("attest.android.com"); err != nil {
		return nil, err
	}
	if err := jws.payload.check(s.message); err != nil {
		return nil, err
	}
	return s.certified(AttestationBasic, path, UncheckedHardware, UncheckedTime), nil
}

// A jws is what SafetyNet answered: RFC 7515, compact serialization.
type jws struct {
	header struct {
		Alg string   `json:"alg"`
		X5C [][]byte `json:"x5c"` // encoding/json decodes the standard base64 that RFC 7515 demands here
	}
	payload safetyNetPayload
	signed  []byte // header and payload as they came
	sig     []byte
}

type safetyNetPayload struct {
	Nonce           string `json:"nonce"`
	CTSProfileMatch bool   `json:"ctsProfileMatch"` // the device passed the tests of an Android device
}

func parseJWS(b []byte) (*jws, error) {
	parts := bytes.Split(b, []byte("."))
	if len(parts) != 3 {
		return nil, errors.New("not a JWS of three parts")
	}
	j := &jws{signed: b[:len(parts[0])+1+len(parts[1])]}
	if err := decodeJSONPart(parts[0], &j.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := decodeJSONPart(parts[1], &j.payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	var err error
	if j.sig, err = decodePart(parts[2]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if j.header.Alg != "RS256" {
		return nil, fmt.Errorf("signed with %q, want RS256", j.header.Alg)
	}
	if len(j.header.X5C) == 0 {
		return nil, errors.New("no certificate")
	}
	return j, nil
}

func decodePart(part []byte) ([]byte, error) {
	return base64.RawURLEncoding.Strict().AppendDecode(nil, part)
}

func decodeJSONPart(part []byte, v any) error {
	b, err := decodePart(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (p *safetyNetPayload) check(message []byte) error {
	digest := sha256.Sum256(message)
	switch {
	case p.Nonce != base64.StdEncoding.EncodeToString(digest[:]):
		return errors.New("the response is for another authenticator data or client data")
	case !p.CTSProfileMatch:
		return errors.New("the device is not one that Google has certified")
	}
	return nil
}
