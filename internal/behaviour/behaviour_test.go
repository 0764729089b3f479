package behaviour

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestInProcess(t *testing.T) {
	t.Parallel()
	RunPresets(t, func(_ *testing.T, key *virtual.Authenticator) ctap2.Transport { return key })
}

func TestReports(t *testing.T) {
	t.Parallel()
	RunPresets(t, func(t *testing.T, key *virtual.Authenticator) ctap2.Transport {
		channel, err := ctaphid.Open(t.Context(), key.Device())
		require.NoError(t, err)
		t.Cleanup(func() { channel.Close() })
		return channel
	})
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no SOCK_SEQPACKET sockets on every " + runtime.GOOS)
	}
	RunPresets(t, connectUnix)
}

// connectUnix serves the key at a socket of its own until the end of the test.
func connectUnix(t *testing.T, key *virtual.Authenticator) ctap2.Transport {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.sock")
	ctx, cancel := context.WithCancel(context.Background())
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- key.ServeUnix(ctx, path, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-served, context.Canceled)
	})
	select {
	case <-ready:
	case err := <-served:
		require.NoError(t, err)
	}
	device, err := hid.Open("unix:" + path)
	require.NoError(t, err)
	channel, err := ctaphid.Open(t.Context(), device)
	require.NoError(t, err)
	t.Cleanup(func() { channel.Close() })
	return channel
}
