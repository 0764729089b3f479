package guest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestUnplugDuringPing cuts the cable at a certain packet of opening a key or of a PING of the largest size. The
// error says so at once, the next key works in the same process, and nothing of the old one is left behind.
func TestUnplugDuringPing(t *testing.T) {
	requireNothingLeft(t)
	const init, ping, middle = 0x86, 0x81, 64 // the fifth byte of a packet is a command or a sequence number up to 127
	for _, c := range []struct {
		name  string
		cable tap
	}{
		{"at INIT", tap{cutTo: isPacket(init)}},
		{"at the answer to INIT", tap{cutFrom: isPacket(init)}},
		{"at PING", tap{cutTo: isPacket(ping)}},
		{"in the middle of PING", tap{cutTo: isPacket(middle)}},
		{"at the answer to PING", tap{cutFrom: isPacket(ping)}},
		{"in the middle of the answer to PING", tap{cutFrom: isPacket(middle)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := attachTappedKey(t, virtual.Config{}, &c.cable)
			err := pingKey(t, key.Info)
			end := time.Now()
			key.unplug() // waits until nothing goes through the cable
			require.False(t, c.cable.cutAt.IsZero())
			requireRemoved(t, err, end.Sub(c.cable.cutAt))
			require.NoError(t, register(t, attachSoftKey(t, virtual.Config{}).Info))
		})
	}
}

// TestUnplugWhileKeyWaitsForTouch is the same in the moment in which people pull keys.
func TestUnplugWhileKeyWaitsForTouch(t *testing.T) {
	requireNothingLeft(t)
	for _, bus := range buses {
		t.Run(bus.name, func(t *testing.T) {
			touch, waits := distracted()
			key := bus.attach(t, virtual.Config{UserPresence: touch})
			ended := make(chan error, 1)
			go func() { ended <- register(t, key.Info) }()
			receive(t, waits)
			start := time.Now()
			key.unplug()
			requireRemoved(t, receive(t, ended), time.Since(start))
			require.NoError(t, register(t, attachSoftKey(t, virtual.Config{}).Info))
		})
	}
}

// TestUnplugEndsKeyfobPing is TestUnplugDuringPing with the command.
func TestUnplugEndsKeyfobPing(t *testing.T) {
	key := attachTappedKey(t, virtual.Config{}, &tap{cutTo: isPacket(64)})
	result := runKeyfob(t, key, "ping", "--size", fmt.Sprint(maxMessage))
	t.Log(result.stderr)
	require.Equal(t, exitNoDevice, result.status)
	require.Contains(t, result.stderr, "removed")
}

func isPacket(command byte) func([]byte) bool {
	return func(report []byte) bool { return report[4] == command }
}

// distracted is a UserPresence that misses the first touch, and tells when the key begins to wait for that. It gives
// all others at once.
func distracted() (touch func(context.Context, virtual.Prompt) error, waits <-chan struct{}) {
	first := make(chan struct{}, 1)
	var touches atomic.Int32
	return func(ctx context.Context, _ virtual.Prompt) error {
		if touches.Add(1) > 1 {
			return nil
		}
		first <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}, first
}

// patient is a UserPresence that tells when the key begins to wait for a touch, and gives all once give is closed.
func patient() (touch func(context.Context, virtual.Prompt) error, waits <-chan struct{}, give chan struct{}) {
	began, give := make(chan struct{}, 1), make(chan struct{})
	return func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case began <- struct{}{}:
		default:
		}
		select {
		case <-give:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, began, give
}

// receive waits for something that must come.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	return receiveWithin(t, c, limit)
}

func receiveWithin[T any](t *testing.T, c <-chan T, limit time.Duration) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(limit):
		require.FailNow(t, "nothing comes")
		panic("unreachable")
	}
}

func pingKey(t *testing.T, key hid.Info) error {
	return withKey(t, key, func(ctx context.Context, a *authenticator.Authenticator) error {
		return a.Ping(ctx, bytes.Repeat([]byte("ping"), maxMessage/4))
	})
}

func register(t *testing.T, key hid.Info) error {
	return withKey(t, key, func(ctx context.Context, a *authenticator.Authenticator) error {
		_, err := a.MakeCredential(ctx, &authenticator.CredentialOptions{
			ClientDataHash: newHash(),
			RP:             ctap2.RelyingParty{ID: rpID},
			User:           ctap2.User{ID: []byte("ada's id"), Name: "Ada"},
		})
		return err
	})
}

// withKey opens a key with keyfob's library and returns what comes of it.
func withKey(t *testing.T, key hid.Info, use func(context.Context, *authenticator.Authenticator) error) error {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	a, err := authenticator.Open(ctx, key, nil)
	if err != nil {
		return err
	}
	defer a.Close()
	return use(ctx, a)
}

// requireRemoved checks the error of somebody who used a key that was pulled, and how long it took to come.
func requireRemoved(t *testing.T, err error, after time.Duration) {
	t.Helper()
	t.Logf("%v, %v after the cable was cut", err, after.Round(100*time.Microsecond))
	require.ErrorIs(t, err, hid.ErrRemoved)
	require.Equal(t, authenticator.KindRemoved, authenticator.KindOf(err))
	require.Less(t, after, time.Second)
}

// requireNothingLeft wants the test to end with as many descriptors and goroutines as it began with.
func requireNothingLeft(t *testing.T) {
	t.Helper()
	t.Run("what the runtime keeps open", func(t *testing.T) {
		require.NoError(t, register(t, attachSoftKey(t, virtual.Config{}).Info))
	})
	before := countResources(t)
	t.Cleanup(func() {
		after := countResources(t)
		for end := time.Now().Add(limit); after != before && time.Now().Before(end); after = countResources(t) {
			time.Sleep(10 * time.Millisecond) // those of the virtual USB bus end in the background
		}
		t.Logf("before: %+v, after: %+v", before, after)
		if after != before {
			pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			t.Fatal("something is left")
		}
	})
}

type resources struct{ descriptors, goroutines int }

func countResources(t *testing.T) resources {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return resources{len(entries), runtime.NumGoroutine()}
}
