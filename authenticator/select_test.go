package authenticator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

func selection(ctx context.Context, d *desk) *ongoing[*Authenticator] {
	return begin(d, func() (*Authenticator, error) { return d.client.Select(ctx) })
}

func TestSelectTakesTheOnlyKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		setPIN(t, d.plug("a", virtual.Config{}), "1234")
		o := selection(t.Context(), d)
		require.True(t, o.isOver())
		require.NoError(t, o.err)
		require.Equal(t, []string{"a: added"}, d.take())
		require.EqualValues(t, 1, d.opens.open.Load())

		opts := credentialOptions()
		opts.UserVerification = UVRequired
		registered := begin(d, func() (*Credential, error) { return o.result.MakeCredential(t.Context(), opts) })
		require.Equal(t, []string{"a: PIN, reason 0", "a: touch to register"}, d.take(), "the callbacks are the client's")
		d.touch("a")
		require.True(t, registered.isOver())
		require.NoError(t, registered.err)
		require.NoError(t, o.result.Close())
		require.Zero(t, d.opens.open.Load())
	})
}

func TestSelectAmongSeveralByTouch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{})
		d.plug("b", virtual.Config{U2FOnly: true})
		o := selection(t.Context(), d)
		require.False(t, o.isOver())
		d.touch("a")
		require.True(t, o.isOver())
		require.NoError(t, o.err)
		require.Equal(t, "a", d.name(o.result.Key()))
		require.EqualValues(t, 1, d.opens.open.Load(), "the other one is closed")
		o.result.Close()
	})
}

func TestSelectIsCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{})
		d.plug("b", virtual.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		o := selection(ctx, d)
		cancel()
		_, err := o.end()
		require.ErrorIs(t, err, context.Canceled)
	})
}
