package hid

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func openFake(t *testing.T, m *fakeMac, path string) *Device {
	t.Helper()
	d, err := m.open(path)
	require.NoError(t, err)
	return d
}

func TestIOKitList(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	m.addKey(0x1000002ff, yubiKey(t))
	m.addKey(0x100000abc, map[string]any{"ReportDescriptor": unhex(t, keyDescriptor), "Transport": "Bluetooth Low Energy",
		"SerialNumber": "7\x1b[1m", "VendorID": "no number", "Product": int64(1)})
	m.addKey(0x100000100, map[string]any{"ReportDescriptor": unhex(t, numberedKey), "Transport": "Virtual"})
	m.addKey(0x100000101, map[string]any{"ReportDescriptor": unhex(t, keyDescriptor)[:30]})
	m.addKey(0x100000102, map[string]any{"ReportDescriptor": unhex(t, mouse)})
	m.addKey(0x100000103, map[string]any{"ReportDescriptor": "text"})
	m.addKey(0x100000104, nil)
	got, err := m.list()
	require.NoError(t, err)
	require.Len(t, got, 4)
	require.ErrorIs(t, got[1].Err, errTruncated)
	require.ErrorContains(t, got[1].Err, "hid: open ioreg://0x100000101: ")
	got[1].Err = nil
	require.Equal(t, []Info{
		{Path: "ioreg://0x100000100", Bus: BusVirtual},
		{Path: "ioreg://0x100000101"},
		{Path: "ioreg://0x1000002ff", Bus: BusUSB, VendorID: 0x1050, ProductID: 0x0407, Manufacturer: "Yubico",
			Product: "YubiKey OTP+FIDO+CCID", StableID: "port:1050:0407:14200000"},
		{Path: "ioreg://0x100000abc", Bus: BusBluetooth, Serial: "7[1m", StableID: "serial:0000:0000:7[1m"},
	}, got)
	require.Equal(t, map[string]int64{"class IOHIDDevice": 1, "DeviceUsagePage": 0xF1D0, "DeviceUsage": 1}, m.lists[0])
}

func TestIOKitListErrors(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	m.addKey(1, yubiKey(t))
	m.refuse["IOServiceGetMatchingServices"] = 0xE000_02BD
	_, err := m.list()
	require.EqualError(t, err, "hid: list: IOKit: error 0xe00002bd")

	m = newFakeMac(t)
	m.addKey(1, yubiKey(t))
	m.refuse["IORegistryEntryGetRegistryEntryID"] = ioNoDevice
	got, err := m.list()
	require.NoError(t, err)
	require.Empty(t, got, "it has just vanished")
}

func TestIOKitMovesReports(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(0x1000002ff, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1000002ff")
	defer d.Close()
	require.Equal(t, "ioreg://0x1000002ff", d.Info().Path)
	require.True(t, k.open)

	n, err := d.Write(payload(1, 64))
	require.NoError(t, err)
	require.Equal(t, 64, n)
	require.Equal(t, payload(1, 64), <-k.written, "no report number in front")
	require.Equal(t, []int{0}, k.numbers)

	b := make([]byte, 100)
	for _, report := range [][]byte{payload(2, 64), payload(3, 64), payload(4, 10)} {
		m.send(k, report)
	}
	for _, want := range [][]byte{payload(2, 64), payload(3, 64), payload(4, 10)} {
		n, err = d.Read(b)
		require.NoError(t, err)
		require.Equal(t, want, b[:n])
	}
}

func TestIOKitNumberedReports(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, map[string]any{"ReportDescriptor": unhex(t, keyboard+numberedKey), "MaxInputReportSize": int64(100)})
	d := openFake(t, m, "ioreg://0x1")
	defer d.Close()
	require.Equal(t, 100, k.size, "room for the reports of all collections")
	_, err := d.Write(payload(1, 63))
	require.NoError(t, err)
	require.Equal(t, append([]byte{2}, payload(1, 63)...), <-k.written)
	require.Equal(t, []int{2}, k.numbers)

	m.send(k, append([]byte{1}, payload(9, 8)...)) // a key press
	m.send(k, append([]byte{2}, payload(3, 63)...))
	b := make([]byte, 63)
	_, err = d.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(3, 63), b)
}

// A reader that is late loses nothing of a message, nor of four; what is older goes.
func TestIOKitQueueKeepsTheNewest(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	defer d.Close()
	const sent = ioQueue + 100
	for n := range sent {
		m.send(k, frame(n))
	}
	arrived := make(chan struct{})
	k.loop.events <- func() { close(arrived) }
	<-arrived
	b := make([]byte, 64)
	for n := range ioQueue {
		_, err := d.Read(b)
		require.NoError(t, err)
		require.Equal(t, frame(sent-ioQueue+n), b)
	}
}

func TestIOKitRemoval(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	b := make([]byte, 64)
	m.send(k, payload(5, 64))
	m.removeKey(k)
	_, err := d.Read(b)
	require.NoError(t, err)
	require.Equal(t, payload(5, 64), b, "it came before the removal")
	for range 2 {
		_, err = d.Read(b)
		require.ErrorIs(t, err, ErrRemoved)
	}
	m.refuse["IOHIDDeviceSetReport"] = machInvalidDest
	_, err = d.Write(b)
	require.ErrorIs(t, err, ErrRemoved)
	require.NoError(t, d.Close()) // the fake panics if it closes what is gone
	require.NoError(t, d.Close())

	m.refuse["IOHIDDeviceSetReport"] = 0
	m.addKey(2, yubiKey(t)) // the same key again
	d = openFake(t, m, "ioreg://0x2")
	_, err = d.Write(b)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestIOKitCloseEndsRead(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { _, err = d.Read(make([]byte, 64)) })
	require.NoError(t, d.Close())
	wg.Wait()
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = d.Write([]byte{1})
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Empty(t, k.written)
}

func TestIOKitCloseWaitsForWrite(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	begun, goOn := make(chan struct{}), make(chan struct{})
	m.IOHIDDeviceSetReport = func(cfRef, uint32, int, *byte, int) ioReturn {
		close(begun)
		<-goOn
		return 0
	}
	wrote, closed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := d.Write([]byte{1}); wrote <- err }()
	<-begun
	go func() { closed <- d.Close() }()
	for writing := &d.conn.(*ioDevice).writing; writing.TryRLock(); runtime.Gosched() { // until Close waits
		writing.RUnlock()
	}
	require.True(t, k.open, "the device is open while it is written to")
	close(goOn)
	require.NoError(t, <-wrote)
	require.NoError(t, <-closed)
	require.False(t, k.open)
}

func TestIOKitLateCallbacksFindNobody(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	token := k.reports
	m.reportArrived(token, ioNoDevice, ioReportInput, k.buf, 64)
	m.reportArrived(token, 0, ioReportOutput, k.buf, 64)
	require.Empty(t, d.conn.(*ioDevice).queue, "no input report")
	require.NoError(t, d.Close())
	m.reportArrived(token, 0, ioReportInput, k.buf, 64)
	m.deviceRemoved(token)
	m.deviceRemoved(token)
	require.Empty(t, d.conn.(*ioDevice).queue)
}

func TestIOKitReportsAreBoundByTheBuffer(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	k := m.addKey(1, yubiKey(t))
	d := openFake(t, m, "ioreg://0x1")
	defer d.Close()
	m.reportArrived(k.reports, 0, ioReportInput, k.buf, 1<<30)
	m.reportArrived(k.reports, 0, ioReportInput, k.buf, -1)
	queue := d.conn.(*ioDevice).queue
	require.Len(t, <-queue, k.size)
	require.Empty(t, <-queue)
}

func TestIOKitOpenErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path   string
		refuse ioReturn
		want   error
		text   string
	}{
		{path: "ioreg://0x3", want: fs.ErrNotExist, text: "file does not exist"},
		{path: "ioreg://0x2", want: errNotFIDO},
		{path: "ioreg://0x4", want: errTruncated},
		{path: "ioreg://0x1", refuse: ioExclusiveAccess, want: ErrBusy, text: "exclusive access"},
		{path: "ioreg://0x1", refuse: ioNotPermitted, want: fs.ErrPermission, text: "Input Monitoring"},
		{path: "ioreg://0x1", refuse: ioNotPrivileged, want: fs.ErrPermission, text: "App Sandbox"},
		{path: "ioreg://0x1", refuse: ioNoDevice, want: fs.ErrNotExist},
		{path: "ioreg://0x1", refuse: 0xE000_02BC, want: ioReturn(0xE000_02BC), text: "IOKit: error 0xe00002bc"},
	} {
		m := newFakeMac(t)
		m.addKey(1, yubiKey(t))
		m.addKey(2, map[string]any{"ReportDescriptor": unhex(t, mouse)})
		m.addKey(4, map[string]any{"ReportDescriptor": unhex(t, keyDescriptor)[:30]})
		m.refuse["IOHIDDeviceOpen"] = c.refuse
		_, err := m.open(c.path)
		require.ErrorIs(t, err, c.want)
		require.ErrorContains(t, err, "hid: open "+c.path+": ")
		require.ErrorContains(t, err, c.text)
	}
}

func TestIOKitPaths(t *testing.T) {
	t.Parallel()
	for _, id := range []uint64{0, 1, 0x1000002ff, 1<<64 - 1} {
		got, err := parseIOPath(ioPath(id))
		require.NoError(t, err)
		require.Equal(t, id, got)
	}
	for _, path := range []string{"", "ioreg://", "ioreg://0x", "ioreg://12", "ioreg://0X1", "ioreg://0x01", "ioreg://0x+1",
		"ioreg://0xA", "ioreg://0x10000000000000000", "/dev/hidraw0", "0x1"} {
		_, err := parseIOPath(path)
		require.Error(t, err, path)
	}
}

func FuzzIOPath(f *testing.F) {
	f.Add("ioreg://0x1000002ff")
	f.Add("ioreg://0x")
	f.Fuzz(func(t *testing.T, path string) {
		if id, err := parseIOPath(path); err == nil {
			require.Equal(t, path, ioPath(id))
		}
	})
}

func TestIOKitChanges(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	old := m.addKey(1, yubiKey(t))
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := m.changes(ctx)
	require.NoError(t, err)
	require.Empty(t, changed, "what was there before is no change")
	m.addKey(2, yubiKey(t))
	_, ok := <-changed
	require.True(t, ok)
	m.removeKey(old)
	_, ok = <-changed
	require.True(t, ok)
	cancel()
	for range changed {
	}
	// What is left is looked at when the test ends.
}

func TestIOKitChangesErrors(t *testing.T) {
	t.Parallel()
	for _, function := range []string{"IONotificationPortCreate", "IOServiceFirstMatch", "IOServiceTerminate"} {
		m := newFakeMac(t)
		m.addKey(1, yubiKey(t))
		m.refuse[function] = 0xE000_02BD
		_, err := m.changes(t.Context())
		require.ErrorContains(t, err, "hid: watch: ", function)
	}
}

// Each device and each watch has a loop of its own, and the end of one is not the end of another.
func TestIOKitLoopsAreIndependent(t *testing.T) {
	t.Parallel()
	m := newFakeMac(t)
	var devices []*Device
	var keys []*macKey
	for id := range uint64(4) {
		keys = append(keys, m.addKey(id, yubiKey(t)))
		devices = append(devices, openFake(t, m, fmt.Sprintf("ioreg://0x%x", id)))
	}
	var wg sync.WaitGroup
	for i, d := range devices {
		if i%2 == 0 {
			wg.Go(func() { d.Close() })
		}
	}
	b := make([]byte, 64)
	for i, d := range devices {
		if i%2 == 1 {
			m.send(keys[i], frame(i))
			_, err := d.Read(b)
			require.NoError(t, err)
			require.Equal(t, frame(i), b)
			require.NoError(t, d.Close())
		}
	}
	wg.Wait()
}
