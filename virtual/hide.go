package virtual

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// hide encrypts a member of getInfo for those who have the persistent token, with a new initialization vector each
// time, so that nobody else can tell one key from another (CTAP 2.3, section 6.4).
func (a *Authenticator) hide(purpose string, plain []byte) []byte {
	iv := make([]byte, aes.BlockSize)
	a.entropy.read(iv)
	return hide(purpose, a.state.persistentToken(), iv, plain)
}

// hide returns iv || AES-128-CBC(plain).
func hide(purpose string, token, iv, plain []byte) []byte {
	secret, err := hkdf.Key(sha256.New, token, make([]byte, sha256.Size), purpose, 16)
	if err != nil {
		panic(err) // asks for far less than HKDF gives: cannot happen
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // the key has 16 bytes: cannot happen
	}
	out := append(iv[:len(iv):len(iv)], plain...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out[len(iv):], plain)
	return out
}
