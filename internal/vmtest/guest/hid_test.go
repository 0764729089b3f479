package guest

import (
	"io"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
)

var echoConfig = usbip.Config{
	VendorID: 0x1209, ProductID: 0xf1d0,
	Manufacturer: "Example Inc.", Product: "Echo key",
}

func TestListFindsUSBKeys(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	attachKeyboard(t)
	second := attachUSB(t, usbip.Config{VendorID: 1, ProductID: 2}, echo)

	found, err := hid.List()
	require.NoError(t, err)
	require.ElementsMatch(t, []hid.Info{key.Info, second.Info}, found)
	require.Regexp(t, `^/dev/hidraw\d+$`, key.Path)
	require.EqualExportedValues(t, hid.Info{
		Path: key.Path, Bus: hid.BusUSB, VendorID: 0x1209, ProductID: 0xf1d0,
		Manufacturer: "Example Inc.", Product: "Echo key", Serial: key.Serial, StableID: "serial:1209:f1d0:" + key.Serial,
	}, key.Info)
	require.Equal(t, key.Info, openKey(t, key.Path).Info())
}

// attachKeyboard plugs in what has a node and is no key.
func attachKeyboard(t *testing.T) {
	t.Helper()
	nodes := func() int {
		paths, err := filepath.Glob("/dev/hidraw*")
		require.NoError(t, err)
		return len(paths)
	}
	before := nodes()
	keyboard := echoConfig
	keyboard.Descriptor = []byte{ // a boot keyboard's modifier keys
		0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7,
		0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, 0xc0,
	}
	d, err := usbip.Attach(keyboard)
	require.NoError(t, err)
	t.Cleanup(func() {
		d.Close()
		require.Eventually(t, func() bool { return nodes() <= before }, limit, 5*time.Millisecond, "the keyboard stays")
	})
	require.Eventually(t, func() bool { return nodes() > before }, limit, 5*time.Millisecond, "the keyboard has no node")
}

func TestDebianToolsFindUSBKeys(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	got := runTool(t, "", "fido2-token", "-L")
	require.Equal(t, toolResult{stdout: key.Path + ": vendor=0x1209, product=0xf1d0 (Example Inc. Echo key)\n"}, got)
	require.Equal(t, 1, runTool(t, "", "fido2-token", "-I", "/dev/hidraw99").status, "no such key")
}

func TestReportsArriveWhole(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	d := openKey(t, key.Path)
	in, out := d.ReportSizes()
	require.Equal(t, [2]int{reportSize, reportSize}, [2]int{in, out})
	for _, n := range []int{0, 1, reportSize - 7, reportSize - 6, maxMessage} {
		start := time.Now()
		requirePing(t, d, n)
		t.Logf("ping of %d bytes: %v", n, time.Since(start).Round(100*time.Microsecond))
	}
}

func TestCloseUnblocksRead(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	d := openKey(t, key.Path)
	requirePing(t, d, 1)
	ended := readInBackground(d)
	require.NoError(t, d.Close())
	require.ErrorIs(t, (<-ended).err, fs.ErrClosed)
}

func TestUnplugEndsReadAndTheNextKeyWorks(t *testing.T) {
	for range 3 {
		key := attachUSB(t, echoConfig, echo)
		d := openKey(t, key.Path)
		requirePing(t, d, 100)

		ended := readInBackground(d)
		start := time.Now()
		key.unplug()
		end := <-ended
		require.ErrorIs(t, end.err, hid.ErrRemoved)
		took := end.at.Sub(start)
		t.Logf("%v, %v after the cable was pulled", end.err, took.Round(100*time.Microsecond))
		require.Less(t, took, time.Second)

		_, err := d.Read(make([]byte, reportSize))
		require.ErrorIs(t, err, hid.ErrRemoved)
		_, err = d.Write(make([]byte, reportSize))
		require.ErrorIs(t, err, hid.ErrRemoved)
		_, err = hid.Open(key.Path)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

// TestUnplugEndsWrite has a key that takes no report, so that Write waits for it.
func TestUnplugEndsWrite(t *testing.T) {
	key := attachUSB(t, echoConfig, func(io.ReadWriteCloser) {})
	d := openKey(t, key.Path)
	ended := make(chan error, 1)
	go func() {
		_, err := d.Write(make([]byte, reportSize))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("the write ended although the key did not read: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	key.unplug()
	require.ErrorIs(t, <-ended, hid.ErrRemoved)
}

// readEnd is how and when a Read ended.
type readEnd struct {
	err error
	at  time.Time
}

// readInBackground starts a Read that nothing is there for, and returns once it probably blocks.
func readInBackground(d *hid.Device) <-chan readEnd {
	ended := make(chan readEnd, 1)
	go func() {
		_, err := d.Read(make([]byte, reportSize))
		ended <- readEnd{err, time.Now()}
	}()
	time.Sleep(50 * time.Millisecond) // the kernel tells nobody that a read has begun to wait
	return ended
}
