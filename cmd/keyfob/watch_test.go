package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

func TestSocketsComeAndGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		key := hid.Info{Path: "unix:" + path}
		present, events, err := (&invocation{settings: settings{device: key.Path}}).watchDevice(ctx)
		require.NoError(t, err)
		require.Empty(t, present)
		for range 2 {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.Equal(t, hid.Event{Kind: hid.Added, Info: key}, <-events)
			require.NoError(t, os.WriteFile(path+".new", nil, 0o600))
			require.NoError(t, os.Rename(path+".new", path))
			require.Equal(t, hid.Event{Kind: hid.Removed, Info: key}, <-events)
			require.Equal(t, hid.Event{Kind: hid.Added, Info: key}, <-events)
			require.NoError(t, os.Remove(path))
			require.Equal(t, hid.Event{Kind: hid.Removed, Info: key}, <-events)
		}
		cancel()
		_, open := <-events
		require.False(t, open)
	})
}

func TestNodesAreTakenToBeThere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	present, events, err := (&invocation{settings: settings{device: "/dev/missing"}}).watchDevice(ctx)
	require.NoError(t, err)
	require.Equal(t, []hid.Info{{Path: "/dev/missing"}}, present)
	cancel()
	_, open := <-events
	require.False(t, open)
}
