package webauthn

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// verifyTPM is the procedure of WebAuthn Level 3, section 8.3. The signature has the form of WebAuthn, as all TPM
// authenticators and the W3C's test vector send it, and not that of TPMT_SIGNATURE, as the section says.
func verifyTPM(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"ver", "alg", "x5c", "sig", "certInfo", "pubArea"})
	if err != nil {
		return nil, err
	}
	if ver, err := m.text("ver"); err != nil || ver != "2.0" {
		return nil, errors.New("ver is not 2.0")
	}
	path, err := m.certificates()
	if err != nil {
		return nil, err
	}
	alg, certInfo, err := m.signedByTPM(path[0])
	if err != nil {
		return nil, err
	}
	pubArea, err := m.bytes("pubArea")
	if err != nil {
		return nil, err
	}
	if err := s.checkTPMKey(alg, certInfo, pubArea); err != nil {
		return nil, err
	}
	if err := checkTPMCertificate(path[0], s.credential.AAGUID); err != nil {
		return nil, fmt.Errorf("attestation certificate: %w", err)
	}
	return s.certified(AttestationAttCA, path, UncheckedManufacturer), nil
}

// signedByTPM returns certInfo after it has verified its signature. This is where RS1 is accepted.
func (m fields) signedByTPM(leaf *x509.Certificate) (alg cose.Algorithm, certInfo []byte, err error) {
	if alg, err = m.algorithm(); err != nil {
		return 0, nil, err
	}
	sig, err := m.bytes("sig")
	if err != nil {
		return 0, nil, err
	}
	if certInfo, err = m.bytes("certInfo"); err != nil {
		return 0, nil, err
	}
	key, err := certificateKey(leaf, alg)
	if err != nil {
		return 0, nil, err
	}
	return alg, certInfo, key.Verify(certInfo, sig)
}

// checkTPMKey checks that certInfo is about pubArea and this registration, and that pubArea is the credential's key.
func (s *statement) checkTPMKey(alg cose.Algorithm, certInfo, pubArea []byte) error {
	info, err := parseTPMCertifyInfo(certInfo)
	if err != nil {
		return fmt.Errorf("certInfo: %w", err)
	}
	hash, ok := alg.Hash()
	if !ok {
		return fmt.Errorf("%v has no hash for certInfo", alg)
	}
	if !bytes.Equal(info.extraData, digest(hash, s.message)) {
		return errors.New("certInfo is for another authenticator data or client data")
	}
	public, err := parseTPMPublic(pubArea)
	if err != nil {
		return fmt.Errorf("pubArea: %w", err)
	}
	if !bytes.Equal(info.name, public.name) {
		return errors.New("certInfo is about another pubArea")
	}
	if err := s.credentialKeyIs(public.key); err != nil {
		return fmt.Errorf("pubArea: %w", err)
	}
	return nil
}

func digest(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidAIKCertificate  = asn1.ObjectIdentifier{2, 23, 133, 8, 3} // tcg-kp-AIKCertificate
	oidTPMManufacturer = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidTPMModel        = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidTPMVersion      = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// checkTPMCertificate checks the requirements of WebAuthn Level 3, section 8.3.1.
func checkTPMCertificate(cert *x509.Certificate, aaguid ctap2.AAGUID) error {
	isAIK := func(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidAIKCertificate) }
	switch {
	case cert.Version != 3:
		return fmt.Errorf("version %d, want 3", cert.Version)
	case len(cert.Subject.Names) != 0:
		return fmt.Errorf("subject %v is not empty", cert.Subject)
	case !slices.ContainsFunc(cert.UnknownExtKeyUsage, isAIK):
		return errors.New("it is not for an attestation identity key")
	}
	if err := checkNotCA(cert); err != nil {
		return err
	}
	if err := checkTPMName(cert); err != nil {
		return fmt.Errorf("subject alternative name: %w", err)
	}
	return checkAAGUIDExtension(cert, aaguid)
}

// isTPMVendor says that s is a manufacturer's four letters in hexadecimal, as in "id:494E5443" for INTC.
func isTPMVendor(s string) bool {
	letters, ok := strings.CutPrefix(s, "id:")
	b, err := hex.DecodeString(letters)
	return ok && err == nil && len(b) == 4
}

// checkTPMName checks the name of the TPM: TCG EK Credential Profile for TPM 2.0, section 3.2.9. Its three attributes
// come in one set or in three, and in any order.
func checkTPMName(cert *x509.Certificate) error {
	value, _ := extension(cert, oidSubjectAltName)
	name, err := directoryName(value)
	if err != nil {
		return err
	}
	attributes := make(map[string]string)
	for _, set := range name {
		for _, attribute := range set {
			text, _ := attribute.Value.(string)
			attributes[attribute.Type.String()] = text
		}
	}
	switch {
	case !isTPMVendor(attributes[oidTPMManufacturer.String()]):
		return fmt.Errorf("TPM manufacturer %q", attributes[oidTPMManufacturer.String()])
	case attributes[oidTPMModel.String()] == "":
		return errors.New("no TPM model")
	case attributes[oidTPMVersion.String()] == "":
		return errors.New("no TPM version")
	}
	return nil
}

// directoryName returns the first directoryName among general names, RFC 5280 section 4.2.1.6.
func directoryName(generalNames []byte) (name pkix.RDNSequence, err error) {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(generalNames, &names); err != nil || len(rest) != 0 {
		return nil, errors.New("not a list of names")
	}
	const tagDirectoryName = 4
	for _, n := range names {
		if n.Class != asn1.ClassContextSpecific || n.Tag != tagDirectoryName {
			continue
		}
		if rest, err := asn1.Unmarshal(n.Bytes, &name); err != nil || len(rest) != 0 {
			return nil, errors.New("not a directory name")
		}
		return name, nil
	}
	return nil, errors.New("no directory name")
}
