package cose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// ParsePKIX decodes a DER SubjectPublicKeyInfo, the form in which WebAuthn's getPublicKey() and most servers keep
// keys. An RSA or elliptic curve key does not say what algorithm it is for, so it gets the usual one of its type:
// [ES256], [ES384], [ES512], [EdDSA] or [RS256]. NewKey(alg, key.Public) makes a key for another. Keys of the
// algorithms that other packages implement say which they are.
func ParsePKIX(der []byte) (*Key, error) {
	k, err := parseExternalPKIX(der)
	if k == nil && err == nil {
		k, err = parseStandardPKIX(der)
	}
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return k, nil
}

func parseStandardPKIX(der []byte) (*Key, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	alg, err := naturalAlgorithm(pub)
	if err != nil {
		return nil, err
	}
	k := &Key{Algorithm: alg, Public: pub}
	return k, k.validate()
}

// subjectPublicKeyInfo is of RFC 5280, section 4.1.
type subjectPublicKeyInfo struct {
	Algorithm asn1.RawValue
	PublicKey asn1.BitString
}

// parseExternalPKIX returns nil without an error for what is not of an algorithm of another package.
func parseExternalPKIX(der []byte) (*Key, error) {
	var info subjectPublicKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || len(rest) != 0 {
		return nil, nil // the standard library finds a better error
	}
	for alg, p := range profiles {
		if !p.isExternal() || !bytes.Equal(p.spki, info.Algorithm.FullBytes) {
			continue
		}
		if _, err := alg.profile(); err != nil {
			return nil, err
		}
		if b := info.PublicKey; b.BitLength != 8*p.encodedSize() {
			return nil, fmt.Errorf("%v: public key of %d bits, want %d", alg, b.BitLength, 8*p.encodedSize())
		}
		pub, err := parseExternal(alg, info.PublicKey.Bytes)
		if err != nil {
			return nil, err
		}
		k := &Key{Algorithm: alg, Public: pub}
		return k, k.validate()
	}
	return nil, nil
}

// MarshalPKIX returns k as a DER SubjectPublicKeyInfo.
func (k *Key) MarshalPKIX() ([]byte, error) {
	der, err := k.marshalPKIX()
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return der, nil
}

func (k *Key) marshalPKIX() ([]byte, error) {
	if err := k.validate(); err != nil {
		return nil, err
	}
	p := profiles[k.Algorithm]
	if !p.isExternal() {
		return x509.MarshalPKIXPublicKey(k.Public)
	}
	b, err := k.bytes()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(subjectPublicKeyInfo{
		Algorithm: asn1.RawValue{FullBytes: p.spki},
		PublicKey: asn1.BitString{Bytes: b, BitLength: 8 * len(b)},
	})
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
