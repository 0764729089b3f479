//go:build freebsd || netbsd || openbsd || linux

package hid

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pair returns two ends that keep the borders of what is written, like a node and the key behind it.
func pair(t *testing.T) (node int, key *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(fds[0], true))
	require.NoError(t, unix.SetNonblock(fds[1], true))
	key = os.NewFile(uintptr(fds[1]), "key")
	require.NoError(t, key.SetReadDeadline(time.Now().Add(time.Minute))) // to fail is better than to hang
	t.Cleanup(func() { key.Close() })
	return fds[0], key
}

func newTestConn(t *testing.T) (*polledConn, *os.File) {
	t.Helper()
	fd, key := pair(t)
	c, err := newPolledConn(fd, 64)
	require.NoError(t, err)
	return c, key
}

func TestPolledConnMovesReports(t *testing.T) {
	t.Parallel()
	c, key := newTestConn(t)
	defer c.Close()
	_, err := key.Write(payload(1, 64))
	require.NoError(t, err)
	b := make([]byte, 65)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(1, 64), b[:n])

	n, err = c.Write(payload(2, 64))
	require.NoError(t, err)
	require.Equal(t, 64, n)
	n, err = key.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(2, 64), b[:n])
}

// uhid(4) of NetBSD gives as many bytes as it is asked for, whatever report they are of.
func TestPolledConnReadsNoFurtherThanOneReport(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	fd, err := unix.Dup(int(r.Fd()))
	require.NoError(t, err)
	r.Close()
	c, err := newPolledConn(fd, 64)
	require.NoError(t, err)
	defer c.Close()
	_, err = w.Write(append(payload(1, 64), payload(2, 64)...))
	require.NoError(t, err)
	b := make([]byte, 65)
	for first := range byte(2) {
		n, err := c.Read(b)
		require.NoError(t, err)
		require.Equal(t, payload(first+1, 64), b[:n])
	}
}

func TestPolledConnCloseEndsReadAndWrite(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]func(*polledConn) (int, error){
		"read":  func(c *polledConn) (int, error) { return c.Read(make([]byte, 64)) },
		"write": func(c *polledConn) (int, error) { return c.Write(make([]byte, 64)) },
	} {
		c, key := newTestConn(t)
		var err error
		for err == nil { // until a Write has to wait
			_, err = unix.Write(c.fd, payload(0, 64))
		}
		require.ErrorIs(t, err, unix.EAGAIN)
		ended := make(chan error, 1)
		go func() { _, err := op(c); ended <- err }()
		for c.inUse.TryLock() { // until it has begun
			c.inUse.Unlock()
			runtime.Gosched()
		}
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, fs.ErrClosed, name)
		_, err = op(c)
		require.ErrorIs(t, err, fs.ErrClosed, name)
		_, err = key.Write(payload(0, 64))
		require.ErrorIs(t, err, unix.EPIPE, "%s: the node is closed", name)
	}
}

func TestPolledConnTellsThatTheKeyIsGone(t *testing.T) {
	t.Parallel()
	c, key := newTestConn(t)
	d := newDevice(backend{conn: c, reports: u2fReports, removed: bsdRemoved})
	defer d.Close()
	_, err := key.Write(payload(7, 64))
	require.NoError(t, err)
	key.Close()
	b := make([]byte, 64)
	n, err := d.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(7, 64), b[:n])
	_, err = d.Read(b)
	require.ErrorIs(t, err, ErrRemoved)
}

func TestResetToggleStopsAtAnAnswer(t *testing.T) {
	t.Parallel()
	c, key := newTestConn(t)
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		b := make([]byte, 64)
		for range 2 { // the first is taken for a repetition
			if _, err := key.Read(b); err != nil {
				done <- err
				return
			}
		}
		_, err := key.Write(append([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xBF, 0, 1, 0x0B}, make([]byte, 56)...))
		done <- err
	}()
	require.NoError(t, c.resetToggle(u2fReports))
	require.NoError(t, <-done)
	require.NoError(t, key.SetReadDeadline(time.Now().Add(2*pingWait)))
	_, err := key.Read(make([]byte, 64))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "no third ping")

	_, err = key.Write(payload(3, 64))
	require.NoError(t, err)
	b := make([]byte, 64)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(3, 64), b[:n], "the answer to the ping has been taken")
}

func TestTogglePing(t *testing.T) {
	t.Parallel()
	want := append([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0, 1, 0}, make([]byte, 56)...)
	require.Equal(t, want, togglePing(64))
	require.Len(t, togglePing(3), 3)
}

// fakeNodes are the nodes of a system: what opening one gives, and how often that was done.
type fakeNodes struct {
	bsd
	certain map[string]bool
	errs    map[string]error // of opening; nil for a node that can be
	infos   map[string]error // of describing
	keys    map[string]*os.File
	opened  map[string]int
}

func newFakeNodes(t *testing.T) *fakeNodes {
	f := &fakeNodes{certain: map[string]bool{}, errs: map[string]error{}, infos: map[string]error{},
		keys: map[string]*os.File{}, opened: map[string]int{}}
	last := ""
	f.candidates = func() (cs []candidate, err error) {
		for _, path := range []string{"/dev/u2f/0", "/dev/uhid0", "/dev/uhid1"} {
			if _, ok := f.errs[path]; ok {
				cs = append(cs, candidate{path, f.certain[path]})
			}
		}
		return cs, nil
	}
	f.openNode = func(path string) (int, error) {
		f.opened[path]++
		if err := f.errs[path]; err != nil {
			return -1, err
		}
		fd, key := pair(t)
		last, f.keys[path] = path, key
		return fd, nil
	}
	f.describe = func(int) (Info, reports, error) {
		if err := f.infos[last]; err != nil {
			return Info{}, reports{}, err
		}
		return Info{Bus: BusUSB, Product: "Key of " + last}, u2fReports, nil
	}
	f.permission = "do this"
	return f
}

func (f *fakeNodes) paths(t *testing.T) (paths []string) {
	t.Helper()
	infos, err := f.list()
	require.NoError(t, err)
	for _, info := range infos {
		require.NoError(t, info.Err)
		require.Equal(t, "Key of "+info.Path, info.Product)
		paths = append(paths, info.Path)
	}
	return paths
}

func TestBSDListKeepsBusyNodes(t *testing.T) {
	t.Parallel()
	f := newFakeNodes(t)
	f.errs["/dev/uhid0"], f.errs["/dev/uhid1"] = nil, unix.EBUSY
	require.Equal(t, []string{"/dev/uhid0"}, f.paths(t), "nobody knows what the busy one is")
	f.errs["/dev/uhid0"], f.errs["/dev/uhid1"] = unix.EBUSY, nil
	require.Equal(t, []string{"/dev/uhid0", "/dev/uhid1"}, f.paths(t))

	f.errs["/dev/uhid0"] = unix.ENXIO // unplugged
	require.Equal(t, []string{"/dev/uhid1"}, f.paths(t))
	f.errs["/dev/uhid0"] = unix.EBUSY // another thing, maybe
	require.Equal(t, []string{"/dev/uhid1"}, f.paths(t))

	f.infos["/dev/uhid1"] = errNotFIDO // a mouse in its place
	require.Empty(t, f.paths(t))
	f.errs["/dev/uhid1"] = unix.EBUSY
	require.Empty(t, f.paths(t))
}

func TestBSDListOfNodesThatCanOnlyBeKeys(t *testing.T) {
	t.Parallel()
	for _, certain := range []bool{true, false} {
		f := newFakeNodes(t)
		f.certain["/dev/u2f/0"] = certain
		f.errs["/dev/u2f/0"] = unix.EACCES
		infos, err := f.list()
		require.NoError(t, err)
		if !certain {
			require.Empty(t, infos)
			continue
		}
		require.Len(t, infos, 1)
		require.Equal(t, "/dev/u2f/0", infos[0].Path)
		require.ErrorIs(t, infos[0].Err, fs.ErrPermission)
		require.EqualError(t, infos[0].Err, "hid: open /dev/u2f/0: permission denied: do this")

		f.errs["/dev/u2f/0"] = unix.EBUSY
		infos, err = f.list()
		require.NoError(t, err)
		require.Equal(t, []Info{{Path: "/dev/u2f/0"}}, infos)

		f.errs["/dev/u2f/0"], f.infos["/dev/u2f/0"] = nil, unix.EIO
		infos, err = f.list()
		require.NoError(t, err)
		require.Len(t, infos, 1)
		require.ErrorIs(t, infos[0].Err, unix.EIO)
	}
}

func TestBSDOpen(t *testing.T) {
	t.Parallel()
	f := newFakeNodes(t)
	f.errs["/dev/uhid0"] = nil
	d, err := f.open("/dev/uhid0")
	require.NoError(t, err)
	require.Equal(t, Info{Path: "/dev/uhid0", Bus: BusUSB, Product: "Key of /dev/uhid0"}, d.Info())
	_, err = d.Write([]byte{1})
	require.NoError(t, err)
	b := make([]byte, 100)
	n, err := f.keys["/dev/uhid0"].Read(b)
	require.NoError(t, err)
	require.Equal(t, append([]byte{1}, make([]byte, 63)...), b[:n], "no report number in front")

	f.errs["/dev/uhid0"] = unix.EBUSY
	require.Equal(t, []string{"/dev/uhid0"}, f.paths(t), "our own key is there while it is open")
	require.NoError(t, d.Close())
	_, err = d.Read(b)
	require.ErrorIs(t, err, fs.ErrClosed)
}

func TestBSDOpenErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ open, describe, want error }{
		{open: unix.EACCES, want: fs.ErrPermission},
		{open: unix.ENOENT, want: fs.ErrNotExist},
		{open: unix.ENXIO, want: fs.ErrNotExist},
		{open: unix.EBUSY, want: ErrBusy},
		{describe: errNotFIDO, want: errNotFIDO},
	} {
		f := newFakeNodes(t)
		f.errs["/dev/uhid0"], f.infos["/dev/uhid0"] = c.open, c.describe
		_, err := f.open("/dev/uhid0")
		require.ErrorIs(t, err, c.want)
		require.ErrorContains(t, err, "hid: open /dev/uhid0: ")
		if key := f.keys["/dev/uhid0"]; key != nil {
			_, err = key.Read(make([]byte, 1))
			require.Error(t, err, "the node has been closed")
			require.NotErrorIs(t, err, unix.EAGAIN)
		}
	}
}

// Who lists has the node open for a moment.
func TestBSDOpenWaitsForAList(t *testing.T) {
	t.Parallel()
	f := newFakeNodes(t)
	openNode := f.openNode
	tries := 0
	f.openNode = func(path string) (int, error) {
		if tries++; tries < 3 {
			return -1, unix.EBUSY
		}
		return openNode(path)
	}
	d, err := f.open("/dev/uhid0")
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestBSDOpenResetsTheToggle(t *testing.T) {
	t.Parallel()
	f := newFakeNodes(t)
	f.losesToggle = true
	openNode := f.openNode
	f.openNode = func(path string) (int, error) {
		fd, err := openNode(path)
		_, werr := f.keys[path].Write(make([]byte, 64)) // the answer, before its time
		return fd, errors.Join(err, werr)
	}
	d, err := f.open("/dev/uhid0")
	require.NoError(t, err)
	defer d.Close()
	b := make([]byte, 64)
	_, err = f.keys["/dev/uhid0"].Read(b)
	require.NoError(t, err)
	require.Equal(t, togglePing(64), b)
}

func TestOpenCharDeviceRefusesAnythingElse(t *testing.T) {
	t.Parallel()
	_, err := openCharDevice(t.TempDir())
	require.ErrorContains(t, err, "not a character device")
	_, err = openCharDevice(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	fd, err := openCharDevice("/dev/null")
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
}

func TestGlobNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "uhid0"), nil, 0o600))
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(dir, "uhid1")))
	got, err := globNodes(false, filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, got, "a file and a link are no nodes")

	got, err = globNodes(true, "/dev/nul[l]", "/dev/[nz]*o", "/dev/nul?")
	require.NoError(t, err)
	require.Equal(t, []candidate{{"/dev/null", true}, {"/dev/zero", true}, {"/dev/null", true}}, got)
}
