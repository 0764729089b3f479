package authenticator

import (
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// rejectedPINs remembers which PINs the key rejected, so that none costs two retries, without keeping the PINs: they are
// hashed behind a random key that never leaves the process.
type rejectedPINs struct {
	key    []byte
	hashes [][sha256.Size]byte
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

func (r *rejectedPINs) add(pin []byte) { r.hashes = append(r.hashes, r.hash(pin)) }

// check returns an error for a PIN that the key rejected before.
func (r *rejectedPINs) check(pin []byte) error {
	if slices.Contains(r.hashes, r.hash(pin)) {
		return &PINError{Status: ctap2.ErrPINInvalid, Retries: -1}
	}
	return nil
}

func (r *rejectedPINs) forget() { *r = rejectedPINs{} }
