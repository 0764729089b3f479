package helper

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// Limits of a derive request.
const (
	maxCredentials  = 256
	maxCredentialID = 1023 // bytes
	maxSalts        = 2
	saltSize        = 32 // bytes
)

// secretCredential is a credential to derive secrets from.
type secretCredential = authenticator.SecretCredential

func readCredentials(raw json.RawMessage) (credentials []secretCredential, err error) {
	items, err := list(raw, maxCredentials)
	for i, item := range items {
		c, err := readCredential(item)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		credentials = append(credentials, c)
	}
	return credentials, err
}

func readCredential(raw json.RawMessage) (c secretCredential, err error) {
	object, err := strictjson.Object(raw)
	if err != nil {
		return c, err
	}
	for name := range object {
		if name != "id" && name != "salts" {
			return c, fmt.Errorf("unknown member %.40q", name)
		}
	}
	if c.ID, err = bytesOf(object["id"]); err != nil {
		return c, fmt.Errorf("id: %w", err)
	}
	if n := len(c.ID); n < 1 || n > maxCredentialID {
		return c, fmt.Errorf("id: %d bytes, want 1 to %d", n, maxCredentialID)
	}
	if c.Salts, err = readSalts(object["salts"]); err != nil {
		return c, fmt.Errorf("salts: %w", err)
	}
	return c, nil
}

func readSalts(raw json.RawMessage) (salts [][]byte, err error) {
	items, err := list(raw, maxSalts)
	for i, item := range items {
		salt, err := bytesOf(item)
		switch {
		case err != nil:
			return nil, fmt.Errorf("[%d]: %w", i, err)
		case len(salt) != saltSize:
			return nil, fmt.Errorf("[%d]: %d bytes, want %d", i, len(salt), saltSize)
		}
		salts = append(salts, salt)
	}
	return salts, err
}

// list returns the items of a list of 1 to most.
func list(raw json.RawMessage, most int) (items []json.RawMessage, err error) {
	if json.Unmarshal(raw, &items) != nil {
		return nil, errors.New("not a list")
	}
	if n := len(items); n < 1 || n > most {
		return nil, fmt.Errorf("%d items, want 1 to %d", n, most)
	}
	return items, nil
}

func bytesOf(raw json.RawMessage) ([]byte, error) {
	var s *string // nil after null
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return nil, errors.New("not a string")
	}
	return strictjson.Base64(*s)
}

// base64url are bytes as WebAuthn's JSON has them.
type base64url []byte

// MarshalText implements [encoding.TextMarshaler].
func (b base64url) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}
