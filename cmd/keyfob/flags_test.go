package main

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// A wrong command line says what is wrong, shows the usage of the command that was meant, and does nothing.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	cases := []struct{ line, says, usage string }{
		{"", "", "usage: keyfob COMMAND"},
		{"frobnicate", `no command "frobnicate"`, "usage: keyfob COMMAND"},
		{"pin", "", "pin change"},
		{"pin frobnicate", "", "pin change"},
		{"virtual", "", "virtual serve"},
		{"help frobnicate", `no command "frobnicate"`, "usage: keyfob COMMAND"},
		{"list --device virtual", "not defined: -device", "usage: keyfob list"},
		{"info extra", `unexpected argument "extra"`, "usage: keyfob info"},
		{"info --timeout soon", "-timeout", "usage: keyfob info"},
		{"info --timeout -1s", "--timeout is negative", "usage: keyfob info"},
		{"info --trace-raw", "--trace FILE", "usage: keyfob info"},
		{"register --user alice", "--rp is missing", "usage: keyfob register"},
		{"register --rp example.org", "--user is missing", "usage: keyfob register"},
		{"register --rp example.org --user alice --alg md5", "-alg", "usage: keyfob register"},
		{"register --rp example.org --user alice --user-id !", "-user-id", "usage: keyfob register"},
		{"register --rp example.org --user alice --user-id " + strings.Repeat("AAAA", 22), "64", "usage: keyfob register"},
		{"register --rp example.org --user alice --exclude ä", "-exclude", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin 1234", "not defined: -pin", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-file f --pin-fd 3", "exclude each other", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-fd -3", "-pin-fd", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-fd 3x", "-pin-fd", "usage: keyfob register"},
		{"authenticate", "--rp is missing", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --salt AAAA", "--salt has 3 bytes", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --salt AAAA --salt AAAA --salt AAAA", "more than 2", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --public-key AAAA", "-public-key", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --public-key !", "-public-key", "usage: keyfob authenticate"},
		{"ping --size 7610", "--size", "usage: keyfob ping"},
		{"ping --size -1", "--size", "usage: keyfob ping"},
		{"ping --count 0", "--count", "usage: keyfob ping"},
		{"virtual serve", "--unix PATH or --uhid", "usage: keyfob virtual serve"},
		{"virtual serve --unix x --uhid", "--unix PATH or --uhid", "usage: keyfob virtual serve"},
	}
	for _, c := range cases {
		r := keyfob(t, strings.Fields(c.line)...)
		require.Equal(t, exitUsage, r.status, c.line)
		require.Empty(t, r.stdout, c.line)
		require.Contains(t, r.stderr, c.says, c.line)
		require.Contains(t, r.stderr, c.usage, c.line)
	}
}

func TestSeveralKeysAndNoDevice(t *testing.T) {
	t.Parallel()
	sys := keys(hid.Info{Path: "/dev/hidraw0", Product: "One"}, hid.Info{Path: "/dev/hidraw7", Product: "Two"})
	keyfobOn(t.Context(), sys, "info").
		requireFailure(t, exitUsage, "One (/dev/hidraw0), Two (/dev/hidraw7)", "--device PATH")
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"register -h", "register --help", "register --rp x -h", "help register", "help -h register",
	} {
		r := keyfob(t, strings.Fields(line)...).requireOK(t)
		require.Empty(t, r.stderr, line)
		require.Contains(t, r.stdout, "usage: keyfob register --rp ID --user NAME [flags]\n", line)
	}
	for _, line := range []string{"-h", "--help", "help", "-help"} {
		r := keyfob(t, line).requireOK(t)
		require.Empty(t, r.stderr, line)
		for _, c := range commands() {
			require.Contains(t, r.stdout, "\n  "+c.name+" ", line)
		}
	}
	for _, line := range []string{"pin -h", "help pin"} {
		r := keyfob(t, strings.Fields(line)...).requireOK(t)
		require.Contains(t, r.stdout, "pin retries", line)
		require.NotContains(t, r.stdout, "register", line)
	}
}

func TestUsageShowsEveryFlag(t *testing.T) {
	t.Parallel()
	require.Equal(t, `usage: keyfob ping [flags]

Send data to a key and back, and show how long that takes.

  --count N           do it N times (default 1)
  --device PATH       use the key at PATH: a node, unix:SOCKET, or virtual for the built-in key
  --json              write the result as one line of JSON
  --size N            send N bytes (default 57)
  --timeout DURATION  give up after DURATION; 0 means never (default 1m0s)
  --trace FILE        write what goes to the key and back to FILE, without what identifies the user
  --trace-raw         write the trace with everything that the key sees
`, keyfob(t, "help", "ping").requireOK(t).stdout)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Contains(t, keyfob(t, "version", "--json").members(t), "version")
}

func TestDecodeBase64TakesBothAlphabets(t *testing.T) {
	t.Parallel()
	want := []byte{0xfb, 0xff, 0xfe, 0xfb}
	for _, text := range []string{"-__--w", "-__--w==", "+//++w", "+//++w=="} {
		b, err := decodeBase64(text)
		require.NoError(t, err, text)
		require.Equal(t, want, b, text)
	}
	for _, text := range []string{"", "=", "A", "A=AA", "AA AA", "AA.A"} {
		_, err := decodeBase64(text)
		require.Error(t, err, text)
	}
}

func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"", "-__--w", "+//++w==", "A", "\n", "AA\nAA", "===="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := decodeBase64(s)
		if err != nil {
			require.Empty(t, b)
			return
		}
		require.NotEmpty(t, b)
		for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding} {
			again, err := decodeBase64(e.EncodeToString(b))
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
	})
}
