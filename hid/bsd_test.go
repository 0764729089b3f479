package hid

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The numbers are what a C compiler makes of the systems' headers.
func TestBSDIoctls(t *testing.T) {
	t.Parallel()
	reportDesc := ioctl(0xC020_5515)
	if unsafe.Sizeof(uintptr(0)) == 4 {
		reportDesc = 0xC01C_5515
	}
	for _, c := range []struct {
		name      string
		want, got ioctl
	}{
		{"FreeBSD USB_GET_REPORT_DESC", reportDesc, freebsdReportDesc},
		{"FreeBSD USB_GET_DEVICEINFO", 0x4170_5570, freebsdDeviceInfo.request()},
		{"FreeBSD HIDIOCGRAWINFO", 0x4008_5520, freebsdRawInfo},
		{"FreeBSD HIDIOCGRAWNAME(128)", 0x4080_5521, freebsdRawName},
		{"FreeBSD HIDIOCGRAWUNIQ(128)", 0x4080_5525, freebsdRawUniq},
		{"NetBSD and OpenBSD USB_GET_REPORT_DESC", 0x4404_5515, uhidReportDesc},
		{"NetBSD and OpenBSD USB_GET_REPORT_ID", 0x4004_5519, uhidReportID},
		{"NetBSD USB_GET_DEVICEINFO", 0x44F4_5570, netbsdDeviceInfo.request()},
		{"NetBSD USB_HID_SET_RAW", 0x8004_6802, netbsdSetRaw},
		{"OpenBSD USB_GET_DEVICEINFO", 0x421C_5570, openbsdDeviceInfo.request()},
	} {
		require.Equal(t, c.want, c.got, "%s: %#x", c.name, uint32(c.got))
	}
}

func TestUSBGenDescriptorLayout(t *testing.T) {
	t.Parallel()
	var d usbGenDescriptor
	pointer := unsafe.Sizeof(uintptr(0))
	require.Equal(t, [4]uintptr{0, pointer + 2, pointer + 4, pointer + 24},
		[4]uintptr{unsafe.Offsetof(d.data), unsafe.Offsetof(d.maxLen), unsafe.Offsetof(d.actLen), unsafe.Sizeof(d)})
}

var usbDeviceInfos = map[string]usbDeviceInfo{
	"freebsd": freebsdDeviceInfo, "netbsd": netbsdDeviceInfo, "openbsd": openbsdDeviceInfo,
}

// encode makes the struct that the kernel would give.
func (u usbDeviceInfo) encode(vendorID, productID uint16, vendor, product, serial string) []byte {
	b := make([]byte, u.size)
	binary.NativeEndian.PutUint16(b[u.vendorID:], vendorID)
	binary.NativeEndian.PutUint16(b[u.productID:], productID)
	copy(b[u.vendor.offset:][:u.vendor.size], vendor)
	copy(b[u.product.offset:][:u.product.size], product)
	copy(b[u.serial.offset:][:u.serial.size], serial)
	return b
}

func TestUSBDeviceInfo(t *testing.T) {
	t.Parallel()
	for name, u := range usbDeviceInfos {
		b := u.encode(0x1050, 0x0407, "Yubico", "YubiKey FIDO+CCID", "42")
		if u.cookie != 0 {
			binary.NativeEndian.PutUint32(b[u.cookie:], 7)
		}
		got := u.info(b)
		want := Info{
			Bus: BusUSB, VendorID: 0x1050, ProductID: 0x0407,
			Manufacturer: "Yubico", Product: "YubiKey FIDO+CCID", Serial: "42", StableID: "serial:1050:0407:42",
		}
		if name == "netbsd" {
			want.instance = "7"
		}
		require.Equal(t, want, got, name)
	}
}

// Where the members are, from a dump of each system's struct in which each member is one letter.
func TestUSBDeviceInfoLayout(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for name, dump := range map[string]string{
		"freebsd": "ppvv" + repeat(".", 36) + repeat("P", 128) + repeat("V", 128) + repeat("S", 64) + repeat(".", 8),
		"netbsd": "....cccc" + repeat("P", 384) + repeat("V", 384) + repeat(".", 8) + repeat("S", 384) + "ppvv" +
			repeat(".", 96),
		"openbsd": ".." + repeat("P", 127) + repeat("V", 127) + repeat(".", 8) + "ppvv" + repeat(".", 144) +
			repeat("S", 127) + ".",
	} {
		u := usbDeviceInfos[name]
		require.Len(t, dump, u.size, name)
		require.Equal(t, "pp", dump[u.productID:][:2], name)
		require.Equal(t, "vv", dump[u.vendorID:][:2], name)
		for letter, text := range map[string]text{"P": u.product, "V": u.vendor, "S": u.serial} {
			require.Equal(t, repeat(letter, strings.Count(dump, letter)), dump[text.offset:][:text.size], name)
		}
		require.Equal(t, u.cookie != 0, strings.Contains(dump, "c"), name)
		require.Equal(t, max(0, strings.Index(dump, "c")), u.cookie, name)
	}
}

func TestUSBDeviceInfoDropsNamesThatKernelsMakeUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ vendor, product, wantVendor, wantProduct string }{
		{"vendor 0x1050", "product 0x0407", "", ""},
		{"vendor 1050", "product 0407", "", ""},
		{"vendor 0x1051", "product 0x0408", "vendor 0x1051", "product 0x0408"},
		{"vendor x", "product", "vendor x", "product"},
		{"product 0x1050", "0407", "product 0x1050", "0407"},
	} {
		got := freebsdDeviceInfo.info(freebsdDeviceInfo.encode(0x1050, 0x0407, c.vendor, c.product, ""))
		require.Equal(t, [2]string{c.wantVendor, c.wantProduct}, [2]string{got.Manufacturer, got.Product})
		require.Empty(t, got.StableID)
	}
}

func FuzzUSBDeviceInfo(f *testing.F) {
	f.Add("openbsd", uint16(0x1050), uint16(0x0407), "Yubico", "YubiKey", "1")
	f.Add("netbsd", uint16(0), uint16(0xFFFF), "\x1b[31m\xff", strings.Repeat("é", 300), "a\x00b")
	f.Add("freebsd", uint16(1), uint16(2), "vendor 0x0001", "product 2", strings.Repeat("1", 64))
	f.Fuzz(func(t *testing.T, system string, vendorID, productID uint16, vendor, product, serial string) {
		u, ok := usbDeviceInfos[system]
		if !ok {
			return
		}
		i := u.info(u.encode(vendorID, productID, vendor, product, serial))
		require.Equal(t, [2]uint16{vendorID, productID}, [2]uint16{i.VendorID, i.ProductID})
		for _, name := range []string{i.Manufacturer, i.Product, i.Serial} {
			require.True(t, utf8.ValidString(name))
			require.LessOrEqual(t, utf8.RuneCountInString(name), maxName)
			require.Equal(t, cleanName(name), name)
		}
		again := u.info(u.encode(i.VendorID, i.ProductID, i.Manufacturer, i.Product, i.Serial))
		i.instance, again.instance = "", ""
		if len(i.Manufacturer) <= u.vendor.size && len(i.Product) <= u.product.size && len(i.Serial) <= u.serial.size {
			require.Equal(t, i, again)
		}
	})
}

func TestHidrawInfoOfFreeBSD(t *testing.T) {
	t.Parallel()
	var b [8]byte
	for number, bus := range map[uint32]Bus{3: BusUSB, 5: BusBluetooth, 6: BusVirtual, 0x18: BusUnknown} {
		binary.NativeEndian.PutUint32(b[:], number)
		binary.NativeEndian.PutUint16(b[4:], 0x1050)
		binary.NativeEndian.PutUint16(b[6:], 0x8407)
		var i Info
		i.setRawInfo(b)
		require.Equal(t, Info{Bus: bus, VendorID: 0x1050, ProductID: 0x8407}, i)
	}
}

func TestParseNode(t *testing.T) {
	t.Parallel()
	r, err := parseNode(unhex(t, keyDescriptor), 0)
	require.NoError(t, err)
	require.Equal(t, u2fReports, r)

	// A node for each report ID: only that of the FIDO collection's is a key, and its reports come without the ID.
	numbered := unhex(t, "8505"+keyDescriptor)
	r, err = parseNode(numbered, 5)
	require.NoError(t, err)
	require.Equal(t, u2fReports, r)
	for _, number := range []byte{0, 1} {
		_, err = parseNode(numbered, number)
		require.ErrorIs(t, err, errNotFIDO)
	}
	_, err = parseNode(numbered[:20], 5)
	require.ErrorIs(t, err, errTruncated)
}

func TestCtlReportDescBoundsItsSize(t *testing.T) {
	t.Parallel()
	var d ctlReportDesc
	for size, want := range map[int32]int{-1: 0, 0: 0, 34: 34, 1024: 1024, 1025: 1024, 1 << 30: 1024} {
		d.size = size
		require.Len(t, d.bytes(), want)
	}
}

func TestWithoutTwins(t *testing.T) {
	t.Parallel()
	parents := map[string]string{
		"dev.uhid.0.%parent":    "hidbus4",
		"dev.uhid.3.%parent":    "uhub1",
		"dev.uhid.10.%parent":   "uhub1", // another interface of the same hub: not the same one
		"dev.hidraw.4.%parent":  "hidbus4",
		"dev.hidraw.12.%parent": "hidbus12",
	}
	all := []candidate{{"/dev/u2f/0", true}, {"/dev/uhid3", false}, {"/dev/uhid10", false}, {"/dev/hidraw4", false},
		{"/dev/hidraw12", false}, {"/dev/hidraw13", false}, {"/dev/hidraw14", false}}
	got := withoutTwins(all, func(sysctl string) string { return parents[sysctl] })
	require.Equal(t, []candidate{{"/dev/u2f/0", true}, {"/dev/uhid3", false}, {"/dev/uhid10", false},
		{"/dev/hidraw12", false}, {"/dev/hidraw13", false}, {"/dev/hidraw14", false}}, got)
}
