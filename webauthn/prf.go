package webauthn

import (
	"crypto/sha256"
	"slices"
)

// PRFSalt returns the salt for CTAP's extension hmac-secret that stands for an input of the WebAuthn extension prf, so
// that web pages cannot ask for the secrets of other programs. WebAuthn Level 3, section 10.1.4.
func PRFSalt(input []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat([]byte("WebAuthn PRF\x00"), input))
}
