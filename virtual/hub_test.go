package virtual

import (
	"context"
	"io/fs"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
)

func TestHubTellsWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hub Hub
		a, _ := newKey(t, Config{})
		b, _ := newKey(t, Config{})
		first := hub.Plug(a)
		ctx, cancel := context.WithCancel(t.Context())
		present, events, err := hub.Watch(ctx)
		require.NoError(t, err)
		require.Equal(t, []hid.Info{first}, present)

		second := hub.Plug(b)
		hub.Unplug(a)
		again := hub.Plug(a)
		require.NotEqual(t, first.Path, again.Path)
		for _, want := range []hid.Event{{Kind: hid.Added, Info: second}, {Kind: hid.Removed, Info: first}, {Kind: hid.Added, Info: again}} {
			require.Equal(t, want, <-events)
		}
		cancel()
		_, open := <-events
		require.False(t, open)
		synctest.Wait()
		require.Empty(t, hub.watchers)
	})
}

func TestHubPullsAKeyFromUnderItsUsers(t *testing.T) {
	t.Parallel()
	var hub Hub
	key, _ := newKey(t, Config{})
	info := hub.Plug(key)
	device, err := hub.Open(info.Path)
	require.NoError(t, err)
	channel, err := ctaphid.Open(t.Context(), device)
	require.NoError(t, err)
	defer channel.Close()

	hub.Unplug(key)
	require.ErrorIs(t, channel.Ping(t.Context(), []byte("hello")), hid.ErrRemoved)
	_, err = hub.Open(info.Path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	device, err = hub.Open(hub.Plug(key).Path)
	require.NoError(t, err)
	again, err := ctaphid.Open(t.Context(), device)
	require.NoError(t, err)
	require.NoError(t, again.Ping(t.Context(), []byte("hello")))
	require.NoError(t, again.Close())
	require.Empty(t, hub.ports[0].open, "what is closed is forgotten")
	_, err = device.Read(make([]byte, 64))
	require.ErrorIs(t, err, fs.ErrClosed)
}
