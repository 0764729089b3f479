// Package attest makes attestation statements of every format that WebAuthn Level 3 has, as authenticators and their
// makers would, with certificates of an authority that exists for one test.
//
//	ca, err := attest.NewAuthority()
//	statement, err := ca.Statement("tpm", &attest.Registration{...})
//
// The verifier must accept what comes out; a test that wants it to refuse changes something first.
package attest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"   // for crypto.SHA1
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// Registration is what a statement is about, and how a test wants it.
type Registration struct {
	AuthData       []byte // with a credential
	ClientDataHash []byte // 32 bytes
	Algorithm      cose.Algorithm
	Key            crypto.Signer // of the credential

	// Attester is the algorithm of the maker's key; 0 means ES256. RS1 is for tpm.
	Attester cose.Algorithm

	// The following change something before it is signed. Nil changes nothing.
	Leaf     func(template *x509.Certificate)
	PubArea  func([]byte) []byte  // tpm
	CertInfo func([]byte) []byte  // tpm
	Payload  func(map[string]any) // android-safetynet

	Parts []string // the formats of a compound statement; nil means packed and fido-u2f
}

// Formats are the names that [Authority.Statement] takes. "self" is the packed format without a certificate.
var Formats = []string{
	"none", "self", "packed", "fido-u2f", "tpm", "android-key", "apple", "android-safetynet", "compound",
}

// Statement returns a statement for CBOR to encode: a map[string]any, or for "compound" a []any of maps.
func (a *Authority) Statement(format string, r *Registration) (any, error) {
	switch format {
	case "none":
		return map[string]any{}, nil
	case "self":
		return self(r)
	case "packed":
		return a.packed(r)
	case "fido-u2f":
		return a.fidoU2F(r)
	case "tpm":
		return a.tpm(r)
	case "android-key":
		return a.androidKey(r)
	case "apple":
		return a.apple(r)
	case "android-safetynet":
		return a.safetyNet(r)
	case "compound":
		return a.compound(r)
	}
	return nil, fmt.Errorf("attest: no format %q", format)
}

// Name returns the name that the format has on the wire.
func Name(format string) string {
	if format == "self" {
		return "packed"
	}
	return format
}

// message is what most formats sign.
func (r *Registration) message() []byte { return slices.Concat(r.AuthData, r.ClientDataHash) }

func (r *Registration) attester() cose.Algorithm {
	if r.Attester == 0 {
		return cose.ES256
	}
	return r.Attester
}

func (r *Registration) credential() (*ctap2.AuthenticatorData, error) {
	d, err := ctap2.ParseAuthenticatorData(r.AuthData)
	if err != nil {
		return nil, err
	}
	if d.Credential == nil {
		return nil, fmt.Errorf("attest: no credential in the authenticator data")
	}
	return d, nil
}

// Sign signs in the form that WebAuthn gives signatures, by a key of the standard library.
func Sign(alg cose.Algorithm, key crypto.Signer, message []byte) ([]byte, error) {
	hash, ok := alg.Hash()
	if !ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	opts := crypto.SignerOpts(hash)
	if alg == cose.PS256 || alg == cose.PS384 || alg == cose.PS512 {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return key.Sign(rand.Reader, digest(hash, message), opts)
}

func digest(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

func self(r *Registration) (any, error) {
	sig, err := Sign(r.Algorithm, r.Key, r.message())
	return map[string]any{"alg": r.Algorithm, "sig": sig}, err
}

func (a *Authority) compound(r *Registration) (any, error) {
	formats := r.Parts
	if formats == nil {
		formats = []string{"packed", "fido-u2f"}
	}
	var parts []any
	for _, format := range formats {
		statement, err := a.Statement(format, r)
		if err != nil {
			return nil, err
		}
		parts = append(parts, map[string]any{"fmt": Name(format), "attStmt": statement})
	}
	return parts, nil
}
