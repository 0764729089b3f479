package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

const origin = "http://localhost:8080"

// A desk is a user in front of the program, with keys to plug in.
type desk struct {
	*toucher
	hub   virtual.Hub
	begun int // ceremonies

	mu     sync.Mutex
	output bytes.Buffer // what the user was told

	called chan struct{} // closed when the user was told to touch a key
	call   func()

	pins  []string // what the user types, one after the other; then there is no terminal
	asked []string // the questions
}

func newDesk(pins ...string) *desk {
	d := &desk{pins: pins, called: make(chan struct{})}
	d.call = sync.OnceFunc(func() { close(d.called) })
	d.toucher = newToucher(origin, d)
	d.client.Watch, d.client.Open = d.hub.Watch, d.hub.Open
	d.readPIN = d.typePIN
	return d
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes.HasPrefix(p, []byte("Touch ")) {
		d.call()
	}
	return d.output.Write(p)
}

// touch comes when the user was told to.
func (d *desk) touch(ctx context.Context, _ virtual.Prompt) error {
	select {
	case <-d.called:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.String()
}

func (d *desk) typePIN(_ context.Context, question string) ([]byte, error) {
	d.asked = append(d.asked, question)
	if len(d.pins) == 0 {
		return nil, authenticator.ErrPINRequired
	}
	pin := d.pins[0]
	d.pins = d.pins[1:]
	return []byte(pin), nil
}

func newKey(t testing.TB, c virtual.Config) *virtual.Authenticator {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	return key
}

// asking is a server that begins ceremonies with these options.
func (d *desk) asking(options json.Marshaler) func() (*api.Ceremony, error) {
	return func() (*api.Ceremony, error) {
		d.begun++
		encoded, err := options.MarshalJSON()
		return &api.Ceremony{ID: fmt.Sprint("ceremony ", d.begun), Options: encoded}, err
	}
}

func creation(uv webauthn.Requirement, exclude ...[]byte) *webauthn.CreationOptions {
	return &webauthn.CreationOptions{
		RP: ctap2.RelyingParty{ID: "localhost", Name: "x"}, User: ctap2.User{ID: []byte{1}, Name: "alice", DisplayName: "alice"},
		Challenge: []byte("a challenge"), Timeout: time.Minute, ExcludeCredentials: descriptors(exclude),
		AuthenticatorSelection: webauthn.AuthenticatorSelection{UserVerification: uv},
	}
}

func request(uv webauthn.Requirement, allow ...[]byte) *webauthn.RequestOptions {
	return &webauthn.RequestOptions{
		RPID: "localhost", Challenge: []byte("a challenge"), Timeout: time.Minute, UserVerification: uv,
		AllowCredentials: descriptors(allow),
	}
}

func descriptors(ids [][]byte) (list []ctap2.CredentialDescriptor) {
	for _, id := range ids {
		list = append(list, ctap2.CredentialDescriptor{Type: "public-key", ID: id})
	}
	return list
}

// credential registers the key and returns the ID.
func credential(t testing.TB, key *virtual.Authenticator) []byte {
	t.Helper()
	d := newDesk("1234")
	d.hub.Plug(key)
	answer, err := d.answer(t.Context(), d.asking(creation(webauthn.Discouraged)), d.register)
	require.NoError(t, err)
	var response webauthn.RegistrationResponse
	require.NoError(t, json.Unmarshal(answer.Response, &response))
	return response.RawID
}

var withPIN = virtual.PINPolicy{Initial: []byte("1234")}

func TestTouchIsAskedForWhenTheKeyBlinks(t *testing.T) {
	t.Parallel()
	d := newDesk()
	path := d.hub.Plug(newKey(t, virtual.Config{UserPresence: d.touch}))
	_, err := d.answer(t.Context(), d.asking(creation(webauthn.Discouraged)), d.register)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("Touch %v to register.\n", path), d.told())
}

func TestWrongPINIsToldWithTheTriesLeft(t *testing.T) {
	t.Parallel()
	d := newDesk("0000", "0000", "1", "1234")
	info := d.hub.Plug(newKey(t, virtual.Config{PIN: withPIN, UserPresence: d.touch}))
	answer, err := d.answer(t.Context(), d.asking(creation(webauthn.Required)), d.register)
	require.NoError(t, err)
	require.Equal(t, "ceremony 1", answer.ID, "the server need not know")
	question := func(left int) string { return fmt.Sprintf("PIN of %v (tries left: %d): ", info, left) }
	require.Equal(t, []string{question(8), question(7), question(7), question(7)}, d.asked)
	require.Equal(t, fmt.Sprintf("Wrong PIN.\nThe key has rejected that PIN already, so it was not asked again.\n"+
		"A PIN has 4 characters or more.\nTouch %v to register.\n", info), d.told())
}

func TestPINErrorsAreToldApart(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		config virtual.Config
		pins   []string
		status int
		text   string
		advice string
	}{
		{"no terminal", virtual.Config{PIN: withPIN}, nil, 7, "PIN required", "where it can ask for the PIN"},
		{"no PIN is set", virtual.Config{}, nil, 7, "no PIN and no fingerprint", "set a PIN on the key"},
		{"locked until unplugged", virtual.Config{PIN: withPIN}, []string{"0001", "0002", "0003"}, 9, "", "unplug the key"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(c.pins...)
			d.hub.Plug(newKey(t, c.config))
			_, err := d.answer(t.Context(), d.asking(creation(webauthn.Required)), d.register)
			require.ErrorIs(t, err, errKey)
			require.ErrorContains(t, err, c.text)
			require.Equal(t, 1, d.begun, "another try would not help")
			p := &program{stderr: d}
			require.Equal(t, c.status, p.report(err))
			require.Contains(t, d.told(), c.advice)
		})
	}
}

func TestNoTouchIsTriedAgainInNewCeremonies(t *testing.T) {
	t.Parallel()
	for blinks, succeeds := range map[int]bool{3: true, 4: false} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			touch := func(ctx context.Context, _ virtual.Prompt) error {
				if d.begun == blinks {
					return nil // the user is back
				}
				<-ctx.Done()
				return ctx.Err()
			}
			d.hub.Plug(newKey(t, virtual.Config{UserPresence: touch}))
			began := time.Now()
			answer, err := d.answer(t.Context(), d.asking(creation(webauthn.Discouraged)), d.register)
			require.Equal(t, 3, d.begun)
			if succeeds {
				require.NoError(t, err)
				require.Equal(t, "ceremony 3", answer.ID)
				require.GreaterOrEqual(t, time.Since(began), 2*time.Minute)
			} else {
				require.Equal(t, authenticator.KindTimeout, authenticator.KindOf(err))
				require.Equal(t, 5, (&program{stderr: d}).report(err))
			}
			require.Equal(t, 2, strings.Count(d.told(), "touch the key while it blinks."))
		})
	}
}

func TestKeyCanBePluggedInLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		key := newKey(t, virtual.Config{})
		done := make(chan error, 1)
		go func() {
			_, err := d.answer(t.Context(), d.asking(creation(webauthn.Discouraged)), d.register)
			done <- err
		}()
		synctest.Wait()
		require.Equal(t, "Plug in a security key.\n", d.told())
		d.hub.Plug(key)
		require.NoError(t, <-done)
	})
}

func TestNoKeyIsToldApartFromNoTouch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		_, err := d.answer(t.Context(), d.asking(creation(webauthn.Discouraged)), d.register)
		require.ErrorContains(t, err, "no security key is plugged in")
		require.Equal(t, 3, d.begun)
		require.Equal(t, 2, strings.Count(d.told(), ": plug a key in.\n"))
		require.Equal(t, 3, (&program{stderr: d}).report(err))
	})
}

func TestAnotherKeyCanBeUsedInstead(t *testing.T) {
	t.Parallel()
	registered, other := newKey(t, virtual.Config{}), newKey(t, virtual.Config{})
	id := credential(t, registered)
	cases := []struct {
		name         string
		wrong, right *virtual.Authenticator
		options      json.Marshaler
		touch        func(*desk) func(context.Context, json.RawMessage) (any, error)
		advice       string
	}{
		{"to connect", other, registered, request(webauthn.Discouraged, id),
			func(d *desk) func(context.Context, json.RawMessage) (any, error) { return d.authenticate }, "use a key that is registered."},
		{"to register", registered, other, creation(webauthn.Discouraged, id),
			func(d *desk) func(context.Context, json.RawMessage) (any, error) { return d.register }, "use a key that is not registered yet."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk()
			d.hub.Plug(c.wrong)
			begin := d.asking(c.options)
			_, err := d.answer(t.Context(), func() (*api.Ceremony, error) {
				if d.begun == 1 { // the user takes the advice
					d.hub.Unplug(c.wrong)
					d.hub.Plug(c.right)
				}
				return begin()
			}, c.touch(d))
			require.NoError(t, err)
			require.Equal(t, 2, d.begun)
			require.Contains(t, d.told(), c.advice)
		})
	}
}

func TestPulledKeyIsWantedBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("1234")
		var key *virtual.Authenticator
		pulled := make(chan struct{}, 1)
		pulled <- struct{}{}
		key = newKey(t, virtual.Config{PIN: withPIN, UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
			select {
			case <-pulled:
				go d.hub.Unplug(key)
				<-ctx.Done()
			default:
			}
			return ctx.Err()
		}})
		d.pins = append(d.pins, "1234")
		d.hub.Plug(key)
		begin := d.asking(creation(webauthn.Required))
		_, err := d.answer(t.Context(), func() (*api.Ceremony, error) {
			if d.begun == 1 {
				d.hub.Plug(key)
			}
			return begin()
		}, d.register)
		require.NoError(t, err)
		require.Contains(t, d.told(), "plug the key in again.")
	})
}

func TestErrorsOfTheServerAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.hub.Plug(newKey(t, virtual.Config{}))
	_, err := d.answer(t.Context(), func() (*api.Ceremony, error) {
		d.begun++
		return nil, fmt.Errorf("the server is slow: %w", context.DeadlineExceeded)
	}, d.register)
	require.ErrorContains(t, err, "slow")
	require.NotErrorIs(t, err, errKey, "nor taken for those of a key")
	require.Equal(t, 1, d.begun)
}

func TestCancelEndsAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d := newDesk()
	d.hub.Plug(newKey(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}))
	_, err := d.answer(ctx, d.asking(creation(webauthn.Discouraged)), d.register)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, d.begun)
	require.Equal(t, 6, (&program{stderr: d}).report(err))
}

// The origin that the key signs is that of the server which was called, not what the options say.
func TestOriginIsTheServersOwn(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.hub.Plug(newKey(t, virtual.Config{}))
	options := creation(webauthn.Discouraged)
	options.RP.ID = "example.org"
	_, err := d.answer(t.Context(), d.asking(options), d.register)
	require.ErrorIs(t, err, webauthn.ErrSecurity)
	require.Empty(t, d.told(), "no key has blinked")
}
