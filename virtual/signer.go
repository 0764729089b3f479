package virtual

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
)

// A scheme is how credentials of one algorithm make and keep their keys and sign.
type scheme struct {
	curve elliptic.Curve // ECDSA only
	hash  crypto.Hash    // 0 where the message itself is signed
}

var schemes = map[cose.Algorithm]scheme{
	cose.ES256:   {elliptic.P256(), crypto.SHA256},
	cose.ES384:   {elliptic.P384(), crypto.SHA384},
	cose.ES512:   {elliptic.P521(), crypto.SHA512},
	cose.RS256:   {nil, crypto.SHA256},
	cose.EdDSA:   {nil, 0},
	cose.Ed25519: {nil, 0},
}

func canSign(alg cose.Algorithm) bool {
	_, ok := schemes[alg]
	return ok
}

const rsaBits = 2048

// newSigner makes a key pair. That of RS256 takes up to some seconds.
func newSigner(alg cose.Algorithm) (crypto.Signer, error) {
	s, ok := schemes[alg]
	switch {
	case !ok:
		return nil, fmt.Errorf("cannot sign with %v", alg)
	case s.curve != nil:
		return ecdsa.GenerateKey(s.curve, rand.Reader)
	case alg == cose.RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// marshalSigner returns the shortest form of a private key: the scalar, the seed, or for RSA the PKCS #1 structure.
func marshalSigner(signer crypto.Signer) ([]byte, error) {
	switch k := signer.(type) {
	case *ecdsa.PrivateKey:
		return k.Bytes()
	case ed25519.PrivateKey:
		return k.Seed(), nil
	case *rsa.PrivateKey:
		return x509.MarshalPKCS1PrivateKey(k), nil
	}
	return nil, fmt.Errorf("cannot store a %T", signer)
}

func parseSigner(alg cose.Algorithm, b []byte) (crypto.Signer, error) {
	s, ok := schemes[alg]
	switch {
	case !ok:
		return nil, fmt.Errorf("cannot sign with %v", alg)
	case s.curve != nil:
		return ecdsa.ParseRawPrivateKey(s.curve, b)
	case alg == cose.RS256:
		return x509.ParsePKCS1PrivateKey(b)
	case len(b) != ed25519.SeedSize:
		return nil, errors.New("Ed25519 seed of the wrong size")
	}
	return ed25519.NewKeyFromSeed(b), nil
}

// sign signs message in the form that WebAuthn gives signatures.
func sign(alg cose.Algorithm, signer crypto.Signer, message []byte) ([]byte, error) {
	hash := schemes[alg].hash
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return signer.Sign(rand.Reader, message, hash)
}
