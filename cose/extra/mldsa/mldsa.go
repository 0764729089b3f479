// Package mldsa makes package cose understand ML-DSA-44, ML-DSA-65 and ML-DSA-87 (FIPS 204), whose signatures stand
// against quantum computers. Import it for its side effect:
//
//	import _ "github.com/keyfob-go/keyfob/cose/extra/mldsa"
//
// The Public field of such a [cose.Key] is a *mldsa44.PublicKey, *mldsa65.PublicKey or *mldsa87.PublicKey of
// github.com/cloudflare/circl/sign/mldsa.
package mldsa

import (
	"crypto"
	"encoding"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"github.com/keyfob-go/keyfob/cose"
)

func init() {
	cose.Register(cose.MLDSA44, scheme[mldsa44.PublicKey](mldsa44.Verify))
	cose.Register(cose.MLDSA65, scheme[mldsa65.PublicKey](mldsa65.Verify))
	cose.Register(cose.MLDSA87, scheme[mldsa87.PublicKey](mldsa87.Verify))
}

// publicKey is what the three types have in common.
type publicKey[T any] interface {
	*T
	encoding.BinaryUnmarshaler
	Bytes() []byte
}

func scheme[T any, P publicKey[T]](verify func(pub P, message, context, sig []byte) bool) cose.Scheme {
	return cose.Scheme{
		Parse: func(b []byte) (crypto.PublicKey, error) {
			p := P(new(T))
			if err := p.UnmarshalBinary(b); err != nil {
				return nil, err
			}
			return p, nil
		},
		Bytes: func(pub crypto.PublicKey) ([]byte, bool) {
			p, ok := pub.(P)
			if !ok || p == nil {
				return nil, false
			}
			return p.Bytes(), true
		},
		Verify: func(pub crypto.PublicKey, message, sig []byte) bool {
			return verify(pub.(P), message, nil, sig)
		},
	}
}
