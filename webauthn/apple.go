package webauthn

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
)

var oidAppleNonce = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}

// verifyApple is the procedure of WebAuthn Level 3, section 8.8. There is no signature but the certificate's own: all
// of it hangs on the trust anchor.
func verifyApple(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"x5c"})
	if err != nil {
		return nil, err
	}
	path, err := m.certificates()
	if err != nil {
		return nil, err
	}
	value, _ := extension(path[0], oidAppleNonce)
	var claimed struct {
		Nonce []byte `asn1:"explicit,tag:1"`
	}
	rest, err := asn1.Unmarshal(value, &claimed)
	if err != nil || len(rest) != 0 {
		return nil, errors.New("the certificate has no nonce")
	}
	nonce := sha256.Sum256(s.message)
	if subtle.ConstantTimeCompare(claimed.Nonce, nonce[:]) != 1 {
		return nil, errors.New("the certificate is for another authenticator data or client data")
	}
	if err := s.credentialKeyIs(path[0].PublicKey); err != nil {
		return nil, err
	}
	return s.certified(AttestationAnonCA, path), nil
}
