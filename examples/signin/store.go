package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/crypto/bcrypt"
)

// store is all that the site remembers, in one file. Its users hold the site's lock.
type store struct {
	Accounts map[string]*account
	Secret   []byte // to make up keys for names that nobody has

	file string
}

// account is one user.
type account struct {
	Name     string
	Handle   []byte // what keys call the user
	Password []byte `json:",omitempty"` // bcrypt; nil if keys have replaced it
	Keys     []*key
	Codes    []string // SHA-256 of the backup codes that are left
}

// key is one security key of an account.
type key struct {
	Name       string
	Credential webauthn.Credential
	Created    time.Time
	LastUsed   time.Time `json:",omitzero"`
	Disabled   bool
}

func openStore(file string) (*store, error) {
	s := &store{Accounts: map[string]*account{}, Secret: []byte(rand.Text()), file: file}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, json.Unmarshal(data, s)
}

// save replaces the file as a whole, so that it is never half written.
func (s *store) save() error {
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	next := s.file + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.file)
}

// userWithHandle returns the user whom a key named, with those keys that pass the filter.
func (s *store) userWithHandle(handle []byte, filter func(*key) bool) (user, error) {
	for _, a := range s.Accounts {
		if bytes.Equal(a.Handle, handle) {
			return a.user(filter), nil
		}
	}
	return user{}, errors.New("no account has this handle")
}

// hasKey says whether any account has a key with that credential.
func (s *store) hasKey(id []byte) bool {
	for _, a := range s.Accounts {
		if a.keyWith(id) != nil {
			return true
		}
	}
	return false
}

// userNamed returns the user of that name with those keys that pass the filter. If there are none, it makes one up,
// the same each time, so that it is hard to find out which names exist, or which of them have keys. The length of the
// credential and the number of keys may still tell.
func (s *site) userNamed(name string, filter func(*key) bool) user {
	if a := s.store.Accounts[name]; a != nil {
		if u := a.user(filter); len(u.credentials) > 0 {
			return u
		}
	}
	mac := hmac.New(sha256.New, s.store.Secret)
	mac.Write([]byte(name))
	id := mac.Sum(nil)
	made := webauthn.Credential{ID: id, Transport: []protocol.AuthenticatorTransport{protocol.USB}} // as most real ones
	return user{name: name, handle: id, credentials: []webauthn.Credential{made}}
}

func newAccount(name, password string) (*account, error) {
	a := &account{Name: name, Handle: make([]byte, 32)}
	rand.Read(a.Handle)
	return a, a.setPassword(password)
}

func (a *account) setPassword(password string) (err error) {
	a.Password, err = bcrypt.GenerateFromPassword([]byte(password), passwordCost)
	return err
}

var passwordCost = bcrypt.DefaultCost // less in tests

// nobody's password costs as much to try as somebody's.
var nobody = sync.OnceValue(func() *account {
	a, _ := newAccount("", rand.Text()) // which is short enough for bcrypt
	return a
})

func (a *account) hasPassword(password string) bool {
	if a == nil || a.Password == nil {
		a = nobody()
	}
	return bcrypt.CompareHashAndPassword(a.Password, []byte(password)) == nil
}

// newCodes replaces the backup codes and returns them, since the account keeps only their hashes.
func (a *account) newCodes() []string {
	codes := make([]string, 10)
	a.Codes = make([]string, len(codes))
	for i := range codes {
		code := rand.Text() // of which 80 bits are enough
		codes[i] = strings.Join([]string{code[:4], code[4:8], code[8:12], code[12:16]}, " ")
		a.Codes[i] = hashCode(codes[i])
	}
	return codes
}

// useCode says whether that is one of the backup codes, which it never is again.
func (a *account) useCode(code string) bool {
	i := slices.Index(a.Codes, hashCode(code))
	if i < 0 {
		return false
	}
	a.Codes = slices.Delete(a.Codes, i, i+1)
	return true
}

// hashCode needs neither a slow hash nor salt: codes are random, and long enough. Case and spaces do not count.
func hashCode(code string) string {
	code = strings.ToUpper(strings.ReplaceAll(code, " ", ""))
	hash := sha256.Sum256([]byte(code))
	return hex.EncodeToString(hash[:])
}

// keyWith returns the key with that credential, or nil.
func (a *account) keyWith(id []byte) *key {
	i := slices.IndexFunc(a.Keys, func(k *key) bool { return bytes.Equal(k.Credential.ID, id) })
	if i < 0 {
		return nil
	}
	return a.Keys[i]
}

// HasSecondFactor says whether the password alone is not enough.
func (a *account) HasSecondFactor() bool { return slices.ContainsFunc(a.Keys, (*key).Enabled) }

// hasWayIn is what every change must leave true. Backup codes do not count: they come to an end.
func (a *account) hasWayIn() bool {
	return a.Password != nil || slices.ContainsFunc(a.Keys, (*key).alone)
}

// ID names the key in the site's addresses.
func (k *key) ID() string { return base64.RawURLEncoding.EncodeToString(k.Credential.ID) }

// Verifies says whether the key verified its user when it was registered, by PIN or finger. One that did not is never
// good for more than a second factor: whoever finds it could set a PIN on it.
func (k *key) Verifies() bool { return k.Credential.Flags.UserVerified }

// Resident says whether the key knows who its user is.
func (k *key) Resident() bool {
	return k.Credential.Extensions.RK != nil && *k.Credential.Extensions.RK
}

func (k *key) Enabled() bool { return !k.Disabled }

// alone says whether the key is enough to sign in.
func (k *key) alone() bool { return k.Enabled() && k.Verifies() }

func (k *key) any() bool { return true }

// user is an account with some of its keys, as package webauthn sees it.
type user struct {
	name        string
	handle      []byte
	credentials []webauthn.Credential
}

func (a *account) user(filter func(*key) bool) user {
	u := user{name: a.Name, handle: a.Handle}
	for _, k := range a.Keys {
		if filter(k) {
			u.credentials = append(u.credentials, k.Credential)
		}
	}
	return u
}

func (u user) WebAuthnID() []byte                         { return u.handle }
func (u user) WebAuthnName() string                       { return u.name }
func (u user) WebAuthnDisplayName() string                { return u.name }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

func (u user) descriptors() []protocol.CredentialDescriptor {
	return webauthn.Credentials(u.credentials).CredentialDescriptors()
}
