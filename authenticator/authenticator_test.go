package authenticator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// "Touch now" comes once for each wait, with its reason, and not when nobody waits.
func TestTouchEvents(t *testing.T) {
	var events []Event
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "1234")
	ui.Notify = func(e Event) { events = append(events, e) }
	a, _ := openKey(t, key, ui)
	seen := func() (touches []TouchReason) {
		for _, e := range events {
			if e.Kind == EventTouch {
				touches = append(touches, e.Touch)
			}
		}
		events = nil
		return touches
	}
	require.Empty(t, seen(), "opening")
	cred := register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, []TouchReason{TouchToRegister}, seen())
	_, err := a.GetAssertions(t.Context(), assertionOptions(cred))
	require.NoError(t, err)
	require.Equal(t, []TouchReason{TouchToAuthenticate}, seen())
	require.NoError(t, a.Selection(t.Context()))
	require.Equal(t, []TouchReason{TouchToSelect}, seen())
	require.NoError(t, a.Reset(t.Context()))
	require.Equal(t, []TouchReason{TouchToReset}, seen())
	require.Equal(t, "reset", TouchToReset.String())
}

// statuses is a transport that reports each status before it passes a command on.
type statuses struct {
	wire
	report []byte
}

func (s *statuses) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	for _, status := range s.report {
		keepalive(status)
	}
	return s.wire.CBOR(ctx, request, nil)
}

func TestStatusesBecomeEvents(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	var kinds []EventKind
	w := &statuses{wire: wire{key: key}}
	a, err := New(t.Context(), w, &UI{Notify: func(e Event) { kinds = append(kinds, e.Kind) }})
	require.NoError(t, err)
	defer a.Close()
	for _, tc := range []struct {
		report []byte
		want   []EventKind
	}{
		{[]byte{1, 1}, nil},
		{[]byte{1, 2, 2, 2}, []EventKind{EventTouch}},
		{[]byte{1, 2, 1, 1}, []EventKind{EventTouch, EventProcessing}},
		{[]byte{2, 1, 2}, []EventKind{EventTouch, EventProcessing, EventTouch}},
		{[]byte{3, 2, 0x80}, []EventKind{EventTouch}},
	} {
		kinds, w.report = nil, tc.report
		register(t, a, nil)
		require.Equal(t, tc.want, kinds, "%v", tc.report)
	}
}

func TestCloseForgetsTheSharedSecret(t *testing.T) {
	a, _ := open(t, virtual.Config{}, nil)
	require.NoError(t, a.SetPIN(t.Context(), []byte("1234")))
	require.NotNil(t, a.agreement.secret)
	require.NoError(t, a.Close())
	require.Nil(t, a.agreement.secret)
}

func TestResetForgetsEverything(t *testing.T) {
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{}), nil)
	require.NoError(t, a.Reset(t.Context()))
	set, supported := a.Info().Option("clientPin")
	require.True(t, supported)
	require.False(t, set)
	require.NoError(t, a.SetPIN(t.Context(), []byte("5678")))
}

func TestSelectionOnKeysFromBeforeTheCommand(t *testing.T) {
	touches := 0
	for name, key := range map[string]*virtual.Authenticator{
		"with PIN":    keyWithPIN(t, virtual.Config{}),
		"without PIN": func() *virtual.Authenticator { _, w := open(t, virtual.Config{}, nil); return w.key }(),
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{key: key, lie: infoLie(t, asCTAP20)}
			a := openWire(t, w, &UI{Notify: func(Event) { touches++ }})
			w.sent()
			touches = 0
			require.NoError(t, a.Selection(t.Context()))
			require.Equal(t, []ctap2.Command{makeCredential}, w.sent())
			require.NotZero(t, touches)
		})
	}
}

// stalling never touches the key.
func stalling(ctx context.Context, _ virtual.Prompt) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestCancelledCeremony(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touch := stalling
		key, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, p virtual.Prompt) error { return touch(ctx, p) }})
		require.NoError(t, err)
		cause := errors.New("window closed")
		ctx, cancel := context.WithCancelCause(t.Context())
		a, err := New(t.Context(), &wire{key: key}, &UI{Notify: func(Event) { cancel(cause) }})
		require.NoError(t, err)
		defer a.Close()
		_, err = a.MakeCredential(ctx, credentialOptions())
		require.ErrorIs(t, err, cause)
		require.Equal(t, KindCancelled, KindOf(err), "whatever the cause is")
		require.Equal(t, KindCancelled, KindOf(a.Selection(ctx)))
		touch = func(context.Context, virtual.Prompt) error { return nil }
		_, err = a.MakeCredential(t.Context(), credentialOptions())
		require.NoError(t, err, "the key is free again")
	})
}

func TestTouchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := open(t, virtual.Config{UserPresence: stalling}, nil)
		_, err := a.MakeCredential(t.Context(), credentialOptions())
		require.ErrorIs(t, err, ctap2.ErrUserActionTimeout)
		require.Equal(t, KindTimeout, KindOf(err))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = a.MakeCredential(ctx, credentialOptions())
		require.Equal(t, KindTimeout, KindOf(err))
		a.Close()
	})
}

func TestRefusedTouch(t *testing.T) {
	a, _ := open(t, virtual.Config{UserPresence: func(context.Context, virtual.Prompt) error { return errors.New("no") }}, nil)
	_, err := a.MakeCredential(t.Context(), credentialOptions())
	require.Equal(t, KindCancelled, KindOf(err))
}

func TestCloseEndsTheOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := virtual.New(virtual.Config{UserPresence: stalling})
		require.NoError(t, err)
		w := &wire{key: key}
		a, err := New(t.Context(), w, nil)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 3 { // one runs, two wait for their turn
			wg.Go(func() {
				_, err := a.MakeCredential(t.Context(), credentialOptions())
				require.ErrorIs(t, err, fs.ErrClosed)
			})
		}
		synctest.Wait()
		for range 3 {
			wg.Go(func() { require.NoError(t, a.Close()) })
		}
		wg.Wait()
		require.Equal(t, 1, w.closed)
		require.ErrorIs(t, a.Selection(t.Context()), fs.ErrClosed)
	})
}

func TestOperationsTakeTurns(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	a, _ := openKey(t, key, &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) { return []byte("1234"), nil }})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			o := credentialOptions()
			o.UserVerification = UVRequired
			_, err := a.MakeCredential(t.Context(), o)
			require.NoError(t, err)
		})
	}
	wg.Wait()
}

func TestCancelledWhileWaitingForTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := open(t, virtual.Config{UserPresence: stalling}, nil)
		go a.MakeCredential(t.Context(), credentialOptions())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Selection(ctx), context.DeadlineExceeded)
		a.Close()
	})
}

func TestWhatTheTransportCannotDo(t *testing.T) {
	a, _ := open(t, virtual.Config{}, nil)
	require.ErrorIs(t, a.Wink(t.Context()), ErrUnsupported)
	require.ErrorIs(t, a.Ping(t.Context(), nil), ErrUnsupported)
}

// u2fOnly is a transport to a key without CTAP2.
type u2fOnly struct{ wire }

func (*u2fOnly) DeviceInfo() ctaphid.DeviceInfo {
	return ctaphid.DeviceInfo{Capabilities: ctaphid.CapabilityWink}
}

func TestKeyThatSpeaksNeitherProtocol(t *testing.T) {
	w := &u2fOnly{}
	_, err := New(t.Context(), w, nil)
	require.Equal(t, KindUnsupported, KindOf(err))
	require.ErrorContains(t, err, "neither CTAP2 nor U2F")
	require.Equal(t, 1, w.closed)
}

func TestOpenOfNothing(t *testing.T) {
	_, err := Open(t.Context(), hid.Info{Path: "unix:" + t.TempDir() + "/none.sock"}, nil)
	require.Equal(t, KindNoDevice, KindOf(err), "%v", err)
}

func TestPINErrorSaysWhatToDo(t *testing.T) {
	for want, err := range map[string]*PINError{
		"PIN invalid":                {Status: ctap2.ErrPINInvalid, Retries: -1},
		"PIN invalid (1 retry left)": {Status: ctap2.ErrPINInvalid, Retries: 1},
		"PIN locked: unplug the key and plug it in again (5 retries left)":                  {Status: ctap2.ErrPINAuthBlocked, Retries: 5, PowerCycle: true},
		"PIN blocked: only a reset of the key, which destroys its credentials, unblocks it": {Status: ctap2.ErrPINBlocked, Retries: -1},
	} {
		require.EqualError(t, err, want)
	}
	require.ErrorContains(t, &PINError{Status: ctap2.ErrPINInvalid}, "blocked", "no retries left")
}

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Kind
	}{
		{nil, KindOther},
		{errors.New("?"), KindOther},
		{hid.ErrRemoved, KindRemoved},
		{hid.ErrBusy, KindBusy},
		{&fs.PathError{Op: "open", Path: "/dev/hidraw0", Err: fs.ErrPermission}, KindPermission},
		{fs.ErrNotExist, KindNoDevice},
		{errors.ErrUnsupported, KindUnsupported},
		{ctaphid.ErrChannelBusy, KindBusy},
		{ctaphid.ErrTimeout, KindProtocol},
		{ctap2.ErrKeyStoreFull, KindStoreFull},
		{ctap2.ErrNotAllowed, KindOther},
		{&PINError{Status: ctap2.ErrPINInvalid, Retries: 1}, KindPINInvalid},
		{&PINError{Status: ctap2.ErrPINInvalid, Retries: 0}, KindPINBlocked},
		{&PINError{Status: ctap2.ErrPINInvalid, Retries: 3, PowerCycle: true}, KindPINLocked},
		{&PINError{Status: ctap2.ErrPINBlocked, Retries: -1}, KindPINBlocked},
	} {
		require.Equal(t, tc.want, KindOf(tc.err), "%v", tc.err)
		if tc.err != nil {
			require.Equal(t, tc.want, KindOf(fmt.Errorf("deep: %w", tc.err)))
		}
	}
}

func TestKindNames(t *testing.T) {
	require.Len(t, kindNames, int(KindProtocol)+1)
	require.Equal(t, "no match", KindNoMatch.String())
	require.Equal(t, "protocol", KindProtocol.String())
	require.Equal(t, "kind 99", Kind(99).String())
}
