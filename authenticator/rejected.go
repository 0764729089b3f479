package authenticator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"github.com/keyfob-go/keyfob/ctap2"
)

// rejectedPINs remembers which PINs the key rejected, so that none costs two retries, without keeping the PINs.
type rejectedPINs struct {
	key  []byte // of the MAC
	macs [][]byte
}

func (r *rejectedPINs) mac(pin []byte) []byte {
	if r.key == nil {
		r.key = make([]byte, sha256.Size)
		rand.Read(r.key) // never fails
	}
	h := hmac.New(sha256.New, r.key)
	h.Write(pin)
	return h.Sum(nil)
}

func (r *rejectedPINs) add(pin []byte) { r.macs = append(r.macs, r.mac(pin)) }

func (r *rejectedPINs) contains(pin []byte) bool {
	mac := r.mac(pin)
	for _, m := range r.macs {
		if hmac.Equal(m, mac) {
			return true
		}
	}
	return false
}

// check returns an error for a PIN that the key rejected before.
func (r *rejectedPINs) check(pin []byte) error {
	if r.contains(pin) {
		return &PINError{Status: ctap2.ErrPINInvalid, Retries: -1}
	}
	return nil
}

func (r *rejectedPINs) forget() { *r = rejectedPINs{} }
