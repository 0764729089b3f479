package virtual

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// credential is a key pair for one relying party. It is stored, or lives in its own ID, sealed: see stores.
type credential struct {
	ID           []byte         `json:"id"`
	RPID         string         `json:"rpId"`             // of a stored one
	RPName       string         `json:"rpName,omitempty"` // of a discoverable one
	Discoverable bool           `json:"discoverable,omitempty"`
	User         ctap2.User     `json:"user"` // zero unless discoverable
	Algorithm    cose.Algorithm `json:"algorithm"`
	PrivateKey   []byte         `json:"privateKey"` // as marshalSigner returns it
	CredProtect  uint           `json:"credProtect,omitempty"`

	CredBlob          []byte   `json:"credBlob,omitempty"`
	LargeBlobKey      []byte   `json:"largeBlobKey,omitempty"` // 32 bytes
	OwnBlob           bool     `json:"ownBlob,omitempty"`      // the platform may write the next one
	Blob              *ownBlob `json:"blob,omitempty"`
	ThirdPartyPayment *bool    `json:"thirdPartyPayment,omitempty"` // nil for a credential that nobody asked it for

	U2F bool          `json:"-"` // made over U2F, which only the sealed are
	key crypto.Signer // parsed when it is first needed
}

func (c *credential) rpIDHash() [sha256.Size]byte { return sha256.Sum256([]byte(c.RPID)) }

// isForPayment reports whether the credential was made with thirdPartyPayment.
func (c *credential) isForPayment() bool { return c.ThirdPartyPayment != nil && *c.ThirdPartyPayment }

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

// signer returns the private key.
func (c *credential) signer() (crypto.Signer, error) {
	if c.key != nil {
		return c.key, nil
	}
	var err error
	c.key, err = parseSigner(c.Algorithm, c.PrivateKey)
	return c.key, err
}

func (c *credential) sign(message []byte) ([]byte, error) {
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	return sign(c.Algorithm, signer, message)
}

const storedIDSize = 32 // bytes, random

// A sealed credential ID is nonce || AES-256-GCM(version || algorithm || flags || private key), with the hash
// of the RP ID as additional data, so that it opens for its own relying party only. U2F knows nothing but the hash,
// so what was made over U2F works over CTAP2, and the other way round.
const (
	sealVersion    = 1
	sealHeaderSize = 1 + 2 + 1

	sealedCredProtect = 0x03 // the bits of its level
	sealedPayment     = 0x04
	sealedU2F         = 0x08
)

func (c *credential) sealedFlags() byte {
	flags := byte(c.CredProtect)
	if c.isForPayment() {
		flags |= sealedPayment
	}
	if c.U2F {
		flags |= sealedU2F
	}
	return flags
}

func (c *credential) setSealedFlags(flags byte) {
	c.CredProtect = uint(flags & sealedCredProtect)
	c.U2F = flags&sealedU2F != 0
	if flags&sealedPayment != 0 {
		c.ThirdPartyPayment = new(true)
	}
}

func (s *state) seal(c *credential, rpIDHash [sha256.Size]byte) []byte {
	aead := s.sealer()
	nonce := make([]byte, aead.NonceSize(), defaultIDLength)
	rand.Read(nonce)
	plain := []byte{sealVersion}
	plain = binary.BigEndian.AppendUint16(plain, uint16(int16(c.Algorithm)))
	plain = append(plain, c.sealedFlags())
	plain = append(plain, c.PrivateKey...)
	return aead.Seal(nonce, nonce, plain, rpIDHash[:])
}

// open is unseal, which it does only once while a platform asks for the same credential again and again.
func (s *state) open(id []byte, rpIDHash [sha256.Size]byte) *credential {
	if c := s.opened; c != nil && s.openedFor == rpIDHash && bytes.Equal(c.ID, id) {
		return c
	}
	c := s.unseal(bytes.Clone(id), rpIDHash)
	if c != nil {
		s.opened, s.openedFor = c, rpIDHash
	}
	return c
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
	c := &credential{
		ID:         id,
		Algorithm:  cose.Algorithm(int16(binary.BigEndian.Uint16(plain[1:]))),
		PrivateKey: plain[sealHeaderSize:],
	}
	c.setSealedFlags(plain[3])
	return c
}

func (s *state) sealer() cipher.AEAD {
	if s.aead != nil {
		return s.aead
	}
	block, err := aes.NewCipher(s.derive("credential IDs"))
	if err != nil {
		panic(err) // the key has 32 bytes: cannot happen
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes: cannot happen
	}
	s.aead = aead
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
	return s.open(id, rpIDHash)
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
	for _, old := range s.Credentials {
		if c.Discoverable && old.Discoverable && old.RPID == c.RPID && bytes.Equal(old.User.ID, c.User.ID) {
			s.remove(old)
			break
		}
	}
	if len(s.Credentials) >= capacity {
		return false
	}
	s.Credentials = append(s.Credentials, c) // behind the end of other states' lists
	s.StoreChanges++
	return true
}

// remove takes a stored credential out. Like store and replace, it leaves other states' lists alone.
func (s *state) remove(c *credential) {
	s.StoreChanges++
	s.Credentials = slices.DeleteFunc(slices.Clone(s.Credentials), func(other *credential) bool { return other == c })
}

// replace puts a changed copy in the place of a stored credential.
func (s *state) replace(c, next *credential) {
	s.StoreChanges++
	s.Credentials = slices.Clone(s.Credentials)
	s.Credentials[slices.Index(s.Credentials, c)] = next
}
