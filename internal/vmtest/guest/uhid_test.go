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

// TestUHID shows what hid makes of a device without a USB parent: its one name, and reports in both directions.
func TestUHID(t *testing.T) {
	f, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close() // destroys the device
	_, err = f.Write(uhidCreateEvent("Example uhid key"))
	require.NoError(t, err)

	isOurs := func(info hid.Info) bool { return info.VendorID == 0x1209 && info.ProductID == 0xf1d1 }
	info := waitForKeys(t, isOurs, 1)[0]
	require.EqualExportedValues(t, hid.Info{
		Path: info.Path, Bus: info.Bus, VendorID: 0x1209, ProductID: 0xf1d1, Product: "Example uhid key",
	}, info)

	d := openKey(t, info.Path)
	report := bytes.Repeat([]byte{7}, reportSize)
	_, err = d.Write(report)
	require.NoError(t, err)
	require.Equal(t, append([]byte{0}, report...), nextUHIDOutput(t, f), "uhid keeps the report number")

	_, err = f.Write(uhidInputEvent(report))
	require.NoError(t, err)
	got := make([]byte, reportSize)
	_, err = d.Read(got)
	require.NoError(t, err)
	require.Equal(t, report, got)

	require.NoError(t, f.Close())
	_, err = d.Read(got)
	require.ErrorIs(t, err, hid.ErrRemoved)
	waitForKeys(t, isOurs, 0)
}

// uhidCreateEvent lays out struct uhid_create2_req: name, phys and uniq in fixed fields, then numbers.
func uhidCreateEvent(name string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uhidCreate2)
	b = append(b, name...)
	b = append(b, make([]byte, 4+128+64+64-len(b))...)
	b = le.AppendUint16(b, uint16(len(uhidDescriptor)))
	b = le.AppendUint16(b, 0x03) // BUS_USB
	b = le.AppendUint32(b, 0x1209)
	b = le.AppendUint32(b, 0xf1d1)
	b = le.AppendUint32(b, 0) // version
	b = le.AppendUint32(b, 0) // country
	return append(b, uhidDescriptor...)
}

func uhidInputEvent(report []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uhidInput2)
	b = le.AppendUint16(b, uint16(len(report)))
	return append(b, report...)
}

// nextUHIDOutput reads events until one has a report, which it returns.
func nextUHIDOutput(t *testing.T, f *os.File) []byte {
	t.Helper()
	const dataSize = 4096
	event := make([]byte, 8192)
	for {
		n, err := f.Read(event)
		require.NoError(t, err)
		require.Greater(t, n, 4+dataSize+2)
		if binary.LittleEndian.Uint32(event) == uhidOutput {
			return event[4 : 4+binary.LittleEndian.Uint16(event[4+dataSize:])]
		}
	}
}
