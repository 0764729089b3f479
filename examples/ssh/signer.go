package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/authenticator"
)

// signer is an ssh.Signer whose signatures cost a touch. It is what ssh.PublicKeys takes:
//
//	config := &ssh.ClientConfig{Auth: []ssh.AuthMethod{ssh.PublicKeys(&signer{ctx, client, key})}}
type signer struct {
	ctx    context.Context // of all its signatures, since Sign has none
	client *authenticator.Client
	key    *key
}

// PublicKey returns the public key, which names the algorithm too.
func (s *signer) PublicKey() ssh.PublicKey { return s.key.ssh }

// Sign blocks until the user has touched the security key.
func (s *signer) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.key.sign(s.ctx, s.client, data)
}

// OpenSSH's PROTOCOL.sshsig.
const (
	sigMagic   = "SSHSIG"
	sigPEMType = "SSH SIGNATURE"
	sigHash    = "sha512"
)

type (
	sigWire struct {
		Version                      uint32
		PublicKey                    []byte
		Namespace, Reserved, HashAlg string
		Signature                    []byte
	}
	signedWire struct {
		Namespace, Reserved, HashAlg string
		Hash                         []byte
	}
)

// signMessage signs what message has, for a purpose such as "file" or "git", so that ssh-keygen -Y verify accepts it.
func signMessage(s ssh.Signer, namespace string, message io.Reader) ([]byte, error) {
	if namespace == "" {
		return nil, errors.New("a signature needs a namespace") // or could be taken for one of any purpose
	}
	h := sha512.New()
	if _, err := io.Copy(h, message); err != nil {
		return nil, err
	}
	signed := ssh.Marshal(signedWire{Namespace: namespace, HashAlg: sigHash, Hash: h.Sum(nil)})
	sig, err := s.Sign(nil, append([]byte(sigMagic), signed...))
	if err != nil {
		return nil, err
	}
	wire := ssh.Marshal(sigWire{
		Version: 1, PublicKey: s.PublicKey().Marshal(), Namespace: namespace, HashAlg: sigHash, Signature: ssh.Marshal(sig),
	})
	return pem.EncodeToMemory(&pem.Block{Type: sigPEMType, Bytes: bytes.Join([][]byte{[]byte(sigMagic), wire}, nil)}), nil
}
