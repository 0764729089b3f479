package main

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// A wrong command line says what is wrong, shows the usage of the command that was meant, and does nothing.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	cases := []struct{ line, says, usage string }{
		{"", "a command is missing", "usage: keyfob COMMAND"},
		{"frobnicate", `unknown command "frobnicate"`, "usage: keyfob COMMAND"},
		{"lits", "list", "usage: keyfob COMMAND"},
		{"pin", "a command is missing", "usage: keyfob pin COMMAND"},
		{"pin frobnicate", `unknown command "frobnicate" for "keyfob pin"`, "usage: keyfob pin COMMAND"},
		{"virtual", "a command is missing", "usage: keyfob virtual COMMAND"},
		{"help frobnicate", `unknown command "frobnicate"`, "usage: keyfob"},
		{"help pin frobnicate", `unknown command "frobnicate" for "keyfob pin"`, "usage: keyfob"},
		{"list --device virtual", "unknown flag: --device", "usage: keyfob list"},
		{"list --color mauve", "not one of auto, always, never", "usage: keyfob list"},
		{"info extra", `unknown command "extra" for "keyfob info"`, "usage: keyfob info"},
		{"info --device=", "--device is empty", "usage: keyfob info"},
		{"reset --yes --device=", "--device is empty", "usage: keyfob reset"},
		{"pin set --pin-file=", "--pin-file is empty", "usage: keyfob pin set"},
		{"info --trace=", "--trace is empty", "usage: keyfob info"},
		{"helper --log=", "--log is empty", "usage: keyfob helper"},
		{"virtual serve --unix x --state=", "--state is empty", "usage: keyfob virtual serve"},
		{"info --timeout soon", "--timeout", "usage: keyfob info"},
		{"info --timeout -1s", "--timeout is negative", "usage: keyfob info"},
		{"info --trace-raw", "--trace FILE", "usage: keyfob info"},
		{"register --user alice", `"rp" not set`, "usage: keyfob register"},
		{"register --rp example.org", `"user" not set`, "usage: keyfob register"},
		{"register --rp= --user alice", "--rp is empty", "usage: keyfob register"},
		{"register --rp example.org --user \xff", "--user is not UTF-8", "usage: keyfob register"},
		{"passkeys rename AAAA --name \xff", "--name is not UTF-8", "usage: keyfob passkeys rename"},
		{"passkeys rename AAAA --display-name \xff", "--display-name is not UTF-8", "usage: keyfob passkeys rename"},
		{"authenticate --rp \xff", "--rp is not UTF-8", "usage: keyfob authenticate"},
		{"passkeys list --rp=", "--rp is empty", "usage: keyfob passkeys list"},
		{"pin min-length 6 --rp a --rp=", "--rp is empty", "usage: keyfob pin min-length"},
		{"pin min-length 6 --rp \xff", "--rp is not UTF-8", "usage: keyfob pin min-length"},
		{"register --rp example.org --user alice --alg md5", "--alg", "usage: keyfob register"},
		{"register --rp example.org --user alice --user-id !", "--user-id", "usage: keyfob register"},
		{"register --rp example.org --user alice --user-id " + strings.Repeat("AAAA", 22), "64", "usage: keyfob register"},
		{"register --rp example.org --user alice --exclude ä", "--exclude", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin 1234", "unknown flag: --pin", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-file f --pin-fd 3", "exclude each other", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-fd -3", "--pin-fd", "usage: keyfob register"},
		{"register --rp example.org --user alice --pin-fd 3x", "--pin-fd", "usage: keyfob register"},
		{"authenticate", `"rp" not set`, "usage: keyfob authenticate"},
		{"authenticate --rp example.org --salt AAAA", "--salt has 3 bytes", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --salt AAAA --salt AAAA --salt AAAA", "more than 2", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --public-key AAAA", "--public-key", "usage: keyfob authenticate"},
		{"authenticate --rp example.org --public-key !", "--public-key", "usage: keyfob authenticate"},
		{"ping --size 7610", "--size", "usage: keyfob ping"},
		{"ping --size -1", "--size", "usage: keyfob ping"},
		{"ping --count 0", "--count", "usage: keyfob ping"},
		{"virtual serve", "--unix PATH or --uhid", "usage: keyfob virtual serve"},
		{"virtual serve --unix x --uhid", "--unix PATH or --uhid", "usage: keyfob virtual serve"},
		{"install-tools", "accepts 1 arg(s), received 0", "usage: keyfob install-tools"},
	}
	for _, c := range cases {
		r := keyfob(t, strings.Fields(c.line)...)
		require.Equal(t, exitUsage, r.status, c.line)
		require.Empty(t, r.stdout, c.line)
		require.Contains(t, r.stderr, c.says, c.line)
		require.Contains(t, r.stderr, c.usage, c.line)
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"register -h", "register --help", "register --rp x -h", "help register"} {
		r := keyfob(t, strings.Fields(line)...).requireOK(t)
		require.Empty(t, r.stderr, line)
		require.Contains(t, r.stdout, "usage: keyfob register --rp ID --user NAME [flags]\n", line)
	}
	for _, line := range []string{"-h", "--help", "help"} {
		r := keyfob(t, line).requireOK(t)
		require.Empty(t, r.stderr, line)
		for _, c := range rootCommand(newInvocation(keys())).Commands() {
			require.Equal(t, !c.Hidden, strings.Contains(r.stdout, "\n  "+c.Name()+" "), line)
		}
	}
	for _, line := range []string{"pin -h", "help pin"} {
		r := keyfob(t, strings.Fields(line)...).requireOK(t)
		require.Contains(t, r.stdout, "  retries ", line)
		require.NotContains(t, r.stdout, "register", line)
	}
}

func TestUsageShowsEveryFlag(t *testing.T) {
	t.Parallel()
	require.Equal(t, `Send data to a key and back, and show how long that takes.

usage: keyfob ping [flags]

flags:
      --count N            do it N times (default 1)
      --device PATH        use the key at PATH: a node, unix:SOCKET, or virtual for the
                           built-in key
      --size N             send N bytes (default 57)
      --timeout DURATION   give up after DURATION; 0 means never (default 1m0s)
      --trace FILE         write what goes to the key and back to FILE, without what
                           identifies the user
      --trace-raw          write the trace with everything that the key sees

flags of every command:
      --color WHEN   use colours WHEN: auto (if it is a terminal, and NO_COLOR is not set),
                     always, never (default auto)
  -h, --help         show what the command does, and its flags
      --json         write the result as one line of JSON
`, keyfob(t, "help", "ping").requireOK(t).stdout)
}

// Flags may stand in front of the command.
func TestFlagsInFrontOfTheCommand(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	keyfob(t, "--device", device, "--json", "info").members(t)
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
