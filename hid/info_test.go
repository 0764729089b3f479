package hid

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestInfoString(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		info Info
		want string
	}{
		{"all names", Info{Path: "/dev/hidraw3", Manufacturer: "Yubico", Product: "YubiKey FIDO+CCID", VendorID: 0x1050},
			"Yubico YubiKey FIDO+CCID (/dev/hidraw3)"},
		{"product begins with the manufacturer",
			Info{Path: "/dev/hidraw3", Manufacturer: "Yubico", Product: "Yubico YubiKey"}, "Yubico YubiKey (/dev/hidraw3)"},
		{"no manufacturer", Info{Path: "/dev/hidraw3", Product: "Solo 2"}, "Solo 2 (/dev/hidraw3)"},
		{"no product", Info{Path: "/dev/hidraw3", Manufacturer: "Feitian"}, "Feitian (/dev/hidraw3)"},
		{"no names", Info{Path: "/dev/hidraw3", VendorID: 0x1050, ProductID: 0x407}, "1050:0407 (/dev/hidraw3)"},
		{"no names and no numbers", Info{Path: "unix:/run/key.sock", Bus: BusUnix}, "unix:/run/key.sock"},
		{"no path", Info{Product: "Solo 2"}, "Solo 2"},
		{"nothing", Info{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, tc.info.String())
		})
	}
}

func TestBusString(t *testing.T) {
	t.Parallel()
	names := map[Bus]string{BusUnknown: "unknown", BusUSB: "usb", BusBluetooth: "bluetooth", BusVirtual: "virtual",
		BusUnix: "unix", 200: "unknown"}
	for bus, want := range names {
		require.Equal(t, want, fmt.Sprint(bus))
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "YubiKey OTP+FIDO+CCID\n", "YubiKey OTP+FIDO+CCID"},
		{"not ASCII", "Clé de sécurité 安全", "Clé de sécurité 安全"},
		{"escape sequence", "\x1b[2J\x1b]0;pwned\x07key", "[2J]0;pwnedkey"},
		{"C1 control", "a\u009bb", "ab"},
		{"line breaks", "key\r\n/dev/hidraw0: fine", "key/dev/hidraw0: fine"},
		{"right-to-left override", "key\u202eyek", "keyyek"},
		{"zero bytes", "key\x00\x00", "key"},
		{"not UTF-8", "key\xff\xfe", "key\uFFFD"},
		{"only spaces", "  \t ", ""},
		{"too long", strings.Repeat("é", maxName+1), strings.Repeat("é", maxName)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, cleanName(tc.in))
		})
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("YubiKey\n")
	f.Add("\x1b[2J\u202e\xff")
	f.Add(strings.Repeat("é ", maxName))
	f.Fuzz(func(t *testing.T, s string) {
		name := cleanName(s)
		require.True(t, utf8.ValidString(name))
		require.LessOrEqual(t, utf8.RuneCountInString(name), maxName)
		require.NotContains(t, name, "\n")
		require.NotContains(t, name, "\x1b")
		require.Equal(t, name, cleanName(name), "cleaning a clean name changes nothing")
	})
}

func TestStableID(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, serial, port, want string }{
		{"serial number", "12345", "usb-0000:00:14.0-4/input1", "serial:1050:0407:12345"},
		{"port", "", "usb-0000:00:14.0-4/input1", "port:1050:0407:usb-0000:00:14.0-4/input1"},
		{"port that a terminal would obey", "", "\x1b[2J", "port:1050:0407:[2J"},
		{"nothing to tell it by", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			info := Info{VendorID: 0x1050, ProductID: 0x407, Serial: tc.serial}
			info.setStableID(tc.port)
			require.Equal(t, tc.want, info.StableID)
		})
	}
}
