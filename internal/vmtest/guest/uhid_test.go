package guest

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// Events of /dev/uhid (linux/uhid.h).
const (
	uhidOutput  = 6
	uhidCreate2 = 11
	uhidInput2  = 12
)

// uhidDescriptor is a FIDO key's, with 64-byte reports.
var uhidDescriptor = []byte{
	0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01,
	0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x81, 0x02,
	0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02,
	0xc0,
}

// numberedDescriptor has a key and a keyboard in one interface, which tell their reports apart by numbers.
var numberedDescriptor = []byte{
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x85, 0x01, // report 1 is of the keyboard
	0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, 0xc0,
	0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01,
	0x85, 0x02, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x3f, 0x81, 0x02, // 2 is from the key
	0x85, 0x03, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x3f, 0x91, 0x02, // 3 is to the key
	0xc0,
}

// TestUHID shows what hid makes of devices without a USB parent: their one name, and reports in both directions.
func TestUHID(t *testing.T) {
	for _, c := range []struct {
		name   string
		config uhidConfig
		want   hid.Info
		size   int
		to     []byte   // what goes before a report to the key
		from   []byte   // what goes before a report from the key
		others [][]byte // reports that are not from the key
	}{
		{
			name:   "USB, no numbers",
			config: uhidConfig{name: "Example uhid key", bus: busUSB, descriptor: uhidDescriptor},
			want:   hid.Info{Bus: hid.BusUSB, Product: "Example uhid key"},
			size:   reportSize,
			to:     []byte{0},
		},
		{
			name: "USB, in a port",
			config: uhidConfig{
				name: "HID 1209:f1d1", phys: "usb-0000:00:14.0-4/input1", bus: busUSB, descriptor: uhidDescriptor,
			},
			want: hid.Info{Bus: hid.BusUSB, StableID: "port:1209:f1d1:usb-0000:00:14.0-4/input1"},
			size: reportSize,
			to:   []byte{0},
		},
		{
			name: "Bluetooth, numbers",
			config: uhidConfig{
				name: "Example Bluetooth key", phys: "00:11:22:33:44:55", uniq: "c0:ff:ee:00:00:01", bus: busBluetooth,
				descriptor: numberedDescriptor,
			},
			want: hid.Info{
				Bus: hid.BusBluetooth, Product: "Example Bluetooth key", Serial: "c0:ff:ee:00:00:01",
				StableID: "serial:1209:f1d1:c0:ff:ee:00:00:01",
			},
			size:   reportSize - 1,
			to:     []byte{3},
			from:   []byte{2},
			others: [][]byte{{1, 0x02}, {1, 0x00}}, // shift goes down and up
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := createUHID(t, c.config)
			isOurs := func(info hid.Info) bool { return info.VendorID == 0x1209 && info.ProductID == 0xf1d1 }
			info := waitForKeys(t, isOurs, 1)[0]
			c.want.Path, c.want.VendorID, c.want.ProductID = info.Path, 0x1209, 0xf1d1
			require.EqualExportedValues(t, c.want, info)
			d := openKey(t, info.Path)
			require.Equal(t, info, d.Info())
			in, out := d.ReportSizes()
			require.Equal(t, [2]int{c.size, c.size}, [2]int{in, out})

			report := bytes.Repeat([]byte{7}, c.size)
			_, err := d.Write(report)
			require.NoError(t, err)
			sent, err := u.output()
			require.NoError(t, err)
			require.Equal(t, append(c.to, report...), sent, "uhid keeps the report number")
			for _, input := range append(c.others, append(c.from, report...)) {
				_, err := u.Write(input)
				require.NoError(t, err)
			}
			got := make([]byte, reportSize)
			n, err := d.Read(got)
			require.NoError(t, err)
			require.Equal(t, report, got[:n])

			require.NoError(t, u.Close())
			_, err = d.Read(got)
			require.ErrorIs(t, err, hid.ErrRemoved)
			waitForKeys(t, isOurs, 0)
		})
	}
}

// uhidDevice is a HID device of the kernel. Read and Write move whole reports without numbers, and Close destroys it.
type uhidDevice struct {
	*os.File
	event []byte
}

// uhidConfig says what a device is. Its IDs are 1209:f1d1.
type uhidConfig struct {
	name, phys, uniq string
	bus              uint16
	descriptor       []byte
}

// Buses of linux/input.h.
const (
	busUSB       = 0x03
	busBluetooth = 0x05
)

// createUHID makes a device until the test ends at the latest. Its node comes some time later.
func createUHID(t *testing.T, c uhidConfig) *uhidDevice {
	t.Helper()
	f, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.Write(c.createEvent())
	require.NoError(t, err)
	return &uhidDevice{f, make([]byte, 8192)}
}

// createEvent lays out struct uhid_create2_req: name, phys and uniq in fixed fields, then numbers.
func (c uhidConfig) createEvent() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uhidCreate2)
	for _, field := range []struct {
		text string
		size int
	}{{c.name, 128}, {c.phys, 64}, {c.uniq, 64}} {
		b = append(append(b, field.text...), make([]byte, field.size-len(field.text))...)
	}
	b = le.AppendUint16(b, uint16(len(c.descriptor)))
	b = le.AppendUint16(b, c.bus)
	b = le.AppendUint32(b, 0x1209)
	b = le.AppendUint32(b, 0xf1d1)
	b = le.AppendUint32(b, 0) // version
	b = le.AppendUint32(b, 0) // country
	return append(b, c.descriptor...)
}

// output reads events until one has a report, which it returns with its number.
func (u *uhidDevice) output() ([]byte, error) {
	const dataSize = 4096
	for {
		n, err := u.File.Read(u.event)
		if err != nil {
			return nil, err
		}
		if n > 4+dataSize+2 && binary.LittleEndian.Uint32(u.event) == uhidOutput {
			return u.event[4 : 4+binary.LittleEndian.Uint16(u.event[4+dataSize:])], nil
		}
	}
}

// Read is for devices without report numbers.
func (u *uhidDevice) Read(p []byte) (int, error) {
	report, err := u.output()
	if err != nil || len(report) == 0 {
		return 0, err
	}
	return copy(p, report[1:]), nil
}

func (u *uhidDevice) Write(report []byte) (int, error) {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uhidInput2)
	b = le.AppendUint16(b, uint16(len(report)))
	if _, err := u.File.Write(append(b, report...)); err != nil {
		return 0, err
	}
	return len(report), nil
}
