package virtual

import (
	"crypto/ecdh"
	"crypto/rand"

	"github.com/keyfob-go/keyfob/ctap2"
)

// entropy is where all that is random and that platforms see comes from, the credentials excepted. Golden vectors need it
// fixed.
type entropy struct {
	keyAgreement func() *ecdh.PrivateKey
	read         func(b []byte) // tokens, template IDs, initialization vectors of getInfo
	encrypt      func(s *ctap2.SharedSecret, plaintext []byte) ([]byte, error)
}

var systemEntropy = entropy{
	keyAgreement: func() *ecdh.PrivateKey {
		key, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			panic(err) // the system's randomness never fails
		}
		return key
	},
	read:    func(b []byte) { rand.Read(b) }, // never fails
	encrypt: (*ctap2.SharedSecret).Encrypt,
}
