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
	rsaKey struct {
		Kty int64     `cbor:"1,keyasint"`
		Alg Algorithm `cbor:"3,keyasint"`
		N   []byte    `cbor:"-1,keyasint"`
		E   []byte    `cbor:"-2,keyasint"`
	}
)

// MarshalCBOR returns k as a COSE_Key in the CTAP2 canonical form. It lets a Key be a member of a CBOR message.
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
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return nil, err
		}
		return k.marshalEC2(p, point)
	case *ecdh.PublicKey:
		return k.marshalEC2(p, pub.Bytes())
	case *rsa.PublicKey:
		return ctapcbor.Marshal(rsaKey{p.kty, k.Algorithm, pub.N.Bytes(), big.NewInt(int64(pub.E)).Bytes()})
	default: // fit leaves nothing else
		return ctapcbor.Marshal(okp{p.kty, k.Algorithm, p.crv, k.Public.(ed25519.PublicKey)})
	}
}

// marshalEC2 takes the point in the uncompressed form of SEC 1.
func (k *Key) marshalEC2(p profile, point []byte) ([]byte, error) {
	size := coordinateSize(p)
	return ctapcbor.Marshal(ec2{p.kty, k.Algorithm, p.crv, point[1 : 1+size], point[1+size:]})
}
