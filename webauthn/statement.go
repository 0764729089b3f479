package webauthn

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// fields are the members of a statement that is a map.
type fields map[string]any

// members decodes the statement, which must have exactly the required members, and maybe the optional one.
func (s *statement) members(required []string, optional ...string) (fields, error) {
	items, err := decode[map[any]any](s.raw)
	if err != nil {
		return nil, err
	}
	m := make(fields, len(items))
	for label, value := range items {
		name, ok := label.(string)
		if !ok || !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return nil, fmt.Errorf("unknown member %v", label)
		}
		m[name] = value
	}
	for _, name := range required {
		if _, ok := m[name]; !ok {
			return nil, fmt.Errorf("member %s is missing", name)
		}
	}
	return m, nil
}

func (m fields) text(name string) (string, error) {
	v, ok := m[name].(string)
	if !ok {
		return "", fmt.Errorf("%s is not text", name)
	}
	return v, nil
}

func (m fields) bytes(name string) ([]byte, error) {
	v, ok := m[name].([]byte)
	if !ok {
		return nil, fmt.Errorf("%s is not a byte string", name)
	}
	return v, nil
}

// algorithm returns member alg. All the algorithms that sign have negative numbers, which alone decode as int64.
func (m fields) algorithm() (cose.Algorithm, error) {
	n, ok := m["alg"].(int64)
	if !ok || n < math.MinInt32 {
		return 0, errors.New("alg is not a negative number of 32 bits")
	}
	return cose.Algorithm(n), nil
}

// maxCertificates is far above what any authenticator sends, and bounds what a hostile one can make us do.
const maxCertificates = 16

// certificates returns member x5c: at least one certificate, the leaf first.
func (m fields) certificates() ([]*x509.Certificate, error) {
	list, ok := m["x5c"].([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("x5c is not a list of certificates")
	}
	ders := make([][]byte, len(list))
	for i, item := range list {
		if ders[i], ok = item.([]byte); !ok {
			return nil, errors.New("x5c is not a list of certificates")
		}
	}
	certs, err := parseCertificates(ders)
	if err != nil {
		return nil, fmt.Errorf("x5c: %w", err)
	}
	return certs, nil
}

func parseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) > maxCertificates {
		return nil, fmt.Errorf("%d certificates, want at most %d", len(ders), maxCertificates)
	}
	certs := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if err := checkCertificateKey(cert); err != nil {
			return nil, err
		}
		certs[i] = cert
	}
	return certs, nil
}

// checkCertificateKey bounds the time that verifying with the key takes: crypto/x509 would let an RSA modulus fill the
// certificate.
func checkCertificateKey(cert *x509.Certificate) error {
	const maxModulusBits = 8192
	if pub, ok := cert.PublicKey.(*rsa.PublicKey); ok && pub.N.BitLen() > maxModulusBits {
		return fmt.Errorf("certificate with an RSA key of %d bits, want at most %d", pub.N.BitLen(), maxModulusBits)
	}
	return nil
}

// certificateKey returns the key of a certificate for alg.
func certificateKey(cert *x509.Certificate, alg cose.Algorithm) (*cose.Key, error) {
	pub := cert.PublicKey
	if pub == nil { // crypto/x509 does not know its type
		key, err := cose.ParsePKIX(cert.RawSubjectPublicKeyInfo)
		if err != nil {
			return nil, err
		}
		pub = key.Public
	}
	return cose.NewKey(alg, pub)
}

// verifyByLeaf checks what the owner of a certificate signed. SHA-1 is for TPMs only, which call this not.
func verifyByLeaf(leaf *x509.Certificate, alg cose.Algorithm, message, sig []byte) error {
	if alg == cose.RS1 {
		return fmt.Errorf("%w RS1 outside of TPMs", cose.ErrUnsupportedAlgorithm)
	}
	key, err := certificateKey(leaf, alg)
	if err != nil {
		return err
	}
	return key.Verify(message, sig)
}

// credentialKeyIs checks that the credential's key is pub.
func (s *statement) credentialKeyIs(pub crypto.PublicKey) error {
	key := s.credential.PublicKey
	if key == nil {
		return fmt.Errorf("credential key: %w", cose.ErrUnsupportedAlgorithm)
	}
	comparable, ok := key.Public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !comparable.Equal(pub) {
		return errors.New("it is about another key than the credential's")
	}
	return nil
}

// extension returns the value of an extension of a certificate, nil when it is not there. There are not two: for
// crypto/x509 that is an error.
func extension(cert *x509.Certificate, oid asn1.ObjectIdentifier) (value []byte, critical bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oid) {
			return e.Value, e.Critical
		}
	}
	return nil, false
}

var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4} // id-fido-gen-ce-aaguid

// checkAAGUIDExtension checks the extension that binds a certificate to a model. It may be missing where the root
// stands for one model only.
func checkAAGUIDExtension(cert *x509.Certificate, aaguid ctap2.AAGUID) error {
	value, critical := extension(cert, oidAAGUID)
	switch {
	case value == nil:
		return nil
	case critical:
		return errors.New("the AAGUID extension is critical")
	}
	var id []byte
	rest, err := asn1.Unmarshal(value, &id)
	if err != nil || len(rest) != 0 || string(id) != string(aaguid[:]) {
		return fmt.Errorf("the AAGUID extension %x is not an octet string with %v", value, aaguid)
	}
	return nil
}
