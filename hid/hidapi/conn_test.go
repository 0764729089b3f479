//go:build hidapi && cgo

package hidapi

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"

	hidapi "github.com/sstallion/go-hid"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// fakeHandle answers reads with what is queued, and then with timeouts.
type fakeHandle struct {
	mu         sync.Mutex // guards what follows
	reads      []error    // nil is a report
	writeErr   error
	waits      []time.Duration
	inUse      int
	freedInUse bool
	frees      int

	descriptor []byte
	timedOut   func() // runs at each timeout, unless it is nil
}

func (h *fakeHandle) ReadWithTimeout(p []byte, timeout time.Duration) (int, error) {
	defer h.use()()
	h.mu.Lock()
	h.waits = append(h.waits, timeout)
	if len(h.reads) > 0 {
		err := h.reads[0]
		h.reads = h.reads[1:]
		h.mu.Unlock()
		return copy(p, "report"), err
	}
	h.mu.Unlock()
	if h.timedOut != nil {
		h.timedOut()
	}
	return 0, hidapi.ErrTimeout
}

func (h *fakeHandle) use() (end func()) {
	count := func(n int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.inUse += n
	}
	count(1)
	return func() { count(-1) }
}

func (h *fakeHandle) Write(p []byte) (int, error) {
	defer h.use()()
	return len(p), h.writeErr
}

func (h *fakeHandle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frees++
	h.freedInUse = h.freedInUse || h.inUse > 0
	return nil
}

func (h *fakeHandle) GetReportDescriptor(p []byte) (int, error) { return copy(p, h.descriptor), nil }

func TestReadWaitsLongerTheLongerNothingComes(t *testing.T) {
	t.Parallel()
	h := &fakeHandle{}
	for range 9 {
		h.reads = append(h.reads, hidapi.ErrTimeout)
	}
	h.reads = append(h.reads, nil, nil)
	c := &conn{handle: h}
	p := make([]byte, 6)
	for range 2 {
		n, err := c.Read(p)
		require.NoError(t, err)
		require.Equal(t, "report", string(p[:n]))
	}
	var ms []int64
	for _, wait := range h.waits {
		ms = append(ms, wait.Milliseconds())
	}
	require.Equal(t, []int64{4, 8, 16, 32, 64, 128, 256, 256, 256, 256, 4}, ms)
}

func TestReadGoesOnAfterSignals(t *testing.T) {
	t.Parallel()
	h := &fakeHandle{reads: []error{errors.New("Interrupted system call"), nil}}
	_, err := (&conn{handle: h}).Read(make([]byte, 64))
	require.NoError(t, err)
}

// Nothing is freed while it is being used, and nothing is used after it was freed.
func TestCloseWaitsForRead(t *testing.T) {
	t.Parallel()
	waiting := make(chan struct{})
	var once sync.Once
	h := &fakeHandle{timedOut: func() { once.Do(func() { close(waiting) }) }}
	c := &conn{handle: h}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 64))
		ended <- err
	}()
	<-waiting
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, fs.ErrClosed)
	require.NoError(t, c.Close())
	_, err := c.Read(make([]byte, 64))
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = c.Write(make([]byte, 65))
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Equal(t, 1, h.frees)
	require.False(t, h.freedInUse)
}

func TestErrorsOfAKeyThatIsGone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"hid_read_timeout: unexpected poll error (device disconnected)", "Input/output error", "No such device",
		"Cannot send after transport endpoint shutdown", "I/O error", "hid_read_timeout: thread shutdown",
		"Le périphérique n'est pas connecté.", // no text known here, but there is no such path
	} {
		cause := errors.New(text)
		c := &conn{handle: &fakeHandle{reads: []error{cause}, writeErr: cause}, path: "/dev/none"}
		_, err := c.Read(make([]byte, 64))
		require.ErrorIs(t, err, hid.ErrRemoved, text)
		require.ErrorIs(t, err, cause)
		_, err = c.Write(make([]byte, 65))
		require.ErrorIs(t, err, hid.ErrRemoved, text)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	const path = "/dev/no such device"
	for text, want := range map[string]error{
		"Failed to open a device with path '" + path + "': Permission denied":         fs.ErrPermission,
		"Failed to open a device with path '" + path + "': Operation not permitted":   fs.ErrPermission,
		"hid_open_path: CreateFile: (0x00000005) Access is denied.":                   fs.ErrPermission,
		"Failed to open a device with path '" + path + "': No such file or directory": fs.ErrNotExist,
		"Failed to open a device with path '" + path + "': No such device":            fs.ErrNotExist,
	} {
		require.ErrorIs(t, explainOpen(path, openError(path, errors.New(text))), want, text)
	}
	other := errors.New("Failed to open a device with path '" + path + "': Too many open files")
	require.Equal(t, other, openError(path, other))
}

func TestOpenRefusesWhatIsNotListed(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/dev/null", "/dev/hidraw4711", ""} {
		_, err := Open(path)
		require.ErrorIs(t, err, fs.ErrNotExist, path)
	}
}

// The device knows its sizes from its own descriptor, and what has no FIDO collection is none.
func TestDeviceFromDescriptor(t *testing.T) {
	t.Parallel()
	key, err := hex.DecodeString("06d0f10901a1010920150026ff007508954081020921150026ff00750895209102c0")
	require.NoError(t, err)
	h := &fakeHandle{descriptor: key, reads: []error{nil}}
	d, err := (&conn{handle: h, path: "1"}).device(hid.Info{Path: "1"})
	require.NoError(t, err)
	in, out := d.ReportSizes()
	require.Equal(t, [2]int{64, 32}, [2]int{in, out})
	n, err := d.Read(make([]byte, 64))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.NoError(t, d.Close())
	require.Equal(t, 1, h.frees)

	_, err = (&conn{handle: &fakeHandle{descriptor: key[:10]}, path: "1"}).device(hid.Info{Path: "1"})
	require.ErrorContains(t, err, "hid: open 1: report descriptor is truncated")
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	require.Equal(t, hid.Info{
		Path: "1", Bus: hid.BusUSB, VendorID: 0x1050, ProductID: 0x407, Manufacturer: "Yubico", Product: "YubiKey[2J",
		Serial: "7", StableID: "serial:1050:0407:7",
	}, describe(&hidapi.DeviceInfo{
		Path: "1", BusType: hidapi.BusUSB, VendorID: 0x1050, ProductID: 0x407, MfrStr: "Yubico", ProductStr: "YubiKey\x1b[2J",
		SerialNbr: "7",
	}))
	require.Equal(t, hid.BusBluetooth, busOf(hidapi.BusBluetooth))
	require.Equal(t, hid.BusUnknown, busOf(hidapi.BusI2C))
}
