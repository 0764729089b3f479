package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/cose"
)

// Authority is a certificate authority with a root and an intermediate, and the attestation keys that it has certified.
// It is safe for concurrent use.
type Authority struct {
	root, intermediate issuer

	mu   sync.Mutex
	keys map[string]crypto.Signer // under mu; by their kind, since RSA keys take a while
}

type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes the keys and certificates of an authority.
func NewAuthority() (*Authority, error) {
	a := &Authority{keys: make(map[string]crypto.Signer)}
	var err error
	if a.root, err = newIssuer("Root", nil); err != nil {
		return nil, err
	}
	if a.intermediate, err = newIssuer("Intermediate", &a.root); err != nil {
		return nil, err
	}
	return a, nil
}

// Root returns the certificate that all others lead to.
func (a *Authority) Root() *x509.Certificate { return a.root.cert }

// newIssuer makes a self-signed one where there is no parent.
func newIssuer(name string, parent *issuer) (issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issuer{}, err
	}
	template := template()
	template.Subject = pkix.Name{CommonName: "keyfob test authority: " + name}
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	child := issuer{template, key}
	if parent == nil {
		parent = &child
	}
	der, err := parent.issue(template, key.Public())
	if err != nil {
		return issuer{}, err
	}
	child.cert, err = x509.ParseCertificate(der)
	return child, err
}

func (i *issuer) issue(template *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template, i.cert, pub, i.key)
}

// template is valid on every clock.
func template() *x509.Certificate {
	return &x509.Certificate{
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
	}
}

// leaf has a certificate made and returns it with the intermediate's behind it, as x5c has them.
func (a *Authority) leaf(r *Registration, template *x509.Certificate, pub crypto.PublicKey) ([]any, error) {
	der, err := a.intermediate.certify(r, template, pub)
	return []any{der, a.intermediate.cert.Raw}, err
}

func (i *issuer) certify(r *Registration, template *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	if r.Leaf != nil {
		r.Leaf(template)
	}
	return i.issue(template, pub)
}

// key returns the attestation key for an algorithm.
func (a *Authority) key(alg cose.Algorithm) (crypto.Signer, error) {
	kind, make := keyMaker(alg)
	if make == nil {
		return nil, fmt.Errorf("attest: no keys for %v", alg)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if key, ok := a.keys[kind]; ok {
		return key, nil
	}
	key, err := make()
	if err == nil {
		a.keys[kind] = key
	}
	return key, err
}

// NewKey makes a key pair for an algorithm that the standard library has.
func NewKey(alg cose.Algorithm) (crypto.Signer, error) {
	_, make := keyMaker(alg)
	if make == nil {
		return nil, fmt.Errorf("attest: no keys for %v", alg)
	}
	return make()
}

// keyMaker returns a function that makes keys for alg, and a name for their kind, which several algorithms may share.
func keyMaker(alg cose.Algorithm) (kind string, make func() (crypto.Signer, error)) {
	onCurve := func(c elliptic.Curve) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
	}
	switch alg {
	case cose.ES256, cose.ESP256:
		return "P-256", onCurve(elliptic.P256())
	case cose.ES384, cose.ESP384:
		return "P-384", onCurve(elliptic.P384())
	case cose.ES512, cose.ESP512:
		return "P-521", onCurve(elliptic.P521())
	case cose.EdDSA, cose.Ed25519:
		return "Ed25519", func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}
	case cose.RS1, cose.RS256, cose.RS384, cose.RS512, cose.PS256, cose.PS384, cose.PS512:
		return "RSA", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	}
	return "", nil
}
