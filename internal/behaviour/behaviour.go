// Package behaviour is one suite of tests for every key and every way to reach one: the software key in process, as HID
// reports, over a socket or through a kernel, or a key of flesh and blood. It asks a key what it can do and wants it to
// do that, with package authenticator, as a program would.
//
// [Run] leaves nothing behind on the key. [RunDestructive] resets it. [RunPresets] does both to a software key of
// every class.
package behaviour

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// Key is a key to test.
type Key struct {
	Transport ctap2.Transport

	// PIN is the one that the key has; nil for none. [RunDestructive] does not need it.
	PIN []byte

	// PowerCycle, unless nil, unplugs the key and plugs it in again, and returns how to reach it then.
	PowerCycle func(t *testing.T) ctap2.Transport
}

// An Opener returns a key for one test. It closes what it opened at the end of the test.
type Opener func(t *testing.T) *Key

// Run runs the tests that leave a key as it was, but for its counters.
func Run(t *testing.T, open Opener) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, k *session)
	}{
		{"says what it is", saysWhatItIs},
		{"registers and signs", registersAndSigns},
		{"verifies the user", verifiesUser},
		{"signs in silence", signsInSilence},
		{"knows its own credentials", knowsItsOwn},
		{"excludes", excludes},
		{"derives secrets", derivesSecrets},
		{"answers in any order", answersInAnyOrder},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, begin(t, open(t))) })
	}
}

// RunDestructive resets the key, more than once, and tests what changes it for good. At the end it is as good as new.
func RunDestructive(t *testing.T, open Opener) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, k *session)
	}{
		{"has a PIN", hasPIN},
		{"locks", locks},
		{"keeps passkeys", keepsPasskeys},
		{"manages passkeys", managesPasskeys},
		{"hides passkeys", hidesPasskeys},
		{"keeps extensions", keepsExtensions},
		{"keeps large blobs", keepsLargeBlobs},
		{"knows fingers", knowsFingers},
		{"obeys its owner", obeysItsOwner},
		{"forgets all", forgetsAll},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := begin(t, open(t))
			k.reset(t)
			tt.run(t, k)
			k.reset(t)
		})
	}
}

// RunPresets runs both halves on a software key of each preset that connect makes reachable.
func RunPresets(t *testing.T, connect func(t *testing.T, key *virtual.Authenticator) ctap2.Transport) {
	for _, preset := range virtual.Presets() {
		t.Run(string(preset), func(t *testing.T) {
			open := func(t *testing.T) *Key { return plugIn(t, preset.Config(), connect) }
			Run(t, open)
			RunDestructive(t, open)
		})
	}
}

// plugIn returns a new software key, with a PIN if it can have one.
func plugIn(
	t *testing.T, c virtual.Config, connect func(t *testing.T, key *virtual.Authenticator) ctap2.Transport,
) *Key {
	t.Helper()
	k := new(Key)
	if !c.NoClientPIN && !c.U2FOnly {
		k.PIN = firstPIN
		c.PIN.Initial = k.PIN
	}
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, key.Close()) })
	k.Transport = connect(t, key)
	k.PowerCycle = func(t *testing.T) ctap2.Transport {
		key.PowerCycle()
		return connect(t, key)
	}
	return k
}

var (
	firstPIN  = []byte("Grüße 12")
	secondPIN = []byte("pin-number-2")
)

// session is a key that is open.
type session struct {
	*authenticator.Authenticator
	key *Key
	ui  *authenticator.UI
	pin []byte // what the user answers; nil for a user who knows none
}

// begin opens the key.
func begin(t *testing.T, key *Key) *session {
	t.Helper()
	k := &session{key: key, pin: key.PIN}
	k.ui = &authenticator.UI{PIN: k.askPIN}
	k.open(t, key.Transport)
	return k
}

func (k *session) open(t *testing.T, transport ctap2.Transport) {
	t.Helper()
	a, err := authenticator.New(t.Context(), transport, k.ui)
	require.NoError(t, err)
	k.Authenticator = a
}

var errNoPIN = errors.New("the user knows no PIN")

func (k *session) askPIN(context.Context, *authenticator.PINRequest) ([]byte, error) {
	if k.pin == nil {
		return nil, errNoPIN
	}
	return bytes.Clone(k.pin), nil
}

// reset resets the key, unless it speaks U2F only and has nothing to reset.
func (k *session) reset(t *testing.T) {
	t.Helper()
	if k.speaksU2FOnly() {
		return
	}
	require.NoError(t, k.Reset(t.Context()))
	k.pin = nil
}

// protect gives the key a PIN, if it can have one.
func (k *session) protect(t *testing.T) {
	t.Helper()
	if k.lists("clientPin") {
		require.NoError(t, k.SetPIN(t.Context(), bytes.Clone(firstPIN)))
		k.pin = firstPIN
	}
}

// has returns the value of an option.
func (k *session) has(option string) bool {
	value, _ := k.Info().Option(option)
	return value
}

// lists reports whether the key has an option, switched on or not.
func (k *session) lists(option string) bool {
	_, ok := k.Info().Option(option)
	return ok
}

// verifies reports whether the key can find out who its user is.
func (k *session) verifies() bool { return k.has("clientPin") || k.has("uv") }

// needs skips the rest of a test for a key that has none of the options.
func (k *session) needs(t *testing.T, options ...string) {
	t.Helper()
	if !slices.ContainsFunc(options, k.lists) {
		t.Skipf("a key without %v", options)
	}
}

func (k *session) speaksU2FOnly() bool { return slices.Equal(k.Info().Versions, []string{"U2F_V2"}) }
