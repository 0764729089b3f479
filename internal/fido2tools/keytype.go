package fido2tools

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/keyfob-go/keyfob/cose"
)

// keyType is an algorithm that the tools know.
type keyType struct {
	name      string
	algorithm cose.Algorithm
	reader    string // the function that reads its public keys
	extractor string // the function that finds the key of the right kind in what was read; empty if that is reader
}

var keyTypes = []keyType{
	{"es256", cose.ES256, "read_ec_pubkey", "EVP_PKEY_get1_EC_KEY"},
	{"es384", cose.ES384, "read_ec_pubkey", "EVP_PKEY_get1_EC_KEY"},
	{"rs256", cose.RS256, "read_rsa_pubkey", "EVP_PKEY_get1_RSA"},
	{"eddsa", cose.EdDSA, "read_eddsa_pubkey", ""},
}

var es256 = keyTypes[0]

// parseType finds an algorithm by its name.
func parseType(name string) (keyType, error) {
	for _, known := range keyTypes {
		if known.name == name {
			return known, nil
		}
	}
	return keyType{}, errors.New("unknown type " + name)
}

// typeName returns the name of an algorithm for a listing.
func typeName(a cose.Algorithm) string {
	for _, t := range keyTypes {
		if t.algorithm == a {
			return t.name
		}
	}
	return "unknown"
}

// readPublicKey reads a PEM file. What the functions say that fail on the way is printed, and the last one is the error.
func (t *tool) readPublicKey(kind keyType, path string) (*cose.Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.warn("fopen: %s", strerror(err))
		return nil, errors.New(kind.reader)
	}
	public, err := parsePEM(text)
	if err != nil {
		t.warn("PEM_read_PUBKEY")
		return nil, errors.New(kind.reader)
	}
	if key, err := cose.NewKey(kind.algorithm, public); err == nil {
		return key, nil
	}
	return nil, t.wrongKind(kind, public)
}

// wrongKind says what does not like a public key of another kind than the wanted one.
func (t *tool) wrongKind(kind keyType, public any) error {
	curve, isCurve := public.(*ecdsa.PublicKey)
	switch {
	case kind.extractor == "":
		return fmt.Errorf("%s_pk_from_EVP_PKEY", kind.name)
	case isCurve && kind.reader == "read_ec_pubkey" && curve.Curve != elliptic.P224():
		return fmt.Errorf("%s_pk_from_EC_KEY", kind.name)
	}
	t.warn("%s", kind.extractor)
	return errors.New(kind.reader)
}

// parsePEM returns the first public key of a file.
func parsePEM(text []byte) (any, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errInput
		}
		if block.Type == "PUBLIC KEY" {
			return x509.ParsePKIXPublicKey(block.Bytes)
		}
		text = rest
	}
}

// credentialText is how the tools show a credential: its ID, and its public key in PEM.
func credentialText(id []byte, key *cose.Key) ([]byte, error) {
	der, err := key.MarshalPKIX()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOutput, err)
	}
	text := append([]byte(encodeBase64(id)), '\n')
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...), nil
}
