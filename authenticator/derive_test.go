package authenticator

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// encryptionKey makes a credential for encryption on a key, whose user touches it for that, and pulls the key again.
func encryptionKey(t *testing.T, d *desk, name, pin string, c virtual.Config, protect uint) (*virtual.Authenticator, SecretCredential) {
	t.Helper()
	touchless := d.key(name, c)
	if pin != "" {
		setPIN(t, touchless, pin)
	}
	ui := &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) { return []byte(pin), nil }}
	a, err := New(t.Context(), &wire{key: touchless}, ui)
	require.NoError(t, err)
	defer a.Close()
	opts := credentialOptions()
	opts.HMACSecret, opts.CredProtect = true, protect
	done := make(chan *Credential)
	go func() {
		cred, err := a.MakeCredential(t.Context(), opts)
		require.NoError(t, err)
		done <- cred
	}()
	d.touch(name)
	cred := <-done
	d.take()
	return touchless, SecretCredential{ID: cred.ID, Salts: [][]byte{bytes.Repeat([]byte{7}, 32)}}
}

func derivation(ctx context.Context, d *desk, opts *DeriveOptions) *ongoing[*Secrets] {
	return begin(d, func() (*Secrets, error) { return d.client.Derive(ctx, opts) })
}

func TestDeriveFindsItsKeyWithoutATouch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "", virtual.Config{}, 0)
		setPIN(t, d.plug("b", virtual.Config{}), "1234") // would be asked for its PIN, if it held anything
		d.insert("a", key)
		opts := &DeriveOptions{RPID: "example.org", Credentials: []SecretCredential{{ID: []byte("elsewhere"), Salts: credential.Salts}, credential}}
		o := derivation(t.Context(), d, opts)
		require.Equal(t, []string{"a: added", "a: touch to authenticate", "b: added", "b: touch to select", "select"}, d.take())
		d.touch("a")
		first, err := o.end()
		require.NoError(t, err)
		require.Equal(t, credential.ID, first.CredentialID)
		require.Len(t, first.Secrets, 1)
		require.Equal(t, "a", d.name(first.Key))

		o = derivation(t.Context(), d, opts)
		d.touch("a")
		again, err := o.end()
		require.NoError(t, err)
		require.Equal(t, first.Secrets, again.Secrets)

		o = derivation(t.Context(), d, opts)
		d.touch("b")
		_, err = o.end()
		require.ErrorIs(t, err, ctap2.ErrNoCredentials, "the key that holds nothing explains itself")
	})
}

// A credential that shows itself to verified users only is used all the same.
func TestDeriveWithAProtectedCredential(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{}, ctap2.CredProtectUVRequired)
		d.insert("a", key)
		opts := &DeriveOptions{RPID: "example.org", Credentials: []SecretCredential{credential}, UserVerification: UVRequired}
		o := derivation(t.Context(), d, opts)
		require.Equal(t, []string{"a: added", "a: PIN, reason 0", "a: touch to authenticate"}, d.take())
		d.touch("a")
		secrets, err := o.end()
		require.NoError(t, err)
		require.Len(t, secrets.Secrets, 1)
	})
}

func TestDeriveWaitsForALateKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		key, credential := encryptionKey(t, d, "a", "", virtual.Config{}, 0)
		o := derivation(t.Context(), d, &DeriveOptions{RPID: "example.org", Credentials: []SecretCredential{credential}})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"insert"}, d.take())
		d.insert("a", key)
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestDeriveRefusesWhatNoKeyCanDo(t *testing.T) {
	t.Parallel()
	salts := [][]byte{make([]byte, 32)}
	some := []SecretCredential{{ID: []byte{1}, Salts: salts}}
	for name, opts := range map[string]*DeriveOptions{
		"no RP ID":       {Credentials: some},
		"no credentials": {RPID: "example.org"},
		"no salt":        {RPID: "example.org", Credentials: []SecretCredential{{ID: []byte{1}}}},
		"preferred":      {RPID: "example.org", Credentials: some, UserVerification: UVPreferred},
	} {
		_, err := new(Client).Derive(t.Context(), opts)
		require.ErrorIs(t, err, ErrInvalidOptions, name)
	}
}

func TestLocateCostsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{}, 0)
		d.insert("a", key)
		d.plug("b", virtual.Config{})
		d.plug("c", virtual.Config{U2FOnly: true})
		all, err := d.client.Locate(t.Context(), "example.org", [][]byte{{1, 2, 3}, credential.ID})
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, credential.ID, all[0].CredentialID)
		require.Equal(t, "a", d.name(all[0].Key))
		require.Empty(t, d.take(), "no touch, no PIN")
		require.Zero(t, d.opens.open.Load())

		all, err = d.client.Locate(t.Context(), "example.com", [][]byte{credential.ID})
		require.NoError(t, err)
		require.Empty(t, all)
	})
}
