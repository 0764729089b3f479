package authenticator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// openReports opens the key over HID reports in memory.
func openReports(t *testing.T, key *virtual.Authenticator, ui *UI) *Authenticator {
	t.Helper()
	channel, err := ctaphid.Open(t.Context(), key.Device())
	require.NoError(t, err)
	a, err := New(t.Context(), channel, ui)
	require.NoError(t, err)
	return a
}

// openSocket serves the key on a socket and opens it by path, as any other program would.
func openSocket(t *testing.T, key *virtual.Authenticator, ui *UI) *Authenticator {
	t.Helper()
	dir, err := os.MkdirTemp("", "keyfob") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "key.sock")
	listener, err := net.Listen("unixpacket", path)
	if err != nil {
		t.Skipf("no SOCK_SEQPACKET sockets on this system: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := listener.Accept()
		if err == nil {
			key.Serve(context.Background(), conn)
		}
	})
	t.Cleanup(func() { listener.Close(); wg.Wait() })
	a, err := Open(t.Context(), hid.Info{Path: "unix:" + path}, ui)
	require.NoError(t, err)
	require.Equal(t, "unix:"+path, a.Key().Path)
	return a
}

// One behaviour on every way to reach a key.
func TestCeremonyOnEveryBackend(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *virtual.Authenticator, *UI) *Authenticator{
		"in process": func(t *testing.T, key *virtual.Authenticator, ui *UI) *Authenticator {
			return openWire(t, &wire{key: key}, ui)
		},
		"HID reports": openReports,
		"socket":      openSocket,
	} {
		t.Run(name, func(t *testing.T) {
			key, err := virtual.New(virtual.Config{})
			require.NoError(t, err)
			defer key.Close()
			p, ui := answers(t, "0000", "1234", "1234")
			var touches []TouchReason
			ui.Notify = func(e Event) {
				if e.Kind == EventTouch {
					touches = append(touches, e.Touch)
				}
			}
			a := open(t, key, ui)
			defer a.Close()

			require.NoError(t, a.SetPIN(t.Context(), []byte("1234")))
			cred := register(t, a, func(o *CredentialOptions) {
				o.ResidentKey, o.UserVerification, o.HMACSecret = true, UVRequired, true
			})
			require.Equal(t, []PINReason{PINNeeded, PINInvalid}, p.reasons())
			_, err = cred.Attestation.Verify(hash("create"))
			require.NoError(t, err)

			opts := assertionOptions()
			opts.UserVerification = UVRequired
			opts.HMACSecretSalts = [][]byte{hash("salt")}
			assertions, err := a.GetAssertions(t.Context(), opts)
			require.NoError(t, err)
			require.Len(t, assertions, 1)
			got := assertions[0]
			require.NoError(t, webauthn.VerifySignature(cred.PublicKey, got.AuthData, hash("get"), got.Signature))
			require.Equal(t, "jane", got.User.Name, "names are told to the verified user")
			require.Equal(t, []TouchReason{TouchToRegister, TouchToAuthenticate}, touches)

			o := credentialOptions()
			o.ExcludeList = [][]byte{cred.ID}
			_, err = a.MakeCredential(t.Context(), o)
			require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)
			require.NoError(t, a.Reset(t.Context()))
			_, err = a.GetAssertions(t.Context(), assertionOptions(cred))
			require.Equal(t, KindNoMatch, KindOf(err))
		})
	}
}

func TestWinkAndPing(t *testing.T) {
	winks := 0
	key, err := virtual.New(virtual.Config{Wink: func() { winks++ }})
	require.NoError(t, err)
	defer key.Close()
	a := openReports(t, key, nil)
	defer a.Close()
	require.NoError(t, a.Wink(t.Context()))
	require.Equal(t, 1, winks)
	require.NoError(t, a.Ping(t.Context(), make([]byte, 7609)))
	require.ErrorIs(t, a.Ping(t.Context(), make([]byte, 7610)), ctaphid.ErrTooLong)
}

// A ceremony that is cancelled while the key blinks leaves it dark and free, for us and for others.
func TestCancelOverHID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting := false
		key, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
			waiting = true
			defer func() { waiting = false }()
			<-ctx.Done()
			return ctx.Err()
		}})
		require.NoError(t, err)
		defer key.Close()
		cause := errors.New("window closed")
		ctx, cancel := context.WithCancelCause(t.Context())
		a := openReports(t, key, &UI{Notify: func(e Event) {
			if e.Kind == EventTouch {
				time.AfterFunc(3*time.Second, func() { cancel(cause) })
			}
		}})
		defer a.Close()
		start := time.Now()
		_, err = a.MakeCredential(ctx, credentialOptions())
		require.ErrorIs(t, err, cause)
		require.Less(t, time.Since(start), 4*time.Second)
		synctest.Wait()
		require.False(t, waiting)
		require.NoError(t, a.Ping(t.Context(), []byte("free")))
		other := openReports(t, key, nil)
		require.NoError(t, other.Ping(t.Context(), []byte("free")))
		other.Close()
	})
}

// Two programs use one key in turn: the second waits until the first has its touch.
func TestTwoProgramsOnOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touch := make(chan struct{})
		key, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
			select {
			case <-touch:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
		require.NoError(t, err)
		defer key.Close()
		first, second := openReports(t, key, nil), openReports(t, key, nil)
		defer first.Close()
		defer second.Close()
		var wg sync.WaitGroup
		for _, a := range []*Authenticator{first, second} {
			wg.Go(func() {
				_, err := a.MakeCredential(t.Context(), credentialOptions())
				require.NoError(t, err)
			})
		}
		for range 2 {
			synctest.Wait()
			touch <- struct{}{}
		}
		wg.Wait()
	})
}

// The key is pulled while it waits for a touch: an error at once.
func TestRemovalWhileWaiting(t *testing.T) {
	key, err := virtual.New(virtual.Config{UserPresence: stalling})
	require.NoError(t, err)
	a := openSocket(t, key, &UI{Notify: func(e Event) {
		if e.Kind == EventTouch {
			go key.Close()
		}
	}})
	defer a.Close()
	_, err = a.MakeCredential(t.Context(), credentialOptions())
	require.ErrorIs(t, err, hid.ErrRemoved)
	require.Equal(t, KindRemoved, KindOf(err))
	_, err = a.MakeCredential(t.Context(), credentialOptions())
	require.Equal(t, KindRemoved, KindOf(err))
}

// silent is a device that takes every report and says nothing.
type silent struct{ closed chan struct{} }

func (s silent) Read([]byte) (int, error)    { <-s.closed; return 0, io.EOF }
func (s silent) Write(p []byte) (int, error) { return len(p), nil }
func (s silent) Close() error                { close(s.closed); return nil }

func TestSilentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := ctaphid.Open(t.Context(), silent{make(chan struct{})})
		require.Equal(t, KindProtocol, KindOf(err))
	})
}
