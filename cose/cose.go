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
//
// The package needs nothing but the standard library for its mathematics. [ES256K], [Ed448] and the three of ML-DSA,
// which the standard library does not have, work once a program imports the package that implements them, for its side
// effect:
//
//	import _ "github.com/keyfob-go/keyfob/cose/extra/es256k"
//
// Without that import they are unknown algorithms, and the program is smaller.
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
	ES256 Algorithm = -7  // ECDSA on P-256 with SHA-256
	ES384 Algorithm = -35 // ECDSA on P-384 with SHA-384
	ES512 Algorithm = -36 // ECDSA on P-521 with SHA-512

	// The fully specified names of RFC 9864 for what the three above mean in FIDO2.
	ESP256 Algorithm = -9
	ESP384 Algorithm = -51
	ESP512 Algorithm = -52

	EdDSA   Algorithm = -8  // Ed25519, by the name that nearly all authenticators use
	Ed25519 Algorithm = -19 // Ed25519, by the fully specified name of RFC 9864

	RS256 Algorithm = -257 // RSASSA-PKCS1-v1_5 with SHA-256
	RS384 Algorithm = -258 // RSASSA-PKCS1-v1_5 with SHA-384
	RS512 Algorithm = -259 // RSASSA-PKCS1-v1_5 with SHA-512
	PS256 Algorithm = -37  // RSASSA-PSS with SHA-256 and a salt of 32 bytes
	PS384 Algorithm = -38  // RSASSA-PSS with SHA-384 and a salt of 48 bytes
	PS512 Algorithm = -39  // RSASSA-PSS with SHA-512 and a salt of 64 bytes

	ES256K  Algorithm = -47 // ECDSA on secp256k1 with SHA-256, by package cose/extra/es256k
	Ed448   Algorithm = -53 // Ed448, by package cose/extra/ed448
	MLDSA44 Algorithm = -48 // ML-DSA-44, by package cose/extra/mldsa
	MLDSA65 Algorithm = -49 // ML-DSA-65, by package cose/extra/mldsa
	MLDSA87 Algorithm = -50 // ML-DSA-87, by package cose/extra/mldsa

	// RS1 is RSASSA-PKCS1-v1_5 with SHA-1, which old TPMs sign their attestations with. [NewKey] takes it for that,
	// but a credential of RS1 is one of an unknown algorithm: it would be worth nothing.
	RS1 Algorithm = -65535

	// ECDHESHKDF256 marks the P-256 keys of CTAP2's PIN/UV key agreement, which sign nothing (ECDH-ES+HKDF-256).
	ECDHESHKDF256 Algorithm = -25
)

// String returns the name in the IANA registry, or "COSE(-999)" for an algorithm that this package has never heard of.
func (a Algorithm) String() string {
	if p, ok := profiles[a]; ok {
		return p.name
	}
	return fmt.Sprintf("COSE(%d)", int(a))
}

// IsSupported reports whether this package, with those of cose/extra that the program imports, knows keys of a credential
// with the algorithm and can verify their signatures.
func (a Algorithm) IsSupported() bool {
	_, err := a.profile()
	return err == nil && a != RS1 && a != ECDHESHKDF256
}

// Hash returns the hash function that signatures of a are made over, and whether there is one: Ed25519, Ed448 and
// ML-DSA sign the message itself, and [ECDHESHKDF256] nothing.
func (a Algorithm) Hash() (h crypto.Hash, ok bool) {
	h = profiles[a].hash
	return h, h != 0
}

// COSE key types and curves, RFC 9053 section 7, RFC 8230 section 4, and the key type AKP of ML-DSA.
const (
	ktyOKP = 1
	ktyEC2 = 2
	ktyRSA = 3
	ktyAKP = 7

	crvP256      = 1
	crvP384      = 2
	crvP521      = 3
	crvEd25519   = 6
	crvEd448     = 7
	crvSecp256k1 = 8
)

// A profile is what FIDO2 ties to an algorithm.
type profile struct {
	name     string
	kty, crv int64
	size     int            // bytes of a coordinate, or of the key where it has none; 0 for RSA
	curve    elliptic.Curve // nil unless the standard library has it
	hash     crypto.Hash    // what signatures are over; 0 for the message itself
	pss      bool
	spki     []byte // the DER AlgorithmIdentifier of keys that the standard library does not have; else nil
}

// isExternal says that another package must be registered for the algorithm.
func (p *profile) isExternal() bool { return p.spki != nil }

var profiles = map[Algorithm]profile{
	ES256:         onCurve("ES256", crvP256, 32, elliptic.P256(), crypto.SHA256),
	ES384:         onCurve("ES384", crvP384, 48, elliptic.P384(), crypto.SHA384),
	ES512:         onCurve("ES512", crvP521, 66, elliptic.P521(), crypto.SHA512),
	ESP256:        onCurve("ESP256", crvP256, 32, elliptic.P256(), crypto.SHA256),
	ESP384:        onCurve("ESP384", crvP384, 48, elliptic.P384(), crypto.SHA384),
	ESP512:        onCurve("ESP512", crvP521, 66, elliptic.P521(), crypto.SHA512),
	ECDHESHKDF256: onCurve("ECDH-ES+HKDF-256", crvP256, 32, elliptic.P256(), 0),

	EdDSA:   {name: "EdDSA", kty: ktyOKP, crv: crvEd25519, size: 32},
	Ed25519: {name: "Ed25519", kty: ktyOKP, crv: crvEd25519, size: 32},

	RS1:   {name: "RS1", kty: ktyRSA, hash: crypto.SHA1},
	RS256: {name: "RS256", kty: ktyRSA, hash: crypto.SHA256},
	RS384: {name: "RS384", kty: ktyRSA, hash: crypto.SHA384},
	RS512: {name: "RS512", kty: ktyRSA, hash: crypto.SHA512},
	PS256: {name: "PS256", kty: ktyRSA, hash: crypto.SHA256, pss: true},
	PS384: {name: "PS384", kty: ktyRSA, hash: crypto.SHA384, pss: true},
	PS512: {name: "PS512", kty: ktyRSA, hash: crypto.SHA512, pss: true},

	ES256K: {
		name: "ES256K", kty: ktyEC2, crv: crvSecp256k1, size: 32, hash: crypto.SHA256,
		spki: []byte("\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a"),
	},
	Ed448: {
		name: "Ed448", kty: ktyOKP, crv: crvEd448, size: 57,
		spki: []byte("\x30\x05\x06\x03\x2b\x65\x71"),
	},
	MLDSA44: mldsa("ML-DSA-44", 1312, 0x11),
	MLDSA65: mldsa("ML-DSA-65", 1952, 0x12),
	MLDSA87: mldsa("ML-DSA-87", 2592, 0x13),
}

func onCurve(name string, crv int64, size int, curve elliptic.Curve, hash crypto.Hash) profile {
	return profile{name: name, kty: ktyEC2, crv: crv, size: size, curve: curve, hash: hash}
}

// mldsa takes the last part of the object identifier 2.16.840.1.101.3.4.3.x.
func mldsa(name string, size int, oid byte) profile {
	const sequence = "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03"
	return profile{name: name, kty: ktyAKP, size: size, spki: append([]byte(sequence), oid)}
}

func (a Algorithm) profile() (profile, error) {
	p, ok := profiles[a]
	if !ok {
		return profile{}, fmt.Errorf("%w %v", ErrUnsupportedAlgorithm, a)
	}
	if _, ok := schemes[a]; p.isExternal() && !ok {
		return profile{}, fmt.Errorf("%w %v: no package that implements it is imported", ErrUnsupportedAlgorithm, a)
	}
	return p, nil
}
