package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// plugWithPIN serves a key with the PIN 1234.
func plugWithPIN(t *testing.T) (device string, key *virtual.Authenticator) {
	t.Helper()
	device, key = plug(t, virtual.Config{})
	keyfob(t, "pin", "set", "--device", device, "--pin-file", pinFile(t, "1234\n")).requireOK(t)
	return device, key
}

func requireRetries(t *testing.T, device string, left int, powerCycle bool) {
	t.Helper()
	members := keyfob(t, "pin", "retries", "--device", device, "--json").members(t)
	require.Equal(t, map[string]any{"pinRetries": float64(left), "powerCycleState": powerCycle}, members)
}

// The end of a line, and what comes after it, is no part of a PIN.
func TestPINFilesOfAllKinds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1234", "1234\n", "1234\r\n", "1234\nand more\n"} {
		device, _ := plug(t, virtual.Config{})
		r := keyfob(t, "pin", "set", "--device", device, "--pin-file", pinFile(t, text), "--json").requireOK(t)
		require.Equal(t, "{}\n", r.stdout)
		cred := register(t, device, "--uv", "--pin-file", pinFile(t, text))
		require.NotZero(t, ctap2.Flags(cred["flags"].(float64))&ctap2.FlagUV, text)
		list := authenticate(t, device, "--uv", "--pin-file", pinFile(t, "1234"),
			"--credential", cred["credentialId"].(string))
		require.NotZero(t, ctap2.Flags(list[0]["flags"].(float64))&ctap2.FlagUV)
	}
}

func TestPINChangeTakesTwoLines(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	change := []string{"pin", "change", "--device", device, "--pin-file"}
	require.Empty(t, keyfob(t, append(change, pinFile(t, "1234\r\n☃☃☃☃\r\n"))...).requireOK(t).stdout)
	register(t, device, "--uv", "--pin-file", pinFile(t, "☃☃☃☃"))
	keyfob(t, append(change, pinFile(t, "1234\n5678\n"))...).requireFailure(t, exitPINInvalid, "7 retries left")
	keyfob(t, append(change, pinFile(t, "1234\n"))...).requireFailure(t, exitError, "there is no line 2", "--pin-file")
	requireRetries(t, device, 7, false)
}

func TestPINIsSetOnceOnly(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	keyfob(t, "pin", "set", "--device", device, "--pin-file", pinFile(t, "5678")).
		requireFailure(t, exitError, "has a PIN already", `"keyfob pin change"`)
}

func TestPINChangeWithoutAPIN(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	keyfob(t, "pin", "change", "--device", device, "--pin-file", pinFile(t, "1234\n5678\n")).
		requireFailure(t, exitPINRequired, `"keyfob pin set"`)
	keyfob(t, "pin", "change", "--device", device).requireFailure(t, exitPINRequired, `"keyfob pin set"`)
}

func TestPINOfAKeyThatCannotHaveOne(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Preset20.Config())
	for _, command := range []string{"set", "change", "retries"} {
		keyfob(t, "pin", command, "--device", device).requireFailure(t, exitUnsupported, "it cannot have a PIN")
	}
}

func TestNobodyToAskForThePIN(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	for _, args := range [][]string{
		registering(device, "--uv"),
		{"authenticate", "--device", device, "--rp", "example.org", "--uv"},
		{"pin", "change", "--device", device},
	} {
		keyfob(t, args...).requireFailure(t, exitPINRequired, "--pin-file")
	}
	fresh, _ := plug(t, virtual.Config{})
	keyfob(t, "pin", "set", "--device", fresh).requireFailure(t, exitPINRequired, "--pin-file")
	keyfob(t, registering(fresh, "--uv", "--pin-file", "x")...).requireFailure(t, exitPINRequired, `"keyfob pin set"`)
	requireRetries(t, device, 8, false)
}

// The PIN of a file is offered once: a second time would cost another retry for nothing.
func TestWrongPINFromAFileCostsOneRetry(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	keyfob(t, registering(device, "--uv", "--pin-file", pinFile(t, "4321"))...).
		requireFailure(t, exitPINInvalid, "7 retries left", "hint: repeat")
	requireRetries(t, device, 7, false)
}

// What cannot be a PIN costs no retry.
func TestImpossiblePINFromAFile(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	for _, text := range []string{"123", strings.Repeat("x", 64), "\xff\xff\xff\xff", "\n"} {
		keyfob(t, registering(device, "--uv", "--pin-file", pinFile(t, text))...).requireFailure(t, exitPINInvalid)
	}
	requireRetries(t, device, 8, false)
	fresh, _ := plug(t, virtual.Config{})
	keyfob(t, "pin", "set", "--device", fresh, "--pin-file", pinFile(t, "123")).
		requireFailure(t, exitPINInvalid, "minPINLength")
}

func TestPINLockedAndBlocked(t *testing.T) {
	t.Parallel()
	device, key := plugWithPIN(t)
	wrong := registering(device, "--uv", "--pin-file", pinFile(t, "4321"))
	right := registering(device, "--uv", "--pin-file", pinFile(t, "1234"))
	for range 2 {
		keyfob(t, wrong...).requireFailure(t, exitPINInvalid)
	}
	keyfob(t, wrong...).requireFailure(t, exitPINLocked, "unplug the key")
	keyfob(t, right...).requireFailure(t, exitPINLocked, "unplug the key", "5 retries left")
	keyfob(t, "pin", "change", "--device", device).requireFailure(t, exitPINLocked, "unplug the key") // asks for nothing
	requireRetries(t, device, 5, true)
	for range 5 {
		key.PowerCycle()
		keyfob(t, wrong...)
	}
	key.PowerCycle()
	requireRetries(t, device, 0, false)
	keyfob(t, right...).requireFailure(t, exitPINLocked, `"keyfob reset"`)
	keyfob(t, "pin", "change", "--device", device, "--pin-file", pinFile(t, "1234\n5678\n")).
		requireFailure(t, exitPINLocked, `"keyfob reset"`)

	keyfob(t, "reset", "--device", device, "--yes").requireOK(t)
	requireRetries(t, device, 8, false)
}

func TestPINFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	missing, endless := t.TempDir()+"/missing", pinFile(t, strings.Repeat("1", 2000))
	for _, path := range []string{t.TempDir(), missing, endless, pinFile(t, "")} {
		keyfob(t, registering(device, "--uv", "--pin-file", path)...).requireFailure(t, exitError, "cannot read the PIN")
	}
	requireRetries(t, device, 8, false)
}

func TestResetWantsAConfirmation(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	keyfob(t, "reset", "--device", device).requireFailure(t, exitUsage, "--yes", "usage: keyfob reset")
	requireRetries(t, device, 8, false)
	keyfob(t, registering(device, "--uv", "--pin-file", pinFile(t, "1234"))...).requireOK(t)

	r := keyfob(t, "reset", "--device", device, "--yes").requireOK(t)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "Touch "+device+" to reset\n")
	keyfob(t, registering(device, "--uv", "--pin-file", pinFile(t, "1234"))...).requireFailure(t, exitPINRequired)
}

func TestResetTooLate(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{UserPresence: func(context.Context, virtual.Prompt) error {
		return ctap2.ErrNotAllowed
	}})
	keyfob(t, "reset", "--device", device, "--yes").requireFailure(t, exitError, "within ten seconds")
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	r := strings.NewReader("a\nb\r\n\n\rc")
	for _, want := range []string{"a", "b", "", "\rc"} {
		line, err := readLine(r)
		require.NoError(t, err)
		require.Equal(t, want, string(line))
	}
	_, err := readLine(r)
	require.Error(t, err)
}

func TestReadHiddenEdits(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"1234\r":               "1234",
		"1234\n":               "1234",
		"12\x7f34\r":           "134",
		"1ä\b4\r":              "14", // a character is one or more bytes
		"\b\b1\r":              "1",
		"wrong\x15right\rmore": "right",
	} {
		line, err := readHidden(strings.NewReader(typed))
		require.NoError(t, err)
		require.Equal(t, want, string(line), "%q", typed)
	}
	_, err := readHidden(strings.NewReader("12\x03"))
	require.Equal(t, exitCancelled, adviceOn(err).status)
	_, err = readHidden(strings.NewReader("12\x04"))
	require.ErrorIs(t, err, io.EOF)
	_, err = readHidden(strings.NewReader(strings.Repeat("x", maxLine)))
	require.ErrorIs(t, err, errLongLine)
}

func FuzzReadHidden(f *testing.F) {
	for _, seed := range []string{"1234\r", "ä\b\r", "\x15\r", "\x7f", "\x03", strings.Repeat("x", maxLine)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, err := readHidden(bytes.NewReader(b))
		if err != nil {
			require.Nil(t, line)
			return
		}
		require.False(t, bytes.ContainsAny(line, "\r\n\b\x03\x04\x15\x7f"))
		again, err := readHidden(bytes.NewReader(append(line, '\r')))
		require.NoError(t, err)
		require.Equal(t, line, again)
	})
}

func FuzzReadLine(f *testing.F) {
	for _, seed := range []string{"", "\n", "1234", "1234\r\n", "\r\r\n", strings.Repeat("x", maxLine)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		line, err := readLine(r)
		if err != nil {
			require.Nil(t, line)
			return
		}
		require.NotContains(t, string(line), "\n")
		require.True(t, bytes.HasPrefix(b, line))
		read := b[:len(b)-r.Len()]
		require.Equal(t, string(line), string(bytes.TrimSuffix(bytes.TrimSuffix(read, []byte("\n")), []byte("\r"))))
	})
}
