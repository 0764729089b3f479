package hid

import (
	"encoding/binary"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The sizes are those of the structures in hidpi.h, which Windows fills.
func TestWindowsCapsHaveTheirSize(t *testing.T) {
	require.EqualValues(t, 64, unsafe.Sizeof(hidpCaps{}))
	require.EqualValues(t, 48, unsafe.Offsetof(hidpCaps{}.inputValueCaps))
	require.EqualValues(t, 54, unsafe.Offsetof(hidpCaps{}.outputValueCaps))
	require.EqualValues(t, 72, unsafe.Sizeof(hidpValueCaps{}))
	require.EqualValues(t, 2, unsafe.Offsetof(hidpValueCaps{}.reportID))
}

func TestWindowsCaps(t *testing.T) {
	for _, c := range []struct {
		name    string
		caps    hidpCaps
		in, out byte
		want    reports
		err     string
	}{
		{
			name: "any key",
			caps: hidpCaps{inputLength: 65, outputLength: 65},
			want: reports{report{0, 64}, report{0, 64}},
		},
		{
			name: "numbered reports of different sizes",
			caps: hidpCaps{inputLength: 33, outputLength: 17}, in: 1, out: 2,
			want: reports{report{1, 32}, report{2, 16}},
		},
		{name: "input report of nothing but a number", caps: hidpCaps{inputLength: 1, outputLength: 65}, err: "lacks"},
		{name: "no output report", caps: hidpCaps{inputLength: 65}, err: "lacks"},
		{name: "largest", caps: hidpCaps{inputLength: 4097, outputLength: 2}, want: reports{report{0, 4096}, report{0, 1}}},
		{name: "too large", caps: hidpCaps{inputLength: 65, outputLength: 0xFFFF}, err: "more than 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.caps.reports(c.in, c.out)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestWindowsCapsOfFIDO(t *testing.T) {
	require.True(t, (&hidpCaps{usagePage: 0xF1D0, usage: 1}).isFIDO())
	require.False(t, (&hidpCaps{usagePage: 0xF1D0, usage: 2}).isFIDO())
	require.False(t, (&hidpCaps{usagePage: 1, usage: 6}).isFIDO(), "a keyboard")
}

func TestWindowsHardwareIDs(t *testing.T) {
	common := []string{`HID\VID_1050&PID_0407&REV_0526&MI_01`, `HID\VID_1050&PID_0407&MI_01`, `HID\VID_1050&UP:F1D0_U:0001`}
	require.True(t, isFIDOHardware(append(common, "HID_DEVICE_UP:F1D0_U:0001", "HID_DEVICE")))
	require.True(t, isFIDOHardware([]string{"hid_device_up:f1d0_u:0001"}))
	require.False(t, isFIDOHardware([]string{"HID_DEVICE_UP:0001_U:0006", "HID_DEVICE"}), "a keyboard")
	require.False(t, isFIDOHardware(nil))
}

func TestWindowsRefusesFIDO(t *testing.T) {
	require.True(t, refusesFIDO(18362, false), "1903")
	require.True(t, refusesFIDO(26100, false), "Windows 11")
	require.False(t, refusesFIDO(17763, false), "1809")
	require.False(t, refusesFIDO(26100, true))
}

func TestWindowsBus(t *testing.T) {
	for instance, want := range map[string]Bus{
		`USB\VID_1050&PID_0407&MI_01\7&1d2a3b4c&0&0001`:                                        BusUSB,
		`usb\vid_1050&pid_0120\6&1a2b3c4d&0&2`:                                                 BusUSB,
		`BTHENUM\{00001124-0000-1000-8000-00805f9b34fb}_VID&0002054c_PID&09cc\7&1&0&A0B1C2_C0`: BusBluetooth,
		`BTHLEDEVICE\{00001812-0000-1000-8000-00805f9b34fb}_Dev_VID&021050_PID&0407\8&1&0&1`:   BusBluetooth,
		`ROOT\VHF\0000`:              BusVirtual,
		`ACPI\MSFT0001\4&1`:          BusUnknown,
		`USBSTOR\Disk&Ven_Generic\0`: BusUnknown,
		``:                           BusUnknown,
	} {
		require.Equal(t, want, instanceBus(instance), instance)
	}
}

func TestWindowsInstanceNumbers(t *testing.T) {
	for instance, want := range map[string][2]uint16{
		`HID\VID_1050&PID_0407&MI_01\8&3a5b6c7d&0&0000`: {0x1050, 0x0407},
		`hid\vid_1209&pid_f1d0&mi_00&col02\1`:           {0x1209, 0xf1d0},
		`HID\VID_1050&PID_0407`:                         {0x1050, 0x0407},
		`HID\VID_11050&PID_xyz\1`:                       {0, 0},
		`HID\MSHW0001\5&1`:                              {0, 0},
		`VID_1050&PID_0407`:                             {0, 0},
		``:                                              {0, 0},
	} {
		vendor, product := instanceNumbers(instance)
		require.Equal(t, want, [2]uint16{vendor, product}, instance)
	}
}

func TestWindowsNames(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []uint16
		want string
	}{
		{"name with something behind it", append(utf16.Encode([]rune("YubiKey FIDO")), 0, 'x'), "YubiKey FIDO"},
		{"name that fills the buffer", utf16.Encode([]rune(strings.Repeat("k", 127))), strings.Repeat("k", 127)},
		{"beyond the first plane", append(utf16.Encode([]rune("key 🔑")), 0), "key 🔑"},
		{"half a surrogate pair", []uint16{'a', 0xD83D, 'b', 0}, "a\uFFFDb"},
		{"escape sequence", []uint16{0x1B, '[', '2', 'J', 0}, "[2J"},
		{"languages instead of a missing string", []uint16{0x0409, 0}, ""},
		{"empty", []uint16{0, 'x'}, ""},
		{"nothing", nil, ""},
	} {
		require.Equal(t, c.want, decodeName(c.in), c.name)
	}
}

func TestWindowsStrings(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		want []string
	}{
		{"list", "a\x00\x00\x00b\x00c\x00\x00\x00\x00\x00", []string{"a", "bc"}},
		{"what is behind the list", "a\x00\x00\x00\x00\x00b\x00", []string{"a"}},
		{"no end", "a\x00\x00\x00b\x00", []string{"a", "b"}},
		{"odd number of bytes", "a\x00\x00\x00b", []string{"a"}},
		{"empty list", "\x00\x00", nil},
		{"nothing", "", nil},
	} {
		require.Equal(t, c.want, decodeStrings([]byte(c.in)), c.name)
	}
}

// What Windows could have made of a list of strings comes back as that list, and nothing else goes wrong.
func FuzzWindowsStrings(f *testing.F) {
	f.Add([]byte("H\x00I\x00D\x00\x00\x00U\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x3d\xd8\x00\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		list := decodeStrings(b)
		require.LessOrEqual(t, len(list), len(b)/2)
		for _, s := range list {
			require.NotEmpty(t, s)
		}
		require.Equal(t, list, decodeStrings(encodeStrings(list)))
	})
}

func encodeStrings(list []string) []byte {
	var b []byte
	for _, s := range append(list[:len(list):len(list)], "") {
		for _, unit := range append(utf16.Encode([]rune(s)), 0) {
			b = binary.LittleEndian.AppendUint16(b, unit)
		}
	}
	return b
}

// windowsDevice is a Device as on Windows, with what the key sends and gets.
func windowsDevice(t *testing.T, r reports) (d *Device, toHost, fromHost net.Conn) {
	t.Helper()
	in, toHost := net.Pipe()
	out, fromHost := net.Pipe()
	d = newDevice(backend{
		conn: newWindowsConn(in, out, r), reports: r, alwaysNumbered: true, removed: []error{io.EOF},
	})
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		toHost.Close()
		fromHost.Close()
	})
	return d, toHost, fromHost
}

func TestWindowsConnFramesReports(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		reports           reports
		fromKey           string
		want, sent, toKey string
	}{
		{"no numbers", reports{report{0, 4}, report{0, 4}}, "\x00read", "read", "sent", "\x00sent"},
		{"numbers", reports{report{7, 4}, report{9, 4}}, "\x07read", "read", "sent", "\x09sent"},
		{"another collection before", reports{report{7, 4}, report{9, 4}}, "\x01keys\x07read", "read", "sent", "\x09sent"},
		{"short report", reports{report{0, 4}, report{0, 4}}, "\x00re", "re", "s", "\x00s\x00\x00\x00"},
		{"two reports at once", reports{report{0, 4}, report{0, 4}}, "\x00read\x00more", "read", "", "\x00\x00\x00\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, toHost, fromHost := windowsDevice(t, c.reports)
			go io.WriteString(toHost, c.fromKey)
			p := make([]byte, 100)
			n, err := d.Read(p)
			require.NoError(t, err)
			require.Equal(t, c.want, string(p[:n]))

			written := make(chan error, 1)
			go func() {
				_, err := d.Write([]byte(c.sent))
				written <- err
			}()
			n, err = fromHost.Read(p)
			require.NoError(t, err)
			require.Equal(t, c.toKey, string(p[:n]))
			require.NoError(t, <-written)
		})
	}
}

// TestWindowsConnWritesWhileReading also has a key that takes no more reports, which must not hold the caller.
func TestWindowsConnWritesWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, _ := windowsDevice(t, reports{report{0, 4}, report{0, 4}})
		ended := make(chan error)
		go func() {
			_, err := d.Read(make([]byte, 4))
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		_, err := d.Write([]byte("sent"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, writeLimit, time.Since(start))
		require.NoError(t, d.Close())
		require.ErrorIs(t, <-ended, fs.ErrClosed)
	})
}

func TestWindowsConnTellsErrors(t *testing.T) {
	t.Parallel()
	d, toHost, fromHost := windowsDevice(t, reports{report{0, 4}, report{0, 4}})
	toHost.Close()
	fromHost.Close()
	_, err := d.Read(make([]byte, 4))
	require.ErrorIs(t, err, ErrRemoved)
	_, err = d.Write(make([]byte, 4))
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestWindowsSubscriptions(t *testing.T) {
	t.Parallel()
	var s subscriptions
	a, changedA := s.add()
	b, changedB := s.add()
	s.notify(a)
	s.notify(a) // nobody listens, and it blocks nobody
	<-changedA
	require.Empty(t, changedB, "meant for another")
	s.remove(a)
	_, ok := <-changedA
	require.False(t, ok, "is closed")
	s.notify(a) // a late callback
	s.notify(b)
	_, ok = <-changedB
	require.True(t, ok)
}
