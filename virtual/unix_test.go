package virtual

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

var errStop = errors.New("enough")

// serveUnix serves the key until the test calls stop, and returns the path.
func serveUnix(t *testing.T, key *Authenticator) (path string, stop func()) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no SOCK_SEQPACKET sockets on every " + runtime.GOOS)
	}
	path = filepath.Join(t.TempDir(), "key.sock")
	return path, serveUnixAt(t, key, path)
}

func serveUnixAt(t *testing.T, key *Authenticator, path string) (stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l, err := listenUnix(ctx, path)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- key.serveListener(ctx, l) }()
	return func() {
		cancel(errStop)
		require.ErrorIs(t, <-served, errStop)
		require.NoFileExists(t, path)
	}
}

func TestUnixSocketServesManyPlatforms(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	path, stop := serveUnix(t, key)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	for range 2 { // the same key again after it was closed
		var channels []*ctaphid.Channel
		for range 3 {
			conn, err := net.Dial("unixpacket", path)
			require.NoError(t, err)
			channel, err := ctaphid.Open(t.Context(), conn)
			require.NoError(t, err)
			channels = append(channels, channel)
		}
		for _, channel := range channels {
			require.NoError(t, channel.Ping(t.Context(), make([]byte, 7609)))
			register(t, &ctap2.Client{Transport: channel}, newRequest())
			require.NoError(t, channel.Close())
		}
	}
	conn, err := net.Dial("unixpacket", path)
	require.NoError(t, err)
	stop()
	_, err = conn.Read(make([]byte, 64))
	require.Error(t, err, "the key is gone")
	conn.Close()
}

func TestUnixSocketDropsWhoSendsNoReports(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	path, stop := serveUnix(t, key)
	defer stop()
	conn, err := net.Dial("unixpacket", path)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(make([]byte, 100))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 64))
	require.Error(t, err)
}

func TestUnixSocketReplacesOnlyWhatIsStale(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	path, stop := serveUnix(t, key)
	require.ErrorContains(t, key.ServeUnix(t.Context(), path, nil), "somebody serves it")
	stop()

	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	serveUnixAt(t, key, path)()

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	require.ErrorIs(t, key.ServeUnix(t.Context(), path, nil), fs.ErrExist)
	require.FileExists(t, path)
}

func TestUnixSocketSaysWhenItIsReady(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	path, stop := serveUnix(t, key)
	stop()
	ctx, cancel := context.WithCancelCause(t.Context())
	err := key.ServeUnix(ctx, path, func() {
		conn, err := net.Dial("unixpacket", path)
		require.NoError(t, err)
		conn.Close()
		cancel(errStop)
	})
	require.ErrorIs(t, err, errStop)
}
