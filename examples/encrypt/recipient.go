package main

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// The format is version 2 of age-plugin-fido2-hmac, with the credential in the file:
// https://github.com/olastor/age-plugin-fido2-hmac/blob/main/docs/spec-v2.md
const (
	pluginName = "fido2-hmac"
	rpID       = "age-encryption.org"
	version    = 2

	keySize         = 32 // bytes of a public key, a salt and a secret
	maxCredentialID = 1023
)

// recipient is a security key that opens what is encrypted to it. It is no secret, and nobody needs the key to encrypt.
type recipient struct {
	publicKey []byte // of X25519; the private key is the key's hmac-secret for the salt
	lock
}

// lock is how to get the private key of a recipient from the security key.
type lock struct {
	verify       bool // the user must be verified, for example by the PIN
	salt         []byte
	credentialID []byte
}

var errRecipient = errors.New("no recipient of age-plugin-fido2-hmac, version 2")

// parseRecipient reads what String returned.
func parseRecipient(s string) (*recipient, error) {
	name, data, err := plugin.ParseRecipient(s)
	if err != nil {
		return nil, err
	}
	if name != pluginName {
		return nil, errRecipient
	}
	return decodeRecipient(data)
}

// decodeRecipient reads version (2 bytes), public key (32), flag (1), salt (32), and the credential ID.
func decodeRecipient(data []byte) (*recipient, error) {
	const flag, salt, id = 2 + keySize, 2 + keySize + 1, 2 + keySize + 1 + keySize
	if len(data) < id || binary.BigEndian.Uint16(data) != version {
		return nil, errRecipient
	}
	l, err := newLock(data[flag:salt], data[salt:id], data[id:])
	if err != nil {
		return nil, err
	}
	return &recipient{bytes.Clone(data[2:flag]), l}, nil
}

func newLock(flag, salt, credentialID []byte) (lock, error) {
	switch {
	case len(flag) != 1 || flag[0] > 1:
		return lock{}, errors.New("the flag for the PIN is neither 0 nor 1")
	case len(salt) != keySize:
		return lock{}, fmt.Errorf("a salt of %d bytes", len(salt))
	case len(credentialID) < 1 || len(credentialID) > maxCredentialID:
		return lock{}, fmt.Errorf("a credential ID of %d bytes", len(credentialID))
	}
	return lock{flag[0] == 1, bytes.Clone(salt), bytes.Clone(credentialID)}, nil
}

// String returns age1fido2-hmac1...
func (r *recipient) String() string {
	head := slices.Concat(binary.BigEndian.AppendUint16(nil, version), r.publicKey)
	return plugin.EncodeRecipient(pluginName, slices.Concat(head, r.flag(), r.salt, r.credentialID))
}

func (l *lock) flag() []byte {
	if l.verify {
		return []byte{1}
	}
	return []byte{0}
}

// Wrap implements age.Recipient.
func (r *recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	public, err := ecdh.X25519().NewPublicKey(r.publicKey)
	if err != nil {
		return nil, err
	}
	encoded, err := plugin.EncodeX25519Recipient(public)
	if err != nil {
		return nil, err
	}
	native, err := age.ParseX25519Recipient(encoded)
	if err != nil {
		return nil, err
	}
	wrapped, err := native.Wrap(fileKey)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{r.stanza(wrapped[0])}, nil
}

// stanza adds to age's own stanza what it takes to get the private key.
func (l *lock) stanza(native *age.Stanza) *age.Stanza {
	encode := base64.RawStdEncoding.EncodeToString
	return &age.Stanza{
		Type: pluginName,
		Args: []string{
			encode(binary.BigEndian.AppendUint16(nil, version)), native.Args[0],
			encode(l.flag()), encode(l.salt), encode(l.credentialID),
		},
		Body: native.Body,
	}
}
