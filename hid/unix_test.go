//go:build !darwin && !windows

package hid

import (
	"bytes"
	"io/fs"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// openSocket opens a Device on a new socket and returns it with its peer.
func openSocket(t *testing.T) (*Device, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	defer l.Close()
	d, err := Open("unix:" + path) // the backlog takes it before anybody accepts
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	peer, err := l.AcceptUnix()
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	require.Equal(t, Info{Path: "unix:" + path, Bus: BusUnix}, d.Info())
	return d, peer
}

func TestUnixOneReportPerPacket(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	in, out := d.ReportSizes()
	require.Equal(t, [2]int{64, 64}, [2]int{in, out})

	for _, p := range [][]byte{payload(0, 64), payload(9, 64), {1, 2, 3}} {
		n, err := d.Write(p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)
	}
	got := make([]byte, 100)
	for _, want := range [][]byte{payload(0, 64), payload(9, 64), append([]byte{1, 2, 3}, make([]byte, 61)...)} {
		n, err := peer.Read(got)
		require.NoError(t, err)
		require.Equal(t, want, got[:n])
	}

	for first := range byte(2) {
		_, err := peer.Write(payload(first, 64))
		require.NoError(t, err)
	}
	for first := range byte(2) {
		n, err := d.Read(got)
		require.NoError(t, err)
		require.Equal(t, payload(first, 64), got[:n])
	}
}

func TestUnixPacketOfWrongSize(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	p := make([]byte, 65)
	for _, size := range []int{1, 63, 65, 66, 4096} {
		_, err := peer.Write(bytes.Repeat([]byte{1}, size))
		require.NoError(t, err)
		n, err := d.Read(p)
		require.NoError(t, err)
		require.Equal(t, min(size, 65), n)
	}
	_, err := peer.Write(payload(5, 64))
	require.NoError(t, err)
	n, err := d.Read(p)
	require.NoError(t, err, "nothing of the long packets is left over")
	require.Equal(t, payload(5, 64), p[:n])
}

func TestUnixCloseUnblocksRead(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	result := make(chan error)
	go func() {
		p := make([]byte, 64)
		for {
			if _, err := d.Read(p); err != nil {
				result <- err
				return
			}
			result <- nil
		}
	}()
	_, err := peer.Write(payload(0, 64))
	require.NoError(t, err)
	require.NoError(t, <-result, "the reader is at work")

	require.NoError(t, d.Close())
	require.ErrorIs(t, <-result, fs.ErrClosed)
	require.NoError(t, d.Close())
	_, err = d.Write(nil)
	require.ErrorIs(t, err, fs.ErrClosed)
}

func TestUnixCloseUnblocksWrite(t *testing.T) {
	t.Parallel()
	d, _ := openSocket(t)
	wrote, result := make(chan struct{}, 1), make(chan error)
	go func() {
		for {
			if _, err := d.Write(nil); err != nil {
				result <- err
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	<-wrote
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-result, fs.ErrClosed)
}

func TestUnixRemoved(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	_, err := peer.Write(payload(0, 64))
	require.NoError(t, err)
	require.NoError(t, peer.Close())

	p := make([]byte, 64)
	_, err = d.Read(p)
	require.NoError(t, err, "what came before the removal is still there")
	_, err = d.Read(p)
	require.ErrorIs(t, err, ErrRemoved)
	require.NotErrorIs(t, err, fs.ErrClosed)
	_, err = d.Write(p)
	require.ErrorIs(t, err, ErrRemoved)
}

func TestUnixRemovedWithUnreadReports(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	_, err := d.Write(nil) // that the peer never reads: the system then says ECONNRESET in place of EOF
	require.NoError(t, err)
	require.NoError(t, peer.Close())
	_, err = d.Read(make([]byte, 64))
	require.ErrorIs(t, err, ErrRemoved)
}

func TestUnixRemovedWhileReading(t *testing.T) {
	t.Parallel()
	d, peer := openSocket(t)
	result := make(chan error)
	go func() {
		_, err := d.Read(make([]byte, 64))
		result <- err
	}()
	require.NoError(t, peer.Close())
	require.ErrorIs(t, <-result, ErrRemoved)
}

func TestUnixOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := "unix:" + filepath.Join(dir, "missing")
	_, err := Open(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "hid: open "+missing+": connect: no such file or directory")

	stream := filepath.Join(dir, "stream")
	l, err := net.Listen("unix", stream)
	require.NoError(t, err)
	defer l.Close()
	_, err = Open("unix:" + stream)
	require.ErrorContains(t, err, "hid: open unix:"+stream)

	_, err = Open("unix:")
	require.Error(t, err)
}
