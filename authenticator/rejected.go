package authenticator

import (
	"crypto/rand"
	"crypto/sha256"
	"slices"
)

// maxPINRetries is how many wrong PINs a key takes at most: CTAP 2.3, section 6.5.2.2.
const maxPINRetries = 8

// rejectedPINs remembers which PINs the key rejected, so that none costs two retries, without keeping the PINs: they are
// hashed behind a random key that never leaves the process.
type rejectedPINs struct {
	key     []byte
	pins    map[[sha256.Size]byte]int // how many retries each left
	retries int                       // that the key had when it was last asked; 0 if it was not asked
}

// hash does not use package hmac, which would keep a copy of the PIN.
func (r *rejectedPINs) hash(pin []byte) [sha256.Size]byte {
	if r.key == nil {
		r.key = make([]byte, sha256.Size)
		rand.Read(r.key) // never fails
	}
	keyed := slices.Concat(r.key, pin)
	defer clear(keyed)
	return sha256.Sum256(keyed)
}

// retriesAtMost returns how many retries the key has, unless somebody gave it the right PIN since it was asked.
func (r *rejectedPINs) retriesAtMost() int {
	if r.retries == 0 {
		return maxPINRetries
	}
	return r.retries
}

// add remembers a PIN, and how many retries it has left.
func (r *rejectedPINs) add(pin []byte, left int) {
	if r.pins == nil {
		r.pins = make(map[[sha256.Size]byte]int)
	}
	r.pins[r.hash(pin)] = left
}

// left returns the retries that were left when the PIN was rejected, if it was.
func (r *rejectedPINs) left(pin []byte) (left int, rejected bool) {
	if len(r.pins) == 0 {
		return 0, false
	}
	left, rejected = r.pins[r.hash(pin)]
	return left, rejected
}

func (r *rejectedPINs) forget() { *r = rejectedPINs{} }
