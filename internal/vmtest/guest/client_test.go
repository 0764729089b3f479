package guest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

const origin = "https://login." + rpID

// handKey is a key that waits for its user's hand.
type handKey struct {
	*softKey
	finger  chan struct{}
	waiting atomic.Bool
}

func attachHandKey(t *testing.T, c virtual.Config) *handKey {
	t.Helper()
	k := &handKey{finger: make(chan struct{})}
	c.UserPresence = func(ctx context.Context, _ virtual.Prompt) error {
		k.waiting.Store(true)
		defer k.waiting.Store(false)
		select {
		case <-k.finger:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.softKey = attachSoftKey(t, c)
	return k
}

// touch waits until the key blinks, and touches it.
func (k *handKey) touch(t *testing.T) {
	t.Helper()
	select {
	case k.finger <- struct{}{}:
	case <-time.After(limit):
		require.Fail(t, "the key does not blink")
	}
}

// requireRest waits until the key blinks no more.
func (k *handKey) requireRest(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return !k.waiting.Load() }, limit, 10*time.Millisecond)
}

// desk is an application whose user has several keys plugged in.
type desk struct {
	client authenticator.Client

	mu   sync.Mutex // guards the fields below
	pins []string   // the keys that the user was asked the PIN of, by path
	seen map[authenticator.EventKind][]string
}

func newDesk() *desk {
	d := &desk{seen: make(map[authenticator.EventKind][]string)}
	d.client.UI = &authenticator.UI{
		PIN: func(_ context.Context, req *authenticator.PINRequest) ([]byte, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.pins = append(d.pins, req.Key.Path)
			return []byte(pin), nil
		},
		Notify: func(e authenticator.Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.seen[e.Kind] = append(d.seen[e.Kind], e.Key.Path)
		},
	}
	return d
}

// wait waits until the user was told so of the key.
func (d *desk) wait(t *testing.T, kind authenticator.EventKind, key hid.Info) {
	t.Helper()
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, path := range d.seen[kind] {
			if path == key.Path {
				return true
			}
		}
		return false
	}, limit, 10*time.Millisecond, "%v: %v", kind, key)
}

type registered struct {
	*webauthn.Registration
	err error
}

// register begins a registration, whose answer a server verifies.
func (d *desk) register(t *testing.T, uv webauthn.Requirement) <-chan registered {
	done := make(chan registered, 1)
	challenge := newHash()
	go func() {
		resp, err := d.client.Register(t.Context(), origin, &webauthn.CreationOptions{
			RP: ctap2.RelyingParty{ID: rpID}, User: ctap2.User{ID: []byte("ada's id"), Name: "Ada"}, Challenge: challenge,
			Attestation:            webauthn.ConveyDirect,
			AuthenticatorSelection: webauthn.AuthenticatorSelection{UserVerification: uv},
		})
		if err != nil {
			done <- registered{err: err}
			return
		}
		r, err := webauthn.VerifyRegistration(resp, &webauthn.RegistrationOptions{Ceremony: expected(challenge, uv)})
		done <- registered{r, err}
	}()
	return done
}

func expected(challenge []byte, uv webauthn.Requirement) webauthn.Ceremony {
	return webauthn.Ceremony{
		Challenge: challenge, RPID: rpID, Origins: []string{origin}, RequireUserVerification: uv == webauthn.Required,
	}
}

// signIn begins an authentication with one credential and ends when the server has verified it.
func (d *desk) signIn(t *testing.T, credential *webauthn.CredentialRecord) <-chan error {
	done := make(chan error, 1)
	challenge := newHash()
	go func() {
		resp, err := d.client.Authenticate(t.Context(), origin, &webauthn.RequestOptions{
			RPID: rpID, Challenge: challenge, UserVerification: webauthn.Discouraged,
			AllowCredentials: []ctap2.CredentialDescriptor{{ID: credential.ID, Type: ctap2.PublicKeyType}},
		})
		if err == nil {
			_, err = webauthn.VerifyAssertion(resp, credential, &webauthn.AssertionOptions{
				Ceremony: expected(challenge, webauthn.Discouraged),
			})
		}
		done <- err
	}()
	return done
}

func result[T any](t *testing.T, done <-chan T) T {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(2 * limit):
		require.Fail(t, "the ceremony does not end")
		panic("unreachable")
	}
}

// TestCeremonyOverTwoKeys has the user choose by the one touch that there is: first the key with U2F only, then the other.
func TestCeremonyOverTwoKeys(t *testing.T) {
	a, b := attachHandKey(t, virtual.Config{}), attachHandKey(t, virtual.Config{U2FOnly: true})
	for _, chosen := range []*handKey{b, a} {
		d := newDesk()
		done := d.register(t, webauthn.Discouraged)
		d.wait(t, authenticator.EventTouch, a.Info)
		d.wait(t, authenticator.EventTouch, b.Info)
		chosen.touch(t)
		made := result(t, done)
		require.NoError(t, made.err)
		require.Equal(t, chosen == b, made.Attestation.Format == "fido-u2f")
		require.Equal(t, []string{chosen.Path}, d.seen[authenticator.EventTouched])
		a.requireRest(t)
		b.requireRest(t)

		signed := d.signIn(t, &made.Credential)
		chosen.touch(t)
		require.NoError(t, result(t, signed))
	}
}

// TestCeremonyOverThreeKeysOneOfThemPulled pulls one key while all three blink. Of the two that are left, one with a PIN and
// one with U2F only, the first is chosen, which alone is asked for its PIN.
func TestCeremonyOverThreeKeysOneOfThemPulled(t *testing.T) {
	withPIN := virtual.Config{PIN: virtual.PINPolicy{Initial: []byte(pin)}}
	a, b := attachHandKey(t, withPIN), attachHandKey(t, virtual.Config{U2FOnly: true})
	c := attachHandKey(t, withPIN)
	d := newDesk()
	done := d.register(t, webauthn.Preferred)
	for _, key := range []*handKey{a, b, c} {
		d.wait(t, authenticator.EventTouch, key.Info)
	}
	c.unplug()
	d.wait(t, authenticator.EventRemoved, c.Info)
	a.touch(t) // it is chosen
	a.touch(t) // it makes the credential
	made := result(t, done)
	require.NoError(t, made.err)
	require.Equal(t, "packed", made.Attestation.Format)
	require.Equal(t, []string{a.Path}, d.pins)
	require.Equal(t, []string{c.Path}, d.seen[authenticator.EventRemoved])
	b.requireRest(t)
}
