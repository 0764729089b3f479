//go:build freebsd || linux

package hid

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestDevdChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "devd")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	changed := devdChanges(ctx, path)
	devd, err := l.AcceptUnix()
	require.NoError(t, err)
	defer devd.Close()

	_, err = devd.Write([]byte("!system=DEVFS subsystem=CDEV type=CREATE cdev=u2f/0\n"))
	require.NoError(t, err)
	_, ok := <-changed
	require.True(t, ok)
	cancel()
	for range changed {
	}
	_, err = devd.Read(make([]byte, 1))
	require.Error(t, err, "the connection is closed")
}

// No devd, or the end of it, is not the end of what changes.
func TestDevdChangesLooksWithoutDevd(t *testing.T) {
	t.Parallel()
	for name, devdRuns := range map[string]bool{"none": false, "ends": true} {
		path := filepath.Join(t.TempDir(), "devd")
		l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
		require.NoError(t, err)
		if !devdRuns {
			l.Close()
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			changed := devdChanges(ctx, path)
			l.Close() // and with it the connection that nobody accepted
			for range 2 {
				_, ok := <-changed
				require.True(t, ok, name)
			}
			cancel()
			for range changed {
			}
		})
	}
}

func TestIsNodeEvent(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"!system=DEVFS subsystem=CDEV type=CREATE cdev=u2f/0\n":      true,
		"!system=DEVFS subsystem=CDEV type=DESTROY cdev=uhid3\n":     true,
		"!system=DEVFS subsystem=CDEV type=CREATE cdev=hidraw12\n":   true,
		"!system=DEVFS subsystem=CDEV type=CREATE cdev=da0\n":        false,
		"!system=IFNET subsystem=em0 type=LINK_UP\n":                 false,
		"+uhid0 at bus=1 hubaddr=1 port=2 vendor=0x1050 on uhub0 \n": false,
	} {
		require.Equal(t, want, isNodeEvent([]byte(message)), message)
	}
}
