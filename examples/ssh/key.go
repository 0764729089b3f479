package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/cose"
)

// Flags of a key, of OpenSSH's PROTOCOL.u2f.
const (
	touchRequired  = 0x01
	verifyRequired = 0x04
	resident       = 0x20
)

// scheme is what each application begins with. A security key signs for the web site of any other RP ID as well: who may
// have data signed with such a key, as the clients of an agent, could sign in there.
const scheme = "ssh:"

// key is an SSH key that lives on a security key: what ssh-keygen keeps in a file like id_ed25519_sk. Nothing in it is
// secret; without the security key it is worth nothing.
type key struct {
	ssh         ssh.PublicKey
	public      *cose.Key
	application string
	flags       byte
	handle      []byte // the credential ID
	comment     string
}

// newKey returns the key of a credential.
func newKey(public *cose.Key, application string, flags byte, handle []byte) (*key, error) {
	wire, err := publicWire(public, application)
	if err != nil {
		return nil, err
	}
	parsed, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, err
	}
	return &key{ssh: parsed, public: public, application: application, flags: flags, handle: handle, comment: application}, nil
}

// The wire formats of public keys: PROTOCOL.u2f, "SSH U2F Key formats".
type (
	ecdsaWire struct {
		Type, Curve string
		Point       []byte
		Application string
	}
	ed25519Wire struct {
		Type        string
		Point       []byte
		Application string
	}
)

func publicWire(public *cose.Key, application string) ([]byte, error) {
	if public == nil {
		return nil, cose.ErrUnsupportedAlgorithm
	}
	switch pub := public.Public.(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		return ssh.Marshal(ecdsaWire{ssh.KeyAlgoSKECDSA256, "nistp256", point, application}), err
	case ed25519.PublicKey:
		return ssh.Marshal(ed25519Wire{ssh.KeyAlgoSKED25519, pub, application}), nil
	}
	return nil, fmt.Errorf("SSH has no keys of algorithm %v: %w", public.Algorithm, cose.ErrUnsupportedAlgorithm)
}

// parsePublic takes a public key in its wire format apart.
func parsePublic(wire []byte) (*key, error) {
	parsed, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, err
	}
	k := &key{ssh: parsed}
	algorithm := cose.ES256
	switch parsed.Type() {
	case ssh.KeyAlgoSKECDSA256:
		var w ecdsaWire
		err = ssh.Unmarshal(wire, &w)
		k.application = w.Application
	case ssh.KeyAlgoSKED25519:
		var w ed25519Wire
		err = ssh.Unmarshal(wire, &w)
		k.application, algorithm = w.Application, cose.EdDSA
	default:
		return nil, fmt.Errorf("%s is no key of a security key", parsed.Type())
	}
	if err != nil {
		return nil, err // unreachable: ssh.ParsePublicKey has read the same
	}
	if !strings.HasPrefix(k.application, scheme) {
		return nil, fmt.Errorf("key for %.100q, which is not of SSH", k.application)
	}
	k.public, err = cose.NewKey(algorithm, parsed.(ssh.CryptoPublicKey).CryptoPublicKey())
	return k, err
}

// signature puts a signature into the form that SSH has for it: PROTOCOL.u2f, "SSH U2F signatures".
func (k *key) signature(authData, sig []byte) (*ssh.Signature, error) {
	const rpIDHash, flagsAndCounter = 32, 5
	if len(authData) != rpIDHash+flagsAndCounter {
		return nil, errors.New("the security key signed more than SSH has room for") // extensions, which nobody asked for
	}
	if k.ssh.Type() == ssh.KeyAlgoSKECDSA256 {
		var number struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &number); err != nil {
			return nil, err // unreachable: it is verified
		}
		sig = ssh.Marshal(number)
	}
	return &ssh.Signature{Format: k.ssh.Type(), Blob: sig, Rest: authData[rpIDHash:]}, nil
}
