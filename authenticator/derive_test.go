package authenticator

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
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
		require.EqualError(t, err, "authenticator: derive: no credentials", "and not what that is made of")
	})
}

// A credential that shows itself to verified users only is used all the same.
func TestDeriveWithAProtectedCredential(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{}, ctap2.CredProtectUVRequired)
		d.insert("a", key)
		credential.UserVerification = UVRequired
		opts := &DeriveOptions{RPID: "example.org", Credentials: []SecretCredential{credential}}
		o := derivation(t.Context(), d, opts)
		require.Equal(t, []string{"a: added", "a: PIN, reason 0", "a: touch to authenticate"}, d.take())
		d.touch("a")
		secrets, err := o.end()
		require.NoError(t, err)
		require.Len(t, secrets.Secrets, 1)
	})
}

// Which of several it is, nobody but the verified user learns.
func TestDeriveWithAProtectedCredentialAmongOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{}, ctap2.CredProtectUVRequired)
		d.insert("a", key)
		credential.UserVerification = UVRequired
		other := SecretCredential{ID: []byte("elsewhere"), Salts: [][]byte{make([]byte, 32)}, UserVerification: UVRequired}
		derive := func(credentials ...SecretCredential) *Secrets {
			d.pins = []string{"1234"}
			o := derivation(t.Context(), d, &DeriveOptions{RPID: "example.org", Credentials: credentials})
			require.Equal(t, []string{"a: added", "a: PIN, reason 0", "a: touch to authenticate"}, d.take())
			d.touch("a")
			d.take()
			secrets, err := o.end()
			require.NoError(t, err)
			require.Equal(t, credential.ID, secrets.CredentialID)
			return secrets
		}
		require.Equal(t, derive(credential).Secrets, derive(other, credential).Secrets)
	})
}

// A key that says nothing without a touch is used all the same: touched once, or twice if it must say which credential
// it holds before the salts are known.
func TestDeriveWithAKeyThatRefusesSilence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		key, credential := encryptionKey(t, d, "a", "", virtual.Config{Faults: virtual.Faults{RefuseSilent: true}}, 0)
		d.insert("a", key)
		other := SecretCredential{ID: []byte("elsewhere"), Salts: [][]byte{make([]byte, 32)}}
		derive := func(touches int, credentials ...SecretCredential) *Secrets {
			o := derivation(t.Context(), d, &DeriveOptions{RPID: "example.org", Credentials: credentials})
			for range touches {
				require.False(t, o.isOver())
				d.touch("a")
			}
			secrets, err := o.end()
			require.NoError(t, err)
			require.Equal(t, credential.ID, secrets.CredentialID)
			return secrets
		}
		require.Equal(t, derive(1, credential).Secrets, derive(2, other, credential).Secrets)
	})
}

// Each credential has its own way to be asked, also on a key that does not say which it holds until it has been touched.
func TestDeriveVerifiesTheUserForTheCredentialsThatWantIt(t *testing.T) {
	refuseStrangers := func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		silent, token := []byte("\x62up\xf4"), []byte{0x06, 0x58, 0x20} // up: false, pinUvAuthParam of 32 bytes
		if bytes.Contains(request, silent) && !bytes.Contains(request, token) {
			return []byte{byte(ctap2.ErrUPRequired)}
		}
		return run()
	}
	for name, faults := range map[string]virtual.Faults{
		"silent": {}, "refuses silence": {RefuseSilent: true}, "refuses silence without a token": {Answer: refuseStrangers},
	} {
		t.Run(name, func(t *testing.T) { derivesByVerification(t, faults) })
	}
}

func derivesByVerification(t *testing.T, faults virtual.Faults) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{Faults: faults}, 0)
		d.insert("a", key)
		derive := func(credentials ...SecretCredential) (secret []byte, pins int) {
			d.pins = []string{"1234", "1234"}
			o := derivation(t.Context(), d, &DeriveOptions{RPID: "example.org", Credentials: credentials})
			for !o.isOver() {
				d.touch("a")
			}
			secrets, err := o.end()
			require.NoError(t, err)
			require.Equal(t, credential.ID, secrets.CredentialID)
			return secrets.Secrets[0], 2 - len(d.pins)
		}
		other := SecretCredential{ID: []byte("elsewhere"), Salts: credential.Salts}
		verified, otherVerified := credential, other
		verified.UserVerification, otherVerified.UserVerification = UVRequired, UVRequired

		secret, pins := derive(credential)
		require.Zero(t, pins)
		secretOfVerified, pins := derive(verified)
		require.Equal(t, 1, pins)
		require.NotEqual(t, secret, secretOfVerified)
		again, _ := derive(otherVerified, credential)
		require.Equal(t, secret, again)
		again, pins = derive(other, verified)
		require.Equal(t, secretOfVerified, again)
		require.Equal(t, 1, pins)
	})
}

func TestHoldsAsksNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key, credential := encryptionKey(t, d, "a", "1234", virtual.Config{
			AlwaysUV: true, MaxCredentialCountInList: 2, Faults: virtual.Faults{AlwaysUVInSilence: true},
		}, 0)
		a, err := New(t.Context(), unclosed{key}, d.client.UI)
		require.NoError(t, err)
		defer a.Close()
		ids := [][]byte{{1}, {2}, {3}, {4}, credential.ID}
		_, err = a.Holds(t.Context(), "example.org", ids)
		require.Error(t, err)
		require.NotErrorIs(t, err, ctap2.ErrNoCredentials, "it may be there")
		require.Empty(t, d.take(), "no PIN")

		key, credential = encryptionKey(t, d, "b", "", virtual.Config{MaxCredentialCountInList: 2}, 0)
		b, err := New(t.Context(), unclosed{key}, d.client.UI)
		require.NoError(t, err)
		defer b.Close()
		ids[4] = credential.ID
		id, err := b.Holds(t.Context(), "example.org", ids)
		require.NoError(t, err)
		require.Equal(t, credential.ID, id)
		id, err = b.Holds(t.Context(), "example.org", ids[:4])
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
		require.Nil(t, id)
		_, err = b.Holds(t.Context(), "example.org", nil)
		require.ErrorIs(t, err, ErrInvalidOptions)
		require.Empty(t, d.take())
	})
}

// Many U2F keys can be asked whether they know a key handle, and sign nothing without a touch.
func TestHoldsOnlyChecksOverU2F(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const authenticate, checkOnly = 0x02, 0x07
		d := newDesk(t)
		key, err := virtual.New(virtual.Config{U2FOnly: true, Faults: virtual.Faults{
			Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
				if request[1] == authenticate && request[2] != checkOnly {
					return []byte{0x6a, 0x86} // no such control byte
				}
				return run()
			},
		}})
		require.NoError(t, err)
		defer key.Close()
		d.hub.Plug(key)
		a, err := d.client.Select(t.Context())
		require.NoError(t, err)
		defer a.Close()
		cred := register(t, a, nil)
		id, err := a.Holds(t.Context(), "example.org", [][]byte{{1}, cred.ID})
		require.NoError(t, err)
		require.Equal(t, cred.ID, id)
		_, err = a.Holds(t.Context(), "example.com", [][]byte{{1}, cred.ID})
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
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
	preferred := SecretCredential{ID: []byte{1}, Salts: salts, UserVerification: UVPreferred}
	some := []SecretCredential{{ID: []byte{1}, Salts: salts}}
	for name, opts := range map[string]*DeriveOptions{
		"no RP ID":       {Credentials: some},
		"no credentials": {RPID: "example.org"},
		"no salt":        {RPID: "example.org", Credentials: []SecretCredential{{ID: []byte{1}}}},
		"a short salt":   {RPID: "example.org", Credentials: []SecretCredential{{ID: []byte{1}, Salts: [][]byte{{1}}}}},
		"preferred":      {RPID: "example.org", Credentials: append(some, preferred)},
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

		_, err = d.client.Locate(t.Context(), "example.org", nil)
		require.ErrorIs(t, err, ErrInvalidOptions)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = d.client.Locate(ctx, "example.org", [][]byte{credential.ID})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "authenticator: locate: ")
	})
}
