package webauthn

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// packedStatement is the attestation statement of WebAuthn Level 3, section 8.2.
type packedStatement struct {
	alg cose.Algorithm
	sig []byte
	x5c []*x509.Certificate // nil for self attestation; else leaf first, and at least that
}

func (o *AttestationObject) verifyPacked(c *ctap2.AttestedCredential, message []byte) (*Attestation, error) {
	members, err := o.statementMembers()
	if err != nil {
		return nil, err
	}
	s, err := parsePacked(members)
	if err != nil {
		return nil, err
	}
	if s.x5c == nil {
		return s.verifySelf(c, message)
	}
	return s.verifyBasic(c, message)
}

func parsePacked(members map[any]any) (s packedStatement, err error) {
	want := 2
	if x5c, ok := members["x5c"]; ok {
		want = 3
		if s.x5c, err = parseCertificates(x5c); err != nil {
			return packedStatement{}, fmt.Errorf("x5c: %w", err)
		}
	}
	alg, algOK := members["alg"].(int64) // only negative integers decode as int64
	sig, sigOK := members["sig"].([]byte)
	if !algOK || alg < math.MinInt32 || !sigOK || len(members) != want {
		return packedStatement{}, errors.New("a statement of format packed is not alg, sig and perhaps x5c")
	}
	s.alg, s.sig = cose.Algorithm(alg), sig
	return s, nil
}

func parseCertificates(x5c any) ([]*x509.Certificate, error) {
	list, ok := x5c.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("not a list of certificates")
	}
	certs := make([]*x509.Certificate, len(list))
	for i, item := range list {
		der, ok := item.([]byte)
		if !ok {
			return nil, errors.New("not a list of certificates")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs[i] = cert
	}
	return certs, nil
}

func (s *packedStatement) verifySelf(c *ctap2.AttestedCredential, message []byte) (*Attestation, error) {
	if c.PublicKey == nil {
		return nil, fmt.Errorf("self attestation: %w", cose.ErrUnsupportedAlgorithm)
	}
	if s.alg != c.PublicKey.Algorithm {
		return nil, fmt.Errorf("self attestation with %v by a key for %v", s.alg, c.PublicKey.Algorithm)
	}
	if err := c.PublicKey.Verify(message, s.sig); err != nil {
		return nil, err
	}
	return &Attestation{Type: AttestationSelf, AAGUID: c.AAGUID}, nil
}

func (s *packedStatement) verifyBasic(c *ctap2.AttestedCredential, message []byte) (*Attestation, error) {
	leaf := s.x5c[0]
	key, err := cose.NewKey(s.alg, leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := key.Verify(message, s.sig); err != nil {
		return nil, err
	}
	if err := checkPackedCertificate(leaf, c.AAGUID); err != nil {
		return nil, fmt.Errorf("attestation certificate: %w", err)
	}
	return &Attestation{Type: AttestationBasic, AAGUID: c.AAGUID, TrustPath: s.x5c}, nil
}

// checkPackedCertificate checks the requirements of WebAuthn Level 3, section 8.2.1.
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
	case !cert.BasicConstraintsValid:
		return errors.New("no basic constraints")
	case cert.IsCA:
		return errors.New("it is for a CA")
	}
	return checkAAGUIDExtension(cert, aaguid)
}

func isCountryCode(s string) bool {
	isLetter := func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
	return len(s) == 2 && isLetter(s[0]) && isLetter(s[1])
}

var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4} // id-fido-gen-ce-aaguid

// checkAAGUIDExtension checks the extension that binds a certificate to a model. It may be missing where the root
// stands for one model only; and crypto/x509 refuses certificates that have it twice.
func checkAAGUIDExtension(cert *x509.Certificate, aaguid ctap2.AAGUID) error {
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(oidAAGUID) {
			continue
		}
		if extension.Critical {
			return errors.New("the AAGUID extension is critical")
		}
		var value []byte
		rest, err := asn1.Unmarshal(extension.Value, &value)
		if err != nil || len(rest) != 0 || string(value) != string(aaguid[:]) {
			return fmt.Errorf("the AAGUID extension %x is not an octet string with %v", extension.Value, aaguid)
		}
	}
	return nil
}
