// Package cose handles the public keys of FIDO2: COSE_Key maps (RFC 9053, WebAuthn Level 3 section 5.8.5) to and from
// Go's key types, and the signatures that they verify.
//
// [ParseKey] reads the key of a credential and [Key.Verify] checks what its authenticator signed:
//
//	key, err := cose.ParseKey(credentialPublicKey)
//	...
//	err = key.Verify(message, sig)
//
// [NewKey], [Key.MarshalCBOR], [ParsePKIX] and [Key.MarshalPKIX] go the other ways.
package cose

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"fmt"
)

// ErrUnsupportedAlgorithm is wrapped by the errors about an algorithm that this package does not know. The rest of
// such a key may be fine: another implementation could use it.
var ErrUnsupportedAlgorithm = errors.New("unsupported algorithm")

// Algorithm is a COSE algorithm identifier from the IANA registry, as in the pubKeyCredParams of WebAuthn. In FIDO2
// it also fixes the curve: [ES256] is always on P-256.
type Algorithm int

const (
	ES256 Algorithm = -7   // ECDSA on P-256 with SHA-256
	EdDSA Algorithm = -8   // Ed25519, by the name that nearly all authenticators use
	ES384 Algorithm = -35  // ECDSA on P-384 with SHA-384
	ES512 Algorithm = -36  // ECDSA on P-521 with SHA-512
	RS256 Algorithm = -257 // RSASSA-PKCS1-v1_5 with SHA-256

	// Ed25519 is the fully specified name of RFC 9864 for what [EdDSA] means in FIDO2.
	Ed25519 Algorithm = -19

	// ECDHESHKDF256 marks the P-256 keys of CTAP2's PIN/UV key agreement, which sign nothing (ECDH-ES+HKDF-256).
	ECDHESHKDF256 Algorithm = -25
)

// String returns the name in the IANA registry, or "COSE(-999)" for an algorithm that this package does not know.
func (a Algorithm) String() string {
	if p, ok := profiles[a]; ok {
		return p.name
	}
	return fmt.Sprintf("COSE(%d)", int(a))
}

// COSE key types and curves, RFC 9053 section 7 and RFC 8230 section 4.
const (
	ktyOKP = 1
	ktyEC2 = 2
	ktyRSA = 3

	crvP256    = 1
	crvP384    = 2
	crvP521    = 3
	crvEd25519 = 6
)

// A profile is what FIDO2 ties to an algorithm.
type profile struct {
	name     string
	kty, crv int64
	curve    elliptic.Curve
	hash     crypto.Hash
}

var profiles = map[Algorithm]profile{
	ES256:         {"ES256", ktyEC2, crvP256, elliptic.P256(), crypto.SHA256},
	ES384:         {"ES384", ktyEC2, crvP384, elliptic.P384(), crypto.SHA384},
	ES512:         {"ES512", ktyEC2, crvP521, elliptic.P521(), crypto.SHA512},
	EdDSA:         {"EdDSA", ktyOKP, crvEd25519, nil, 0},
	Ed25519:       {"Ed25519", ktyOKP, crvEd25519, nil, 0},
	RS256:         {"RS256", ktyRSA, 0, nil, crypto.SHA256},
	ECDHESHKDF256: {"ECDH-ES+HKDF-256", ktyEC2, crvP256, elliptic.P256(), 0},
}

func (a Algorithm) profile() (profile, error) {
	p, ok := profiles[a]
	if !ok {
		return profile{}, fmt.Errorf("%w %v", ErrUnsupportedAlgorithm, a)
	}
	return p, nil
}
