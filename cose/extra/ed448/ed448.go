// Package ed448 makes package cose understand Ed448 (RFC 8032 section 5.2, RFC 9864). Import it for its side effect:
//
//	import _ "github.com/keyfob-go/keyfob/cose/extra/ed448"
//
// The Public field of such a [cose.Key] is an ed448.PublicKey of github.com/cloudflare/circl/sign/ed448. As with
// Ed25519, 57 bytes that are no point of the curve are a key that verifies nothing.
package ed448

import (
	"bytes"
	"crypto"

	"github.com/cloudflare/circl/sign/ed448"

	"github.com/keyfob-go/keyfob/cose"
)

func init() {
	cose.Register(cose.Ed448, cose.Scheme{Parse: parse, Bytes: encode, Verify: verify})
}

func parse(b []byte) (crypto.PublicKey, error) { return ed448.PublicKey(bytes.Clone(b)), nil }

func encode(pub crypto.PublicKey) ([]byte, bool) {
	p, ok := pub.(ed448.PublicKey)
	return p, ok
}

func verify(pub crypto.PublicKey, message, sig []byte) bool {
	const noContext = ""
	return ed448.Verify(pub.(ed448.PublicKey), message, sig, noContext)
}
