package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/virtual"
)

const pin = "1234"

// desk has a client and the keys that are plugged in.
type desk struct {
	virtual.Hub
	authenticator.Client
	pins atomic.Int32 // how often the PIN was asked for
}

func newDesk(keys ...*virtual.Authenticator) *desk {
	d := &desk{}
	d.Client = authenticator.Client{Watch: d.Hub.Watch, Open: d.Hub.Open, UI: &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) {
			d.pins.Add(1)
			return []byte(pin), nil
		},
	}}
	for _, key := range keys {
		d.Plug(key)
	}
	return d
}

func newKey(t *testing.T, c virtual.Config) *virtual.Authenticator {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	return key
}

func withPIN() virtual.Config { return virtual.Config{PIN: virtual.PINPolicy{Initial: []byte(pin)}} }

// call runs the program.
func call(t *testing.T, d *desk, in string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &d.Client, args, strings.NewReader(in), &out))
	return out.String()
}

// enrolled makes a recipient of a key, alone on a desk.
func enrolled(t *testing.T, key *virtual.Authenticator, args ...string) string {
	t.Helper()
	line := call(t, newDesk(key), "", append([]string{"new"}, args...)...)
	require.True(t, strings.HasPrefix(line, "age1fido2-hmac1"), line)
	return strings.TrimSpace(line)
}

func TestAnyRecipientOpensAndNobodyElse(t *testing.T) {
	t.Parallel()
	first, second, other := newKey(t, withPIN()), newKey(t, withPIN()), newKey(t, withPIN())
	touch, verified := enrolled(t, first), enrolled(t, second, "--pin")
	file := call(t, newDesk(), "a secret", "to", touch, verified)

	untouched := virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	d := newDesk(first, newKey(t, untouched))
	require.Equal(t, "a secret", call(t, d, file, "open"))
	require.Zero(t, d.pins.Load(), "the key has a PIN, but the recipient wants none")
	d = newDesk(second)
	require.Equal(t, "a secret", call(t, d, file, "open"))
	require.EqualValues(t, 1, d.pins.Load())

	d = newDesk(other)
	for _, names := range [][]string{{touch}, {touch, verified}} {
		require.Zero(t, d.pins.Load(), "a touch would have been enough")
		file := call(t, newDesk(), "a secret", append([]string{"to"}, names...)...)
		err := run(t.Context(), &d.Client, []string{"open"}, strings.NewReader(file), &bytes.Buffer{})
		var wrongKey *age.NoIdentityMatchError
		require.ErrorAs(t, err, &wrongKey)
		require.Equal(t, authenticator.KindNoMatch, authenticator.KindOf(err))
		require.NotErrorIs(t, err, errBroken)
	}
}

// A recipient that a key has verified the user for, unasked, wants that to decrypt, too.
func TestKeyThatAlwaysVerifies(t *testing.T) {
	t.Parallel()
	c := withPIN()
	c.AlwaysUV = true
	key := newKey(t, c)
	name := enrolled(t, key)
	r, err := parseRecipient(name)
	require.NoError(t, err)
	require.True(t, r.verify)
	d := newDesk(key)
	require.Equal(t, "a secret", call(t, d, call(t, newDesk(), "a secret", "to", name), "open"))
}

func TestOpenWaitsForTheKey(t *testing.T) {
	t.Parallel()
	key := newKey(t, virtual.Config{})
	file := call(t, newDesk(), "a secret", "to", enrolled(t, key))
	d := newDesk()
	d.UI.Notify = func(e authenticator.Event) {
		if e.Kind == authenticator.EventInsert {
			d.Plug(key)
		}
	}
	require.Equal(t, "a secret", call(t, d, file, "open"))
}

// One byte of a file is changed at a time. The right key is there, so the file is what is wrong.
func TestBrokenFileIsNoWrongKey(t *testing.T) {
	t.Parallel()
	key := newKey(t, virtual.Config{})
	name := enrolled(t, key)
	file := call(t, newDesk(), "a secret", "to", name)
	body := strings.Index(file, "\n---")
	arguments := strings.Fields(file)
	for what, offset := range map[string]int{
		"the ephemeral share": strings.Index(file, arguments[4]) + 3,
		"the flag":            strings.Index(file, " AA ") + 1,
		"the salt":            strings.Index(file, arguments[6]) + 3,
		"the file key":        body - 10,
		"the MAC":             body + 10,
		"the payload":         len(file) - 3,
	} {
		broken := []byte(file)
		broken[offset] ^= 1
		d := newDesk(key)
		err := run(t.Context(), &d.Client, []string{"open"}, bytes.NewReader(broken), &bytes.Buffer{})
		require.Error(t, err, what)
		var wrongKey *age.NoIdentityMatchError
		require.False(t, errors.As(err, &wrongKey), "%s: %v", what, err)
	}
}

func TestWrongPIN(t *testing.T) {
	t.Parallel()
	key := newKey(t, withPIN())
	file := call(t, newDesk(), "a secret", "to", enrolled(t, key, "--pin"))
	d := newDesk(key)
	pins := []string{"4321", pin}
	d.UI.PIN = func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
		question, err := pinQuestion(ctx, req)
		if len(pins) == 1 {
			require.Contains(t, question, "wrong PIN, 7 tries left")
		}
		answer := pins[0]
		pins = pins[1:]
		return []byte(answer), err
	}
	require.Equal(t, "a secret", call(t, d, file, "open"))
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk()
	for _, args := range [][]string{nil, {"to"}, {"open", "it"}, {"new", "--uv"}, {"help"}} {
		require.ErrorIs(t, run(t.Context(), &d.Client, args, nil, nil), errUsage, "%q", args)
	}
	native, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.Error(t, run(t.Context(), &d.Client, []string{"to", native.Recipient().String()}, nil, nil))

	var file bytes.Buffer
	w, err := age.Encrypt(&file, native.Recipient())
	require.NoError(t, err)
	require.NoError(t, w.Close())
	err = run(t.Context(), &d.Client, []string{"open"}, &file, nil)
	require.ErrorContains(t, err, "no security key")
}
