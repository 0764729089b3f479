package hid

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// requireNext waits for a listener to hear something.
func requireNext(t *testing.T, l listener) {
	t.Helper()
	require.NoError(t, l.next())
}

func TestNodesComeAndGoAndGetPermissions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := openNodes(dir, time.Millisecond)
	require.NoError(t, err)
	path, elsewhere := filepath.Join(dir, "hidraw3"), filepath.Join(dir, "elsewhere")
	for _, change := range []func() error{
		func() error { return os.WriteFile(path, nil, 0o600) },
		func() error { return os.Chmod(path, 0o660) },
		func() error { return os.Rename(path, elsewhere) },
		func() error { return os.Rename(elsewhere, path) },
		func() error { return os.Remove(path) },
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "null"), nil, 0o600)) // which is about nothing
		require.NoError(t, change())
		requireNext(t, w)
		requireNext(t, w) // looks once more
	}
	require.NoError(t, os.Remove(dir+"/null"))
	require.NoError(t, os.Remove(dir))
	require.ErrorIs(t, w.next(), errFolderGone)
	require.NoError(t, w.Close())
}

// With uevents, which come when a key is gone altogether, the removal of the node alone means nothing.
func TestNodesRemovalIsForUeventsToTell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := openNodes(dir, 0)
	require.NoError(t, err)
	defer w.Close()
	path := filepath.Join(dir, "hidraw3")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	requireNext(t, w)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "null"), nil, 0o600))
	n, err := w.Read(w.buf)
	require.NoError(t, err)
	require.Contains(t, string(w.buf[:n]), "null")
	require.NotContains(t, string(w.buf[:n]), "hidraw3")
}

func TestNodesNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := openNodes(filepath.Join(dir, "missing"), 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = openNodes(filepath.Join(dir, "file"), 0)
	require.ErrorIs(t, err, unix.ENOTDIR)
}

// inotifyEvent lays out struct inotify_event.
func inotifyEvent(mask uint32, name string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 1)
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	name += strings.Repeat("\x00", 16-len(name)%16)
	return append(binary.NativeEndian.AppendUint32(b, uint32(len(name))), name...)
}

func TestIsHidrawInotify(t *testing.T) {
	t.Parallel()
	node, other := inotifyEvent(unix.IN_CREATE, "hidraw12"), inotifyEvent(unix.IN_ATTRIB, "tty1")
	overflow := inotifyEvent(unix.IN_Q_OVERFLOW, "")
	for _, tc := range []struct {
		name   string
		events [][]byte
		want   bool
	}{
		{"none", nil, false},
		{"a node", [][]byte{node}, true},
		{"another file", [][]byte{other}, false},
		{"a node among others", [][]byte{other, node, other}, true},
		{"some were lost", [][]byte{other, overflow}, true},
		{"cut off", [][]byte{node[:10]}, false},
		{"name cut off", [][]byte{node[:20]}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var b []byte
			for _, e := range tc.events {
				b = append(b, e...)
			}
			got, err := isHidrawInotify(b)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	_, err := isHidrawInotify(append(node, inotifyEvent(unix.IN_IGNORED, "")...))
	require.ErrorIs(t, err, errFolderGone)
}

func FuzzIsHidrawInotify(f *testing.F) {
	f.Add(inotifyEvent(unix.IN_CREATE, "hidraw12"))
	f.Add(append(inotifyEvent(unix.IN_ATTRIB, "tty1"), inotifyEvent(unix.IN_Q_OVERFLOW, "")...))
	f.Add(inotifyEvent(unix.IN_IGNORED, ""))
	f.Fuzz(func(t *testing.T, events []byte) {
		relevant, err := isHidrawInotify(events)
		again, againErr := isHidrawInotify(append(inotifyEvent(unix.IN_CREATE, "null"), events...))
		require.Equal(t, relevant, again, "an event about nothing changes nothing")
		require.Equal(t, err, againErr)
	})
}

const addUevent = "add@/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/0003:1050:0407.0012/hidraw/hidraw3\x00" +
	"ACTION=add\x00DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/0003:1050:0407.0012/hidraw/hidraw3\x00" +
	"SUBSYSTEM=hidraw\x00MAJOR=240\x00MINOR=3\x00DEVNAME=hidraw3\x00SEQNUM=4711\x00"

func TestIsHidrawUevent(t *testing.T) {
	t.Parallel()
	require.True(t, isHidrawUevent([]byte(addUevent)))
	require.True(t, isHidrawUevent([]byte(strings.ReplaceAll(addUevent, "add", "remove"))))
	cut, _, _ := strings.Cut(addUevent, "\x00MAJOR")
	for _, other := range []string{
		"", "\x00", strings.ReplaceAll(addUevent, "=hidraw\x00", "=usb\x00"),
		strings.ReplaceAll(addUevent, "=hidraw\x00", "=hidraw2\x00"), cut,
	} {
		require.False(t, isHidrawUevent([]byte(other)), "%q", other)
	}
}

// sendUevent sends a listener a message that isn't from the kernel, which only root may do.
func sendUevent(t *testing.T, u *uevents, message string) {
	t.Helper()
	own, err := unix.Getsockname(int(u.Fd()))
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(int(u.Fd()), true)) // Fd has made it block
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	require.NoError(t, err)
	defer unix.Close(s)
	err = unix.Sendto(s, []byte(message), 0, own)
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root can fake an uevent")
	}
	require.NoError(t, err)
}

func TestUeventsBelieveOnlyTheKernel(t *testing.T) {
	t.Parallel()
	u, err := openUevents()
	if err != nil {
		t.Skipf("needs a netlink socket: %v", err)
	}
	defer u.Close()
	sendUevent(t, u, addUevent)
	for {
		message, err := u.receive()
		require.NoError(t, err)
		require.False(t, isHidrawUevent(message))
		if len(message) == 0 {
			break
		}
	}
}

func TestUeventsCloseEndsNext(t *testing.T) {
	t.Parallel()
	u, err := openUevents()
	if err != nil {
		t.Skipf("needs a netlink socket: %v", err)
	}
	ended := make(chan error)
	go func() { ended <- u.next() }()
	require.NoError(t, u.Close())
	require.Error(t, <-ended)
}

// fakeListener hears what a test says.
type fakeListener struct {
	heard  chan error
	closed chan struct{}
}

func (l fakeListener) next() error {
	select {
	case err := <-l.heard:
		return err
	case <-l.closed:
		return fs.ErrClosed
	}
}

func (l fakeListener) Close() error { close(l.closed); return nil }

func TestListen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fakeListener{make(chan error), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		changed, ended := make(chan struct{}, 1), make(chan struct{})
		go func() {
			defer close(ended)
			listen(ctx, l, changed)
		}()
		time.Sleep(time.Hour)
		require.Empty(t, changed)
		for range 2 {
			l.heard <- nil
			<-changed
		}
		start := time.Now()
		l.heard <- errors.New("broken")
		for range 2 {
			<-changed
		}
		<-l.closed
		require.Equal(t, 2*pollInterval, time.Since(start), "it looks where nobody tells any more")
		cancel()
		<-ended
	})
}

func TestListenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fakeListener{make(chan error), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		listen(ctx, l, make(chan struct{}))
		<-l.closed
	})
}

func TestChangesEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := changes(ctx)
	require.NoError(t, err)
	cancel()
	for range changed {
	}
}

func TestWatchOnThisMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, events, err := Watch(ctx)
	require.NoError(t, err)
	cancel()
	for range events {
	}
}
