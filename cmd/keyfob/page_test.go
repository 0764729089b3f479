package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// requireScreen compares text with a file in testdata/screens, which go test -update writes.
func requireScreen(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "screens", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

// requireNarrow checks that no line is too wide for a terminal.
func requireNarrow(t *testing.T, width int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.Less(t, columns(strings.TrimSuffix(line, "\n")), width, line)
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	list := keyTable([]hid.Info{
		{Path: "/dev/hidraw0", Bus: hid.BusUSB, VendorID: 0x1050, ProductID: 0x407, Manufacturer: "Yubico",
			Product: "YubiKey OTP+FIDO+CCID"},
		{Path: "/dev/hidraw12", Bus: hid.BusUSB, VendorID: 0x311f, ProductID: 0x4c2a, Manufacturer: "飛天", Product: "é́ 安全鑰匙"},
	})
	locked := keyTable(twoKeys)
	for name, c := range map[string]struct {
		table
		width int
	}{
		"list-120.txt":   {list, 120},
		"list-80.txt":    {list, 80},
		"list-40.txt":    {list, 40},
		"locked-120.txt": {locked, 120},
		"locked-80.txt":  {locked, 80},
	} {
		var b strings.Builder
		c.table.text(&page{Writer: &b, width: c.width})
		if c.width > 80 || len(c.table.columns) == 4 { // an error is never cut
			requireNarrow(t, c.width, b.String())
		}
		requireScreen(t, name, b.String())
	}
}

// What does not fit in any way comes a line for each thing, uncut.
func TestTablesThatCannotFitAreBlocks(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	keyTable(twoKeys).text(&page{Writer: &b, width: 30})
	require.Equal(t, `PATH: /dev/hidraw0
ID: 1050:0407
BUS: usb
NAME: Yubico YubiKey

PATH: /dev/hidraw12
ID: 0000:0000
BUS: virtual
NAME: -
ERROR: hid: open /dev/hidraw12: permission denied: call root
`, b.String())
	b.Reset()
	table{columns: list3()}.text(&page{Writer: &b, width: 30})
	require.Empty(t, b.String(), "not even a head")
}

func list3() []column { return []column{member("A", "a"), member("B", "b"), member("C", "c")} }

func TestRecordsFitTheTerminal(t *testing.T) {
	t.Parallel()
	r := infoRecord(&ctap2.Info{
		Versions:   []string{"U2F_V2", "FIDO_2_0", "FIDO_2_1", "FIDO_2_3"},
		Extensions: []string{"credProtect", "hmac-secret", "hmac-secret-mc", "credBlob", "largeBlobKey", "minPinLength"},
		Options:    map[string]bool{"alwaysUv": true, "clientPin": false, "credMgmt": true, "makeCredUvNotRqd": true},
	})
	for name, width := range map[string]int{"info-80.txt": 80, "info-40.txt": 40} {
		var b strings.Builder
		r.text(&page{Writer: &b, width: width})
		requireNarrow(t, width, b.String())
		requireScreen(t, name, b.String())
	}
}

// What is to be copied is never broken.
func TestLongValuesStayWhole(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	record{{"credentialId", binary(make([]byte, 64))}}.text(&page{Writer: &b, width: 40})
	require.Equal(t, "credentialId: "+strings.Repeat("A", 86)+"\n", b.String())
}

func TestColumns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "鑰匙": 4, "ｆ": 2, "☃": 1} {
		require.Equal(t, want, columns(text), "%q", text)
	}
	require.Equal(t, "abc", cut("abc", 3))
	require.Equal(t, "ab…", cut("abcd", 3))
	require.Equal(t, "鑰…", cut("鑰匙", 3))
	require.Equal(t, "…", cut("鑰匙", 2), "half a character is none")
	require.Equal(t, "", cut("abc", 0))
	require.Equal(t, "", cut("abc", -1))
}

func FuzzCut(f *testing.F) {
	for _, seed := range []string{"", "abc", "鑰匙", "e\u0301e\u0301", "\xff\xff"} {
		f.Add(seed, 2)
	}
	f.Fuzz(func(t *testing.T, text string, room int) {
		text = printable(text)
		short := cut(text, room)
		require.True(t, utf8.ValidString(short))
		require.LessOrEqual(t, columns(short), max(room, 0))
		require.True(t, short == text || short == "" || strings.HasPrefix(text, strings.TrimSuffix(short, "…")))
	})
}
