// Package es256k makes package cose understand ES256K, ECDSA on the curve secp256k1 with SHA-256 (RFC 8812 section 3.2).
// Import it for its side effect:
//
//	import _ "github.com/keyfob-go/keyfob/cose/extra/es256k"
//
// The Public field of such a [cose.Key] is a *secp256k1.PublicKey of github.com/decred/dcrd/dcrec/secp256k1/v4.
package es256k

import (
	"crypto"
	"crypto/sha256"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/keyfob-go/keyfob/cose"
)

func init() {
	cose.Register(cose.ES256K, cose.Scheme{Parse: parse, Bytes: encode, Verify: verify})
}

// parse leaves it to the library to check that the point is on the curve.
func parse(b []byte) (crypto.PublicKey, error) {
	pub, err := secp256k1.ParsePubKey(b)
	if err != nil {
		return nil, err // not a nil *PublicKey in an interface
	}
	return pub, nil
}

func encode(pub crypto.PublicKey) ([]byte, bool) {
	p, ok := pub.(*secp256k1.PublicKey)
	if !ok || p == nil {
		return nil, false
	}
	return p.SerializeUncompressed(), true
}

// verify takes no signature but minimal DER, and both of the two values of S that fit, as WebAuthn does.
func verify(pub crypto.PublicKey, message, sig []byte) bool {
	s, err := ecdsa.ParseDERSignature(sig)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(message)
	return s.Verify(digest[:], pub.(*secp256k1.PublicKey))
}
