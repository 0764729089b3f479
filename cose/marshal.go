package cose

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The key types on the wire. Encoded in the canonical order, whatever the order here.
type (
	ec2 struct {
		Kty int64     `cbor:"1,keyasint"`
		Alg Algorithm `cbor:"3,keyasint"`
		Crv int64     `cbor:"-1,keyasint"`
		X   []byte    `cbor:"-2,keyasint"`
		Y   []byte    `cbor:"-3,keyasint"`
	}
	okp struct {
		Kty int64     `cbor:"1,keyasint"`
		Alg Algorithm `cbor:"3,keyasint"`
		Crv int64     `cbor:"-1,keyasint"`
		X   []byte    `cbor:"-2,keyasint"`
	}
	akp struct {
		Kty int64     `cbor:"1,keyasint"`
		Alg Algorithm `cbor:"3,keyasint"`
		Pub []byte    `cbor:"-1,keyasint"`
	}
	rsaKey struct {
		Kty int64     `cbor:"1,keyasint"`
		Alg Algorithm `cbor:"3,keyasint"`
		N   []byte    `cbor:"-1,keyasint"`
		E   []byte    `cbor:"-2,keyasint"`
	}
)

// MarshalCBOR returns k as a COSE_Key in the CTAP2 canonical form. It lets a Key be a member of a CBOR message. A key of
// [RS1] has no such form.
func (k *Key) MarshalCBOR() ([]byte, error) {
	b, err := k.marshal()
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return b, nil
}

func (k *Key) marshal() ([]byte, error) {
	p, err := k.fit()
	if err != nil {
		return nil, err
	}
	if k.Algorithm == RS1 {
		return nil, errRS1
	}
	if pub, ok := k.Public.(*rsa.PublicKey); ok {
		return ctapcbor.Marshal(rsaKey{p.kty, k.Algorithm, pub.N.Bytes(), big.NewInt(int64(pub.E)).Bytes()})
	}
	b, err := k.bytes()
	if err != nil {
		return nil, err
	}
	switch p.kty {
	case ktyEC2: // an uncompressed point of SEC 1
		return ctapcbor.Marshal(ec2{p.kty, k.Algorithm, p.crv, b[1 : 1+p.size], b[1+p.size:]})
	case ktyOKP:
		return ctapcbor.Marshal(okp{p.kty, k.Algorithm, p.crv, b})
	default:
		return ctapcbor.Marshal(akp{p.kty, k.Algorithm, b})
	}
}

// bytes returns the standard encoding of a key that fits and is not RSA.
func (k *Key) bytes() ([]byte, error) {
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		return pub.Bytes()
	case *ecdh.PublicKey:
		return pub.Bytes(), nil
	case ed25519.PublicKey:
		return pub, nil
	default:
		b, _ := externalBytes(k.Algorithm, pub) // fit has looked
		return b, nil
	}
}
