package ctap2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// Identifier decrypts EncIdentifier with a persistent token (PermissionPersistentReadOnly): 16 bytes that stay the
// same until the authenticator is reset, while what it says encrypted differs each time (section 6.4).
func (i *Info) Identifier(t *Token) ([16]byte, error) {
	return decryptInfo(t, "encIdentifier", i.EncIdentifier)
}

// CredStoreState decrypts EncCredStoreState with a persistent token (PermissionPersistentReadOnly): 16 bytes that
// change whenever the resident credentials do (CTAP 2.3, section 6.4).
func (i *Info) CredStoreState(t *Token) ([16]byte, error) {
	return decryptInfo(t, "encCredStoreState", i.EncCredStoreState)
}

// decryptInfo decrypts a member of getInfo: an IV and one block. It is not authenticated.
func decryptInfo(t *Token, member string, b []byte) (plain [16]byte, err error) {
	if len(b) != 2*aes.BlockSize {
		return plain, missing(CommandGetInfo, member)
	}
	key, err := hkdf.Key(sha256.New, t.key, make([]byte, sha256.Size), member, aes.BlockSize)
	if err != nil {
		return plain, fmt.Errorf("ctap2: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return plain, fmt.Errorf("ctap2: %w", err) // cannot happen
	}
	cipher.NewCBCDecrypter(block, b[:aes.BlockSize]).CryptBlocks(plain[:], b[aes.BlockSize:])
	return plain, nil
}
