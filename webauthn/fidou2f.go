package webauthn

import (
	"crypto/ecdsa"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// verifyFIDOU2F is the procedure of WebAuthn Level 3, section 8.6. It does not ask for an AAGUID of zeros: the
// specification does not, though U2F keys have no other.
func verifyFIDOU2F(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"sig", "x5c"})
	if err != nil {
		return nil, err
	}
	sig, err := m.bytes("sig")
	if err != nil {
		return nil, err
	}
	path, err := m.certificates()
	if err != nil {
		return nil, err
	}
	if len(path) != 1 {
		return nil, fmt.Errorf("%d certificates, want 1", len(path))
	}
	point, err := s.credentialPoint()
	if err != nil {
		return nil, err
	}
	// The registration response that the key signed: FIDO U2F Raw Message Formats, section 4.3.
	message := slices.Concat([]byte{0}, s.rpIDHash[:], s.clientDataHash, s.credential.ID, point)
	if err := verifyByLeaf(path[0], cose.ES256, message, sig); err != nil {
		return nil, err
	}
	a := s.certified(AttestationBasic, path)
	a.AAGUID = ctap2.AAGUID{} // whatever the authenticator data says, nobody signed it
	return a, nil
}

// credentialPoint returns the credential's key as U2F writes it: uncompressed, 65 bytes.
func (s *statement) credentialPoint() ([]byte, error) {
	key := s.credential.PublicKey
	if key == nil {
		return nil, fmt.Errorf("credential key: %w", cose.ErrUnsupportedAlgorithm)
	}
	if key.Algorithm != cose.ES256 {
		return nil, fmt.Errorf("the credential's key is for %v, want ES256", key.Algorithm)
	}
	return key.Public.(*ecdsa.PublicKey).Bytes()
}
