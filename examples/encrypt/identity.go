package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"filippo.io/age"
	"github.com/keyfob-go/keyfob/authenticator"
	"golang.org/x/crypto/chacha20poly1305"
)

// identity is any of the security keys that are plugged in, or will be.
type identity struct {
	ctx    context.Context // of one decryption, for age passes none
	client *authenticator.Client
}

// maxStanzas bounds what a file can ask of the keys.
const maxStanzas = 256

var errBroken = errors.New("the file is broken")

// Unwrap implements age.Identity. A key that the file is not encrypted to is age.ErrIncorrectIdentity; a file that does not
// open with the right key is another error.
func (i *identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	locked, err := parseStanzas(stanzas)
	if err != nil {
		return nil, err
	}
	if len(locked) == 0 {
		return nil, fmt.Errorf("%w: the file is encrypted to no security key", age.ErrIncorrectIdentity)
	}
	var locks []lock
	for _, l := range locked {
		locks = append(locks, l.lock)
	}
	chosen, secret, err := secretOf(i.ctx, i.client, locks)
	if authenticator.KindOf(err) == authenticator.KindNoMatch {
		return nil, fmt.Errorf("%w: %w", age.ErrIncorrectIdentity, err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return locked[chosen].open(secret)
}

// lockedKey is a stanza: a file key that opens with the secret of one security key.
type lockedKey struct {
	lock
	share []byte // the ephemeral public key
	body  []byte
}

// parseStanzas leaves out what is not for us.
func parseStanzas(stanzas []*age.Stanza) (list []lockedKey, err error) {
	for _, s := range stanzas {
		if s.Type != pluginName || len(s.Args) == 0 || s.Args[0] != base64.RawStdEncoding.EncodeToString([]byte{0, version}) {
			continue
		}
		l, err := parseStanza(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBroken, err)
		}
		list = append(list, l)
	}
	if len(list) > maxStanzas {
		return nil, fmt.Errorf("encrypted to %d security keys, more than %d", len(list), maxStanzas)
	}
	return list, nil
}

func parseStanza(s *age.Stanza) (lockedKey, error) {
	const count = 5
	if len(s.Args) != count {
		return lockedKey{}, fmt.Errorf("%d arguments instead of %d", len(s.Args), count)
	}
	var args [count][]byte
	for i, arg := range s.Args {
		var err error
		if args[i], err = base64.RawStdEncoding.Strict().DecodeString(arg); err != nil {
			return lockedKey{}, err
		}
	}
	l, err := newLock(args[2], args[3], args[4])
	return lockedKey{l, args[1], s.Body}, err
}

// open does what an identity of age does with a stanza of type X25519: https://c2sp.org/age, "The X25519 recipient type".
// The package age makes such identities from text only.
func (l *lockedKey) open(secret []byte) ([]byte, error) {
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	share, err := ecdh.X25519().NewPublicKey(l.share)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	shared, err := private.ECDH(share)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	salt := append(bytes.Clone(l.share), private.PublicKey().Bytes()...)
	key, err := hkdf.Key(sha256.New, shared, salt, "age-encryption.org/v1/X25519", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	const fileKeySize = 16
	if len(l.body) != fileKeySize+aead.Overhead() {
		return nil, fmt.Errorf("%w: a file key of %d bytes", errBroken, len(l.body)-aead.Overhead())
	}
	fileKey, err := aead.Open(nil, make([]byte, aead.NonceSize()), l.body, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return fileKey, nil
}
