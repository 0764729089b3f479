package hid

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestOpenRefusesWhatIsNotHidraw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	for _, path := range []string{"/dev/null", "/dev/zero", file, pipe, dir} {
		d, err := Open(path)
		require.ErrorIs(t, err, errNotHidraw)
		require.EqualError(t, err, "hid: open "+path+": not a hidraw node")
		require.Nil(t, d)
	}
}

func TestOpenMissingNode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hidraw9")
	_, err := Open(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "hid: open "+path+": no such file or directory: plug the key in")
	_, err = Open("")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestExplainOpenPermission(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM} { // EPERM: the device controller of a container
		err := explainOpen(&fs.PathError{Op: "open", Path: "/dev/hidraw3", Err: errno})
		require.ErrorIs(t, err, fs.ErrPermission)
		require.ErrorContains(t, err, "hid: open /dev/hidraw3: ")
		require.ErrorContains(t, err, "install udev's rules")
	}
	err := explainOpen(&fs.PathError{Op: "open", Path: "/dev/hidraw3", Err: unix.EBUSY})
	require.EqualError(t, err, "hid: open /dev/hidraw3: device or resource busy")
}

// What makes an idle key cheap is that a node is opened in a way that reads wait in the runtime's poller and not in
// a thread of their own, which is what having deadlines means. A pseudo-terminal stands in for the node: like
// hidraw, it is a character device that can be polled. That real hidraw reads cause no wake-ups takes a real node
// to measure, and is measured in the virtual machine.
func TestOpenNodeUsesPoller(t *testing.T) {
	t.Parallel()
	f, err := openNode("/dev/ptmx")
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	defer f.Close()
	require.NoError(t, f.SetReadDeadline(time.Time{}), "reads don't go through the poller")
}

func TestOpenNodeCloseUnblocksRead(t *testing.T) {
	t.Parallel()
	f, err := openNode("/dev/ptmx")
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	d := newDevice(backend{conn: f, info: Info{Path: "/dev/ptmx"}, reports: plainReports, removed: hidrawRemoved})
	reading, result := make(chan struct{}), make(chan error)
	go func() {
		close(reading)
		_, err := d.Read(make([]byte, 64))
		result <- err
	}()
	<-reading
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-result, fs.ErrClosed)
}

func TestUnixOpenDoesNotWaitForAccept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 0))

	d, err := Open("unix:" + path)
	require.NoError(t, err, "the backlog takes one")
	defer d.Close()
	_, err = Open("unix:" + path)
	require.ErrorIs(t, err, unix.EAGAIN)
}
