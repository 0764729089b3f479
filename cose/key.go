package cose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
)

// Key is a public key and the one algorithm it is for. It is safe for concurrent use while nobody changes its fields.
// The zero Key is not valid: use [NewKey], [ParseKey] or [ParsePKIX].
type Key struct {
	Algorithm Algorithm

	// Public is an *ecdsa.PublicKey, an ed25519.PublicKey, an *rsa.PublicKey, or for [ECDHESHKDF256] an
	// *ecdh.PublicKey on P-256. For what another package implements it is of that package's type: see [Register].
	Public crypto.PublicKey
}

// NewKey returns the key of pub for alg, or an error when the two do not fit or pub is not a key that this package would
// accept from an authenticator: points of P-256, P-384 and P-521 must be on the curve, RSA keys have 2048 to 8192 bits
// and an odd exponent from 3 to 2^31-1. An Ed25519 key of 32 bytes that is no point just verifies nothing. The result
// shares pub.
func NewKey(alg Algorithm, pub crypto.PublicKey) (*Key, error) {
	k := &Key{Algorithm: alg, Public: pub}
	if err := k.validate(); err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return k, nil
}

// validate is [Key.fit] and the check that an EC point is on its curve, which costs much more.
func (k *Key) validate() error {
	if _, err := k.fit(); err != nil {
		return err
	}
	if pub, ok := k.Public.(*ecdsa.PublicKey); ok {
		_, err := pub.Bytes()
		return err
	}
	return nil
}

// fit reports whether the algorithm and the key belong together, with all that the other methods rely on.
func (k *Key) fit() (profile, error) {
	p, err := k.Algorithm.profile()
	if err != nil {
		return profile{}, err
	}
	ok := false
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		ok = pub != nil && p.kty == ktyEC2 && p.hash != 0 && pub.Curve == p.curve
	case *ecdh.PublicKey:
		ok = pub != nil && k.Algorithm == ECDHESHKDF256 && pub.Curve() == ecdh.P256()
	case ed25519.PublicKey:
		ok = p.crv == crvEd25519 && len(pub) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		ok = pub != nil && p.kty == ktyRSA
		if ok {
			err = checkRSA(pub)
		}
	default:
		if p.isExternal() {
			_, ok = externalBytes(k.Algorithm, pub)
		}
	}
	if !ok {
		return profile{}, fmt.Errorf("%v does not take this %T", k.Algorithm, k.Public)
	}
	return p, err
}

// The bounds of RSA keys. Below lies what can be factored; above, where a hostile key only makes verifying slow.
const (
	minModulusBits = 2048
	maxModulusBits = 8192
)

func checkRSA(pub *rsa.PublicKey) error {
	if pub.N == nil || pub.N.Sign() <= 0 || pub.N.Bit(0) == 0 {
		return errors.New("RSA modulus is not a positive odd number")
	}
	if n := pub.N.BitLen(); n < minModulusBits || n > maxModulusBits {
		return fmt.Errorf("RSA modulus of %d bits is outside %d..%d", n, minModulusBits, maxModulusBits)
	}
	if pub.E < 3 || pub.E > math.MaxInt32 || pub.E%2 == 0 {
		return fmt.Errorf("RSA exponent %d is not an odd number from 3 to 2^31-1", pub.E)
	}
	return nil
}
