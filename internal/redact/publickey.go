package redact

import (
	"bytes"
	"crypto/ecdh"
)

// coseKey are the members of a map that may be a COSE_Key, RFC 9052 section 7. The numbers that replace those of a
// public key must be a public key again: programs refuse points that are not on the curve.
type coseKey struct {
	kty, crv int64
	x, y     []byte // -2 and -3 of EC2
	n, e     []byte // -1 and -2 of RSA
}

const (
	ktyEC2 = 2
	ktyRSA = 3
)

// add takes a member whose value is already redacted.
func (k *coseKey) add(label int64, value []byte) {
	content, _ := byteString(value)
	switch label {
	case 1:
		k.kty = integer(value)
	case -1:
		k.crv, k.n = integer(value), content
	case -2:
		k.x, k.e = content, content
	case -3:
		k.y = content
	}
}

// repair makes a valid public key of what the members hold.
func (k *coseKey) repair() {
	switch {
	case k.kty == ktyEC2:
		repairPoint(k.crv, k.x, k.y)
	case k.kty == ktyRSA && len(k.n) > 0:
		k.n[0] |= 0x80
		k.n[len(k.n)-1] |= 1
		if common := []byte{1, 0, 1}; len(k.e) == len(common) {
			copy(k.e, common)
		}
	}
}

var curves = map[int64]ecdh.Curve{1: ecdh.P256(), 2: ecdh.P384(), 3: ecdh.P521()}

// repairPoint replaces a pseudonym of a point by a point on the curve that depends on it. For other curves it does
// nothing.
func repairPoint(crv int64, x, y []byte) {
	curve := curves[crv]
	if curve == nil || len(x) == 0 {
		return
	}
	scalar := bytes.Clone(x)
	scalar[0] = 0 // smaller than the order of the curve
	key, err := curve.NewPrivateKey(scalar)
	if err != nil { // not the curve's size
		return
	}
	point := key.PublicKey().Bytes()[1:]
	copy(x, point)
	copy(y, point[len(x):])
}
