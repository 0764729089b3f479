package authenticator

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestCancelledCeremonyLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		d.plug("a", virtual.Config{})
		d.plug("b", virtual.Config{U2FOnly: true})
		setPIN(t, d.plug("c", virtual.Config{AlwaysUV: true}), "1234")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := d.registration(ctx, credentialOptions())
		require.False(t, o.isOver())
		cause := errors.New("enough")
		cancel(cause)
		_, err := o.end()
		require.ErrorIs(t, err, cause)
		require.Equal(t, KindCancelled, KindOf(err))
	})
}

// What a cancelled ceremony takes from the user is no fault of the keys.
func TestCancelDropsNoKey(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"opening":    {Faults: virtual.Faults{Report: virtual.At(0, 0, virtual.Silence)}},
		"explaining": {NoClientPIN: true},
		"U2F":        {U2FOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t)
				d.plug("a", c)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				ctx, cancel := context.WithCancel(t.Context())
				o := d.registration(ctx, opts)
				d.take()
				cancel()
				_, err := o.end()
				require.ErrorIs(t, err, context.Canceled)
				require.Empty(t, d.take(), "nothing to tell")
			})
		})
	}
}

// The user may take back the question at any time, and nothing is sent to the key after that.
func TestCancelDuringQuestions(t *testing.T) {
	answered := func(ctx context.Context) { <-ctx.Done() }
	pin := func(ctx context.Context, _ *PINRequest) ([]byte, error) { answered(ctx); return []byte("1234"), nil }
	newPIN := func(ctx context.Context, _ *NewPINRequest) ([]byte, error) {
		answered(ctx)
		return []byte("123456"), nil
	}
	for name, tc := range map[string]struct {
		ui     UI
		config virtual.Config
	}{
		"PIN":    {UI{PIN: pin}, withPIN(virtual.Config{})},
		"NewPIN": {UI{NewPIN: newPIN}, virtual.Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t)
				var sent atomic.Int32
				c := tc.config
				c.Faults.Answer = func(_ ctaphid.Command, _ []byte, run func() []byte) []byte {
					sent.Add(1)
					return run()
				}
				d.plug("a", c)
				d.client.UI = &tc.ui
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				ctx, cancel := context.WithCancelCause(t.Context())
				o := d.registration(ctx, opts)
				require.False(t, o.isOver())
				before := sent.Load()
				cause := errors.New("enough")
				cancel(cause)
				_, err := o.end()
				require.ErrorIs(t, err, cause)
				require.Equal(t, before, sent.Load(), "an answer that comes too late is none")
			})
		})
	}
}

// A ceremony that is cancelled when any message arrives at a key, or at any event, leaves nothing behind.
func TestCancelAtEveryPoint(t *testing.T) {
	t.Parallel()
	ends, completed := 0, false
	for point := 0; !completed && point < 100; point++ {
		synctest.Test(t, func(t *testing.T) { completed = cancelledAt(t, point) })
		ends++
	}
	require.True(t, completed)
	require.Greater(t, ends, 15)
}

// cancelledAt returns whether the ceremony came to its end before the point.
func cancelledAt(t *testing.T, point int) bool {
	d := newDesk(t, "1234")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var points atomic.Int32
	pass := func() {
		if points.Add(1) > int32(point) {
			cancel(cause)
		}
	}
	for _, name := range []string{"a", "b"} {
		c := withPIN(virtual.Config{NoU2F: name == "b"})
		c.Faults.Answer = func(_ ctaphid.Command, _ []byte, run func() []byte) []byte {
			pass()
			return run()
		}
		d.plug(name, c)
	}
	notify := d.client.UI.Notify
	d.client.UI.Notify = func(e Event) { notify(e); pass() }
	opts := credentialOptions()
	opts.UserVerification = UVRequired
	o := d.registration(ctx, opts)
	for !o.isOver() { // chosen, and used
		d.touch("a")
	}
	_, err := o.end()
	if err != nil {
		require.ErrorIs(t, err, cause)
	}
	return ctx.Err() == nil
}

// A callback that does not return cannot keep the keys blinking.
func TestBlockedNotifyDelaysNoCancel(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		blocked := make(chan struct{})
		d.client.UI.Notify = func(Event) { <-blocked }
		var waiting atomic.Int32
		for range 2 {
			key, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
				waiting.Add(1)
				defer waiting.Add(-1)
				<-ctx.Done()
				return ctx.Err()
			}})
			require.NoError(t, err)
			defer key.Close()
			d.hub.Plug(key)
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := d.registration(ctx, credentialOptions())
		require.EqualValues(t, 2, waiting.Load())
		cancel()
		synctest.Wait()
		require.Zero(t, waiting.Load())
		require.Zero(t, d.opens.open.Load())
		require.False(t, o.isOver(), "the callback still runs")
		close(blocked)
		_, err := o.end()
		require.ErrorIs(t, err, context.Canceled)
	})
}
