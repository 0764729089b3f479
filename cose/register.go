package cose

import (
	"crypto"
	"fmt"
)

// A Scheme is the mathematics of an algorithm that this package knows all else about: how its keys look in COSE and
// in DER. Keys pass through it in their standard encoding: for [ES256K] the uncompressed point of SEC 1 (65 bytes),
// for [Ed448] that of RFC 8032 (57 bytes), for ML-DSA that of FIPS 204. All three functions must be safe for
// concurrent use and must not panic, whatever the bytes.
type Scheme struct {
	// Parse returns the key with an encoding of the right length, or an error where it is none, such as a point that
	// is off the curve. What it returns keeps nothing of b.
	Parse func(b []byte) (crypto.PublicKey, error)

	// Bytes is the way back. It reports false for whatever Parse does not return.
	Bytes func(pub crypto.PublicKey) (b []byte, ok bool)

	// Verify reports whether sig, in the form that WebAuthn gives it, is the signature of message by a key that Parse
	// returned. ES256K hashes message itself.
	Verify func(pub crypto.PublicKey, message, sig []byte) bool
}

// schemes has no lock: it does not change any more once init functions have run.
var schemes = map[Algorithm]Scheme{}

// Register adds the mathematics of [ES256K], [Ed448], [MLDSA44], [MLDSA65] or [MLDSA87]. It is for the init functions
// of packages that implement them, like those in cose/extra, and not safe for concurrent use. It panics when alg is
// another algorithm, when it is registered already, or when s is not complete.
func Register(alg Algorithm, s Scheme) {
	if p := profiles[alg]; !p.isExternal() {
		panic(fmt.Sprintf("cose: %v is not an algorithm to register", alg))
	}
	if _, ok := schemes[alg]; ok {
		panic(fmt.Sprintf("cose: %v is registered twice", alg))
	}
	if s.Parse == nil || s.Bytes == nil || s.Verify == nil {
		panic(fmt.Sprintf("cose: the scheme of %v is not complete", alg))
	}
	schemes[alg] = s
}

// parseExternal returns the key with the encoding b, whose length is right.
func parseExternal(alg Algorithm, b []byte) (crypto.PublicKey, error) {
	pub, err := schemes[alg].Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", alg, err)
	}
	return pub, nil
}

// externalBytes checks the length again: the coordinates or the DER around them would take any.
func externalBytes(alg Algorithm, pub crypto.PublicKey) (b []byte, ok bool) {
	b, ok = schemes[alg].Bytes(pub)
	p := profiles[alg]
	return b, ok && len(b) == p.encodedSize()
}

// encodedSize is the length of the standard encoding of keys that are not RSA.
func (p *profile) encodedSize() int {
	if p.kty == ktyEC2 {
		return 1 + 2*p.size
	}
	return p.size
}
