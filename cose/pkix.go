package cose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// ParsePKIX decodes a DER SubjectPublicKeyInfo, the form in which WebAuthn's getPublicKey() and most servers keep
// keys. It says nothing about the algorithm, so the key gets the usual one of its type: [ES256], [ES384], [ES512],
// [EdDSA] or [RS256]. NewKey(alg, key.Public) makes a key for another.
func ParsePKIX(der []byte) (*Key, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	alg, err := naturalAlgorithm(pub)
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return NewKey(alg, pub)
}

// MarshalPKIX returns k as a DER SubjectPublicKeyInfo.
func (k *Key) MarshalPKIX() ([]byte, error) {
	if err := k.validate(); err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return der, nil
}

func naturalAlgorithm(pub crypto.PublicKey) (Algorithm, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return RS256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return ES256, nil
		case elliptic.P384():
			return ES384, nil
		case elliptic.P521():
			return ES512, nil
		}
	}
	return 0, fmt.Errorf("%w for a %T", ErrUnsupportedAlgorithm, pub)
}
