package virtual

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnixSocketIsPrivateFromTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.sock")
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { restrictSocket(fd) })
	}}
	l, err := config.Listen(t.Context(), "unixpacket", path)
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "before anybody could change it")
}
