package virtual

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// credential is a key pair for one relying party. Those that the key can find without a credential ID are stored,
// as are RSA keys, which are too big for an ID; all others live in their own ID, sealed.
type credential struct {
	ID           []byte         `json:"id"`
	RPID         string         `json:"rpId"` // of a stored one
	Discoverable bool           `json:"discoverable,omitempty"`
	User         ctap2.User     `json:"user"` // zero unless discoverable
	Algorithm    cose.Algorithm `json:"algorithm"`
	PrivateKey   []byte         `json:"privateKey"` // as marshalSigner returns it
	CredProtect  uint           `json:"credProtect,omitempty"`
}

// protected reports whether credProtect hides the credential, section 12.1.
func (c *credential) protected(verified, inAllowList bool) bool {
	switch c.CredProtect {
	case ctap2.CredProtectUVRequired:
		return !verified
	case ctap2.CredProtectUVOptionalWithID:
		return !verified && !inAllowList
	}
	return false
}

func (c *credential) sign(message []byte) ([]byte, error) {
	signer, err := parseSigner(c.Algorithm, c.PrivateKey)
	if err != nil {
		return nil, err
	}
	return sign(c.Algorithm, signer, message)
}

const storedIDSize = 32 // bytes, random

// A sealed credential ID is nonce || AES-256-GCM(version || algorithm || credProtect || private key), with the hash
// of the RP ID as additional data, so that it opens for its own relying party only. U2F knows nothing but the hash,
// so what was made over U2F works over CTAP2, and the other way round.
const (
	sealVersion    = 1
	sealHeaderSize = 1 + 2 + 1
)

func (s *state) seal(c *credential, rpIDHash [sha256.Size]byte) []byte {
	aead := s.sealer()
	nonce := make([]byte, aead.NonceSize(), defaultIDLength)
	rand.Read(nonce)
	plain := []byte{sealVersion}
	plain = binary.BigEndian.AppendUint16(plain, uint16(int16(c.Algorithm)))
	plain = append(plain, byte(c.CredProtect))
	plain = append(plain, c.PrivateKey...)
	return aead.Seal(nonce, nonce, plain, rpIDHash[:])
}

// unseal returns nil for an ID that this key did not make for the relying party.
func (s *state) unseal(id []byte, rpIDHash [sha256.Size]byte) *credential {
	aead := s.sealer()
	if len(id) < aead.NonceSize() {
		return nil
	}
	plain, err := aead.Open(nil, id[:aead.NonceSize()], id[aead.NonceSize():], rpIDHash[:])
	if err != nil || len(plain) < sealHeaderSize || plain[0] != sealVersion {
		return nil
	}
	return &credential{
		ID:          id,
		Algorithm:   cose.Algorithm(int16(binary.BigEndian.Uint16(plain[1:]))),
		CredProtect: uint(plain[3]),
		PrivateKey:  plain[sealHeaderSize:],
	}
}

func (s *state) sealer() cipher.AEAD {
	block, err := aes.NewCipher(s.derive("credential IDs"))
	if err != nil {
		panic(err) // the key has 32 bytes: cannot happen
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes: cannot happen
	}
	return aead
}

// derive returns 32 bytes that only this key knows, for one purpose.
func (s *state) derive(purpose string) []byte {
	secret, err := hkdf.Key(sha256.New, s.Secret, nil, "keyfob virtual "+purpose, 32)
	if err != nil {
		panic(err) // asks for far less than HKDF gives: cannot happen
	}
	return secret
}

// find returns the credential with the ID if it is one of this key's for the relying party, or nil.
func (s *state) find(id []byte, rpIDHash [sha256.Size]byte) *credential {
	for _, c := range s.Credentials {
		if bytes.Equal(c.ID, id) {
			if sha256.Sum256([]byte(c.RPID)) != rpIDHash {
				return nil
			}
			return c
		}
	}
	return s.unseal(id, rpIDHash)
}

// discover returns the credentials that the relying party may use without knowing their IDs, the newest first.
func (s *state) discover(rpID string) []*credential {
	var found []*credential
	for i := len(s.Credentials) - 1; i >= 0; i-- {
		if c := s.Credentials[i]; c.Discoverable && c.RPID == rpID {
			found = append(found, c)
		}
	}
	return found
}

// store adds a credential in place of the one that the relying party has for the same user. It returns false when
// the key is full.
func (s *state) store(c *credential, capacity int) bool {
	for i, old := range s.Credentials {
		if c.Discoverable && old.Discoverable && old.RPID == c.RPID && bytes.Equal(old.User.ID, c.User.ID) {
			s.Credentials = append(s.Credentials[:i], s.Credentials[i+1:]...) // a clone's, see update
			break
		}
	}
	if len(s.Credentials) >= capacity {
		return false
	}
	s.Credentials = append(s.Credentials, c)
	return true
}

// hmacSecret returns the credential's CredRandomWithUV or CredRandomWithoutUV, section 12.5. Every credential has
// them, whether it was made with the extension or not.
func (s *state) hmacSecret(c *credential, verified bool) []byte {
	mac := hmac.New(sha256.New, s.derive("hmac-secret"))
	if verified {
		mac.Write([]byte{1})
	} else {
		mac.Write([]byte{0})
	}
	mac.Write(c.ID)
	return mac.Sum(nil)
}

func (c *credential) isStored() bool { return c.Discoverable || c.Algorithm == cose.RS256 }
