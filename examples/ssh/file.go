package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// The private key file of OpenSSH, which is the same for keys of security keys: PROTOCOL.key and PROTOCOL.u2f.
const (
	pemType = "OPENSSH PRIVATE KEY"
	magic   = "openssh-key-v1\x00"
	noneKDF = "none"
	block   = 8 // what the private part is padded to if it is not encrypted
)

type (
	fileWire struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		Public, Private         []byte
	}
	// privateWire goes around the public key, which stands between Check2 and its own members.
	privateWire struct {
		Check1, Check2 uint32
		Rest           []byte `ssh:"rest"`
	}
	handleWire struct {
		Flags    byte
		Handle   []byte
		Reserved []byte
		Comment  string
		Padding  []byte `ssh:"rest"`
	}
)

// marshal returns the key as ssh-keygen would write it without a passphrase.
func (k *key) marshal() []byte {
	var check [4]byte
	rand.Read(check[:])
	n := binary.BigEndian.Uint32(check[:]) // it tells a wrong passphrase, where there is one
	private := ssh.Marshal(privateWire{n, n, k.ssh.Marshal()})
	private = append(private, ssh.Marshal(handleWire{Flags: k.flags, Handle: k.handle, Comment: k.comment})...)
	for i := byte(1); len(private)%block != 0; i++ {
		private = append(private, i)
	}
	file := ssh.Marshal(fileWire{Cipher: noneKDF, KDF: noneKDF, Keys: 1, Public: k.ssh.Marshal(), Private: private})
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: append([]byte(magic), file...)})
}

// parseKey reads what ssh-keygen or marshal wrote.
func parseKey(text []byte) (*key, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != pemType {
		return nil, errors.New("no OpenSSH private key")
	}
	wire, ok := bytes.CutPrefix(b.Bytes, []byte(magic))
	var file fileWire
	if !ok {
		return nil, errors.New("unknown version of OpenSSH's format")
	}
	if err := ssh.Unmarshal(wire, &file); err != nil {
		return nil, err
	}
	switch {
	case file.Cipher != noneKDF || file.KDF != noneKDF:
		return nil, errors.New("the key has a passphrase, which this program can't take away: ssh-keygen -p can")
	case file.Keys != 1:
		return nil, fmt.Errorf("%d keys in one file", file.Keys)
	}
	return parsePrivate(&file)
}

func parsePrivate(file *fileWire) (*key, error) {
	k, err := parsePublic(file.Public)
	if err != nil {
		return nil, err
	}
	var private privateWire
	if err := ssh.Unmarshal(file.Private, &private); err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(private.Rest, file.Public)
	if !ok || private.Check1 != private.Check2 {
		return nil, errors.New("private key that does not fit the public one")
	}
	var own handleWire
	if err := ssh.Unmarshal(rest, &own); err != nil {
		return nil, err
	}
	if !isPadding(own.Padding) || len(file.Private)%block != 0 {
		return nil, errors.New("wrong padding")
	}
	k.flags, k.handle, k.comment = own.Flags, own.Handle, own.Comment
	return k, nil
}

func isPadding(b []byte) bool {
	return len(b) < block && bytes.Equal(b, []byte("\x01\x02\x03\x04\x05\x06\x07")[:len(b)])
}

// authorized returns the public key as a line of the file authorized_keys. The comment may come from a security key, which
// must not add lines of its own, or control the terminal.
func (k *key) authorized() []byte {
	comment := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, k.comment)
	return fmt.Appendf(bytes.TrimSuffix(ssh.MarshalAuthorizedKey(k.ssh), []byte("\n")), " %s\n", comment)
}

// requireFree returns the error that write would return, if there is one already before the user touches anything.
func requireFree(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return err
	}
	for _, name := range []string{path, path + ".pub"} {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s: %w", name, fs.ErrExist)
		}
	}
	return nil
}

// write writes path and path.pub, none of which may exist, or neither.
func (k *key) write(path string) error {
	if err := create(path, 0o600, k.marshal()); err != nil {
		return err
	}
	if err := create(path+".pub", 0o644, k.authorized()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func create(path string, mode os.FileMode, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// readKey reads a private key file.
func readKey(path string) (*key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}
