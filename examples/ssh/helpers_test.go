package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

const pin = "1234"

// person has security keys of package virtual, counts their touches and knows their PIN.
type person struct {
	*authenticator.Client
	hub     virtual.Hub
	touches atomic.Int32
}

// newPerson returns one with a security key of each configuration.
func newPerson(t *testing.T, configs ...virtual.Config) *person {
	t.Helper()
	u := &person{}
	u.Client = &authenticator.Client{Watch: u.hub.Watch, Open: u.hub.Open, UI: &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte(pin), nil },
	}}
	for _, c := range configs {
		if c.UserPresence == nil {
			c.UserPresence = u.touch
		}
		key, err := virtual.New(c)
		require.NoError(t, err)
		t.Cleanup(func() { key.Close() })
		u.hub.Plug(key)
		setPIN(t, key)
	}
	return u
}

func (u *person) touch(context.Context, virtual.Prompt) error {
	u.touches.Add(1)
	return nil
}

func setPIN(t *testing.T, key *virtual.Authenticator) {
	t.Helper()
	a, err := authenticator.New(t.Context(), struct{ ctap2.Transport }{key}, nil) // which it can't close
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, a.SetPIN(t.Context(), []byte(pin)))
}

// enrol makes a key of an algorithm.
func (u *person) enrol(t *testing.T, algorithm cose.Algorithm, flags byte) *key {
	t.Helper()
	k, err := enrol(t.Context(), u.Client, enrolment{algorithm: algorithm, application: "ssh:", flags: flags})
	require.NoError(t, err)
	return k
}

// kinds are the algorithms that both security keys and SSH have.
var kinds = []struct {
	name      string
	algorithm cose.Algorithm
}{{"ecdsa-sk", cose.ES256}, {"ed25519-sk", cose.EdDSA}}

// requireProgram returns the path of a program of the package openssh-client or openssh-server, and skips the test without
// it, unless KEYFOB_EXAMPLES is "require".
func requireProgram(t *testing.T, name, debian string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := "there is no " + name + ": apt-get install " + debian
	if os.Getenv("KEYFOB_EXAMPLES") == "require" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// mustRun runs a program that must succeed, and returns what it wrote to its standard output.
func mustRun(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(t, err, "%s: %s", c, &stderr)
	return string(out)
}
