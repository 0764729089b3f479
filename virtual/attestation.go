package virtual

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// packedStatement is the attestation statement of format packed, WebAuthn Level 3 section 8.2.
type packedStatement struct {
	Algorithm    cose.Algorithm `cbor:"alg"`
	Signature    []byte         `cbor:"sig"`
	Certificates [][]byte       `cbor:"x5c,omitempty"` // the leaf first; none says that the credential signed for itself
}

const (
	formatPacked = "packed"
	formatNone   = "none"
)

// attest sets the format and the statement of the response for its authenticator data.
func (a *Authenticator) attest(
	resp *ctap2.MakeCredentialResponse, c *credential, req *ctap2.MakeCredentialRequest,
) error {
	chain := a.state.Attestation
	resp.EnterpriseAttestation = a.attestsForEnterprise(req)
	resp.Format = a.attestationFormat(req.AttestationFormatsPreference)
	switch {
	case resp.EnterpriseAttestation:
		return a.attestCertified(resp, chain.Enterprise, req.ClientDataHash)
	case resp.Format == formatNone:
		if !a.omitsAttestation(req.AttestationFormatsPreference) {
			resp.AttStmt = ctapcbor.RawMessage{0xa0} // an empty map
		}
		return nil
	case resp.Format != formatPacked:
		return a.attestForMakers(resp, c, req.ClientDataHash)
	case a.config.Attestation == AttestationBasic:
		return a.attestCertified(resp, chain.Certificate, req.ClientDataHash)
	}
	return a.attestPacked(resp, c, packedStatement{Algorithm: c.Algorithm}, req.ClientDataHash)
}

// attestationFormats are those that the key has, the favourite first. It can always do without.
func (a *Authenticator) attestationFormats() []string {
	switch own := a.config.Attestation; own {
	case AttestationNone:
		return []string{formatNone}
	case AttestationSelf, AttestationBasic:
		return []string{formatPacked}
	default:
		return []string{makers[own], formatPacked}
	}
}

// attestationFormat returns the first that the platform prefers of those that the key has (CTAP 2.2, section 6.1.2).
func (a *Authenticator) attestationFormat(preference []string) string {
	own := a.attestationFormats()
	if a.config.Version >= CTAP22 {
		for _, format := range preference {
			if format == formatNone || slices.Contains(own, format) {
				return format
			}
		}
	}
	return own[0]
}

// omitsAttestation reports whether the platform wants none at all, so that there is not even an empty statement
// (CTAP 2.3, section 6.1.2, step 18).
func (a *Authenticator) omitsAttestation(preference []string) bool {
	return a.config.Version >= CTAP22 && slices.Equal(preference, []string{formatNone})
}

// attestCertified signs with the certified key.
func (a *Authenticator) attestCertified(resp *ctap2.MakeCredentialResponse, leaf, clientDataHash []byte) error {
	attester := a.state.Attestation.attester()
	statement := packedStatement{Algorithm: cose.ES256, Certificates: [][]byte{leaf}}
	return a.attestPacked(resp, attester, statement, clientDataHash)
}

func (a *Authenticator) attestPacked(
	resp *ctap2.MakeCredentialResponse, attester *credential, statement packedStatement, clientDataHash []byte,
) (err error) {
	statement.Signature, err = attester.sign(slices.Concat(resp.AuthData, clientDataHash))
	if err != nil {
		return err
	}
	if a.config.Faults.BadSignature {
		spoil(statement.Signature)
	}
	resp.Format = formatPacked
	resp.AttStmt, err = ctapcbor.Marshal(statement)
	return err
}

// attestationChain is the key that signs for all new credentials, and its certificates.
type attestationChain struct {
	PrivateKey  []byte `json:"privateKey"`           // ES256
	Certificate []byte `json:"certificate"`          // DER
	Enterprise  []byte `json:"enterprise,omitempty"` // DER; for the same key, with a serial number
	Root        []byte `json:"root"`                 // DER

	key *credential // see attester; nil until then
}

// attester returns the key as a credential, which can sign.
func (c *attestationChain) attester() *credential {
	if c.key == nil {
		c.key = &credential{Algorithm: cose.ES256, PrivateKey: c.PrivateKey}
	}
	return c.key
}

func (c *attestationChain) check() error {
	if _, err := parseSigner(cose.ES256, c.PrivateKey); err != nil {
		return fmt.Errorf("attestation: %w", err)
	}
	for _, der := range [][]byte{c.Certificate, c.Root} {
		if _, err := x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("attestation: %w", err)
		}
	}
	return nil
}

// AttestationRoot returns the certificate of the authority, made up by the key itself, that its attestations lead
// to: those of U2F, and with [AttestationBasic] all. For the formats of other makers it is one that is made anew each
// time. It is nil for a key that makes no such attestations.
func (a *Authenticator) AttestationRoot() *x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.authority != nil {
		return a.authority.Root()
	}
	if !a.isCertified() {
		return nil
	}
	root, err := x509.ParseCertificate(a.state.Attestation.Root)
	if err != nil {
		panic(err) // checked when the state was loaded: cannot happen
	}
	return root
}

// isCertified reports whether the key needs certificates. U2F has no attestation without.
func (a *Authenticator) isCertified() bool {
	return a.config.Attestation == AttestationBasic || a.config.hasU2F() || a.config.attestsForEnterprises()
}

// prepareAttestation makes the certificates once, and again when they are for another AAGUID.
func (a *Authenticator) prepareAttestation() error {
	if err := a.prepareAuthority(); err != nil {
		return err
	}
	if !a.isCertified() || a.state.Attestation.isFor(&a.config) {
		return nil
	}
	chain, err := newAttestationChain(a.config.AAGUID, a.config.attestsForEnterprises())
	if err != nil {
		return err
	}
	return a.update(func(s *state) { s.Attestation = chain })
}

// oidAAGUID is id-fido-gen-ce-aaguid.
var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

func aaguidExtension(aaguid ctap2.AAGUID) pkix.Extension {
	const octetString = 0x04
	return pkix.Extension{Id: oidAAGUID, Value: append([]byte{octetString, byte(len(aaguid))}, aaguid[:]...)}
}

func (c *attestationChain) isFor(config *Config) bool {
	if c == nil || c.Enterprise == nil && config.attestsForEnterprises() {
		return false
	}
	leaf, err := x509.ParseCertificate(c.Certificate)
	if err != nil {
		return false
	}
	want := aaguidExtension(config.AAGUID)
	for _, e := range leaf.Extensions {
		if e.Id.Equal(want.Id) {
			return bytes.Equal(e.Value, want.Value)
		}
	}
	return false
}

// newAttestationChain makes certificates that meet WebAuthn Level 3 section 8.2.1.
func newAttestationChain(aaguid ctap2.AAGUID, enterprise bool) (*attestationChain, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := leafKey.Bytes()
	if err != nil {
		return nil, err
	}
	root := certificateTemplate("Authenticator Attestation CA", "keyfob virtual attestation root")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, err
	}
	issue := func(extensions ...pkix.Extension) ([]byte, error) {
		leaf := certificateTemplate("Authenticator Attestation", "keyfob virtual authenticator")
		leaf.ExtraExtensions = append(extensions, aaguidExtension(aaguid))
		return x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, rootKey)
	}
	chain := &attestationChain{PrivateKey: private, Root: rootDER}
	chain.Certificate, err = issue()
	if err == nil && enterprise {
		chain.Enterprise, err = issue(serialNumberExtension())
	}
	return chain, err
}

func certificateTemplate(unit, name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{
			Country:            []string{"AA"}, // a code that is nobody's
			Organization:       []string{"keyfob"},
			OrganizationalUnit: []string{unit},
			CommonName:         name,
		},
		// Valid on every clock: a key's certificate outlives the key.
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
	}
}
