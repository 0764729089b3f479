package webauthn

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// verifyPacked is the procedure of WebAuthn Level 3, section 8.2.
func verifyPacked(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"alg", "sig"}, "x5c")
	if err != nil {
		return nil, err
	}
	alg, err := m.algorithm()
	if err != nil {
		return nil, err
	}
	sig, err := m.bytes("sig")
	if err != nil {
		return nil, err
	}
	if _, ok := m["x5c"]; !ok {
		return s.verifySelf(alg, sig)
	}
	path, err := m.certificates()
	if err != nil {
		return nil, err
	}
	if err := verifyByLeaf(path[0], alg, s.message, sig); err != nil {
		return nil, err
	}
	if err := checkPackedCertificate(path[0], s.credential.AAGUID); err != nil {
		return nil, fmt.Errorf("attestation certificate: %w", err)
	}
	return s.certified(AttestationBasic, path), nil
}

func (s *statement) verifySelf(alg cose.Algorithm, sig []byte) (*Attestation, error) {
	key := s.credential.PublicKey
	if key == nil {
		return nil, fmt.Errorf("self attestation: %w", cose.ErrUnsupportedAlgorithm)
	}
	if alg != key.Algorithm {
		return nil, fmt.Errorf("self attestation with %v by a key for %v", alg, key.Algorithm)
	}
	if err := key.Verify(s.message, sig); err != nil {
		return nil, err
	}
	return s.result(AttestationSelf), nil
}

// oidSerialNumber is id-fido-gen-ce-sernum, of keys that a company has bought and recognizes.
var oidSerialNumber = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 2}

// checkPackedCertificate checks the requirements of WebAuthn Level 3, sections 8.2.1 and 8.2.2.
func checkPackedCertificate(cert *x509.Certificate, aaguid ctap2.AAGUID) error {
	subject := cert.Subject
	switch {
	case cert.Version != 3:
		return fmt.Errorf("version %d, want 3", cert.Version)
	case len(subject.Country) != 1 || !isCountryCode(subject.Country[0]):
		return fmt.Errorf("subject country %q is not one code of two letters", subject.Country)
	case len(subject.Organization) != 1 || subject.Organization[0] == "":
		return errors.New("no subject organization")
	case len(subject.OrganizationalUnit) != 1 || subject.OrganizationalUnit[0] != "Authenticator Attestation":
		return fmt.Errorf("subject unit %q is not Authenticator Attestation", subject.OrganizationalUnit)
	case subject.CommonName == "":
		return errors.New("no subject common name")
	}
	if err := checkNotCA(cert); err != nil {
		return err
	}
	if _, critical := extension(cert, oidSerialNumber); critical {
		return errors.New("the serial number extension is critical")
	}
	return checkAAGUIDExtension(cert, aaguid)
}

func checkNotCA(cert *x509.Certificate) error {
	switch {
	case !cert.BasicConstraintsValid:
		return errors.New("no basic constraints")
	case cert.IsCA:
		return errors.New("it is for a CA")
	}
	return nil
}

func isCountryCode(s string) bool {
	isLetter := func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
	return len(s) == 2 && isLetter(s[0]) && isLetter(s[1])
}
