package ctap2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
)

// PINProtocol is the number of a PIN/UV auth protocol: how the platform and the authenticator encrypt and authenticate
// what must not be read on the wire (sections 6.5.6 and 6.5.7).
type PINProtocol uint64

// The PIN/UV auth protocols.
const (
	PINProtocol1 PINProtocol = 1 // SHA-256(Z), zero IV, 16-byte MAC
	PINProtocol2 PINProtocol = 2 // HKDF, random IV, 32-byte MAC
)

// Authenticate returns the protocol's MAC over message: HMAC-SHA-256 with the first 32 bytes of key, cut to 16 bytes by
// protocol 1. The key is a pinUvAuthToken or a shared secret.
func (p PINProtocol) Authenticate(key, message []byte) []byte {
	if p == PINProtocol2 && len(key) > sha256.Size {
		key = key[:sha256.Size] // the HMAC half of a shared secret
	}
	h := hmac.New(sha256.New, key)
	h.Write(message)
	mac := h.Sum(nil)
	if p == PINProtocol1 {
		return mac[:16]
	}
	return mac
}

// Verify reports, in constant time, whether mac is the protocol's MAC over message.
func (p PINProtocol) Verify(key, message, mac []byte) bool {
	return hmac.Equal(p.Authenticate(key, message), mac)
}

// SharedSecret is what the platform and the authenticator agreed on for one or more clientPIN and hmac-secret exchanges.
// Each side has its own key pair; the zero value is of no use.
type SharedSecret struct {
	protocol PINProtocol
	public   *ecdh.PublicKey // our own, for the peer
	key      []byte          // protocol 1: 32 bytes for both uses; protocol 2: 32 for HMAC, 32 for AES
	readIV   func([]byte)
}

// NewSharedSecret derives the secret from one side's key pair and the other side's public key, both on P-256.
func NewSharedSecret(p PINProtocol, own *ecdh.PrivateKey, peer *ecdh.PublicKey) (*SharedSecret, error) {
	z, err := own.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("ctap2: key agreement: %w", err)
	}
	defer clear(z)
	key, err := p.deriveKey(z)
	if err != nil {
		return nil, err
	}
	return &SharedSecret{protocol: p, public: own.PublicKey(), key: key, readIV: randomIV}, nil
}

func randomIV(iv []byte) { rand.Read(iv) } // never fails

// deriveKey is kdf(Z) of sections 6.5.6 and 6.5.7.
func (p PINProtocol) deriveKey(z []byte) ([]byte, error) {
	switch p {
	case PINProtocol1:
		sum := sha256.Sum256(z)
		return sum[:], nil
	case PINProtocol2:
		salt := make([]byte, sha256.Size)
		mac, err := hkdf.Key(sha256.New, z, salt, "CTAP2 HMAC key", 32)
		if err != nil {
			return nil, err
		}
		enc, err := hkdf.Key(sha256.New, z, salt, "CTAP2 AES key", 32)
		if err != nil {
			return nil, err
		}
		defer clear(mac)
		defer clear(enc)
		return slices.Concat(mac, enc), nil
	}
	return nil, fmt.Errorf("ctap2: unknown PIN/UV auth protocol %d", p)
}

// Protocol returns the protocol that the secret is for.
func (s *SharedSecret) Protocol() PINProtocol { return s.protocol }

// PublicKey returns this side's public key, which the other side needs.
func (s *SharedSecret) PublicKey() *cose.Key {
	return &cose.Key{Algorithm: cose.ECDHESHKDF256, Public: s.public}
}

// Authenticate returns the MAC over message under the secret: 16 bytes with protocol 1, 32 with protocol 2.
func (s *SharedSecret) Authenticate(message []byte) []byte {
	return s.protocol.Authenticate(s.key, message)
}

// Verify reports, in constant time, whether mac is the MAC over message under the secret.
func (s *SharedSecret) Verify(message, mac []byte) bool {
	return s.protocol.Verify(s.key, message, mac)
}

var errBlockSize = errors.New("ctap2: length is no multiple of 16 bytes")

// Encrypt encrypts plaintext, whose length must be a multiple of 16 bytes. With protocol 2 the result is 16 bytes longer.
func (s *SharedSecret) Encrypt(plaintext []byte) ([]byte, error) {
	if len(plaintext)%aes.BlockSize != 0 {
		return nil, errBlockSize
	}
	var iv [aes.BlockSize]byte
	out := make([]byte, 0, aes.BlockSize+len(plaintext))
	if s.protocol == PINProtocol2 {
		s.readIV(iv[:])
		out = append(out, iv[:]...)
	}
	n := len(out)
	out = append(out, plaintext...)
	cipher.NewCBCEncrypter(s.block(), iv[:]).CryptBlocks(out[n:], out[n:])
	return out, nil
}

// Decrypt reverses Encrypt. The result is not authenticated.
func (s *SharedSecret) Decrypt(ciphertext []byte) ([]byte, error) {
	var iv [aes.BlockSize]byte
	if s.protocol == PINProtocol2 {
		if len(ciphertext) < aes.BlockSize {
			return nil, errBlockSize
		}
		copy(iv[:], ciphertext)
		ciphertext = ciphertext[aes.BlockSize:]
	}
	if len(ciphertext)%aes.BlockSize != 0 {
		return nil, errBlockSize
	}
	out := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(s.block(), iv[:]).CryptBlocks(out, ciphertext)
	return out, nil
}

func (s *SharedSecret) block() cipher.Block {
	block, err := aes.NewCipher(s.key[len(s.key)-32:])
	if err != nil {
		panic(err) // the key has 32 bytes: cannot happen
	}
	return block
}

// Clear overwrites the secret, which is of no use afterwards.
func (s *SharedSecret) Clear() { clear(s.key) }

// Format implements [fmt.Formatter]. It never prints the secret itself, whatever the verb.
func (s *SharedSecret) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "<shared secret of PIN/UV auth protocol %d>", s.protocol)
}
