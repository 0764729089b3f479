package authenticator

import (
	"crypto/rand"
	"crypto/sha256"
	"math"
	"slices"
)

// rejectedPINs remembers which PINs the key rejected, so that none costs two retries, without keeping the PINs: they are
// hashed behind a random key that never leaves the process.
type rejectedPINs struct {
	key    []byte
	hashes [][sha256.Size]byte
	left   int // retries that were left after the last
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

// add remembers a PIN, after which so many retries were left; -1 if that is not known.
func (r *rejectedPINs) add(pin []byte, left int) {
	r.hashes = append(r.hashes, r.hash(pin))
	if r.left = left; left < 0 {
		r.left = math.MaxInt
	}
}

func (r *rejectedPINs) contains(pin []byte) bool { return slices.Contains(r.hashes, r.hash(pin)) }

func (r *rejectedPINs) forget() { *r = rejectedPINs{} }
