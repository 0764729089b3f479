package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// token is what systemd-cryptenroll keeps about a security key in the header of a volume. It is no secret.
type token struct {
	Type        string   `json:"type"`
	Keyslots    []string `json:"keyslots"`
	Credential  []byte   `json:"fido2-credential"`
	Salt        []byte   `json:"fido2-salt"`
	RPID        string   `json:"fido2-rp"`
	PINRequired bool     `json:"fido2-clientPin-required"`
	UVRequired  bool     `json:"fido2-uv-required"`
	// There is fido2-up-required too. Where it is false the touch changes nothing about the secret, and keys want one.
}

const (
	tokenType   = "systemd-fido2"
	defaultRPID = "io.systemd.cryptsetup"
	saltSize    = 32
)

// readTokens reads the tokens in the header of a volume, or one token in JSON, as cryptsetup token export writes it.
func readTokens(name string) ([]token, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tokens, err := parseTokens(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tokens, nil
}

func parseTokens(volume io.ReaderAt) ([]token, error) {
	metadata, err := readMetadata(volume)
	if err == nil {
		return tokensIn(metadata)
	}
	start, readErr := io.ReadAll(io.NewSectionReader(volume, 0, minHeader))
	if readErr != nil || !json.Valid(start) {
		return nil, err
	}
	list, err := appendToken(nil, start)
	if err == nil && list == nil {
		err = errors.New("no token of a security key")
	}
	return list, err
}

// tokensIn returns the tokens that are about security keys, in the order of their numbers' texts, which is any order.
func tokensIn(metadata []byte) (list []token, err error) {
	var header struct {
		Tokens map[string]json.RawMessage `json:"tokens"`
	}
	if err := json.Unmarshal(bytes.TrimRight(metadata, "\x00"), &header); err != nil {
		return nil, fmt.Errorf("metadata of the header: %w", err)
	}
	for _, number := range slices.Sorted(maps.Keys(header.Tokens)) {
		if list, err = appendToken(list, header.Tokens[number]); err != nil {
			return nil, fmt.Errorf("token %.10q: %w", number, err)
		}
	}
	return list, nil
}

// appendToken leaves out what belongs to others, whose members may be of any type, and what opens no key slot.
func appendToken(list []token, raw []byte) ([]token, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	if kind.Type != tokenType {
		return list, nil
	}
	t := token{RPID: defaultRPID}
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, err
	}
	if len(t.Keyslots) == 0 {
		return list, nil
	}
	if len(t.Credential) == 0 || len(t.Salt) != saltSize || t.RPID == "" {
		return nil, errors.New("without a credential, a salt of 32 bytes or a relying party")
	}
	return append(list, t), nil
}
