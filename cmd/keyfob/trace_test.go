package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// readTrace returns a trace as text and as the messages in it.
func readTrace(t *testing.T, path string) (text string, all []ctaphid.Message) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	transcript, err := ctaphid.ReadTranscript(bytes.NewReader(b))
	require.NoError(t, err)
	return string(b), transcript.Messages()
}

// says reports whether a message of the trace holds the text.
func says(all []ctaphid.Message, text string) bool {
	for _, m := range all {
		if bytes.Contains(m.Data, []byte(text)) {
			return true
		}
	}
	return false
}

func commandsIn(all []ctaphid.Message) (list []ctap2.Command) {
	for _, m := range all {
		if m.Command == ctaphid.CommandCBOR && !m.FromDevice {
			list = append(list, ctap2.Command(m.Data[0]))
		}
	}
	return list
}

func TestTraceForEverybody(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	path := filepath.Join(t.TempDir(), "trace")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("the trace of last week, which was longer\n"), 1000), 0o644))
	register := []string{"register", "--rp", "example.org", "--user", "alice", "--device", device, "--trace", path}
	r := keyfob(t, register...).requireOK(t)
	require.Equal(t, "Touch "+device+" to register\n", r.stderr, "the name of the key, as without a trace")
	requireMode(t, path, 0o600)
	text, all := readTrace(t, path)
	require.Regexp(t, "^# keyfob [^\n]*, without what identifies the user\n# unix 0000:0000\nctaphid transcript 1", text)
	require.Regexp(t, `\n\d+\.\d+ close\n$`, text)
	require.Equal(t, []ctap2.Command{ctap2.CommandGetInfo, ctap2.CommandMakeCredential}, commandsIn(all))
	require.True(t, says(all, "public-key"))
	require.False(t, says(all, "example.org") || says(all, "alice"))

	keyfob(t, append(register, "--trace-raw")...).requireOK(t)
	text, all = readTrace(t, path)
	require.Contains(t, text, "keep it to yourself")
	require.True(t, says(all, "example.org") && says(all, "alice"))
}

func TestTraceOfTheVirtualKey(t *testing.T) {
	t.Setenv("KEYFOB_VIRTUAL_STATE", filepath.Join(t.TempDir(), "key"))
	path := filepath.Join(t.TempDir(), "trace")
	keyfob(t, "ping", "--device", "virtual", "--trace", path, "--count", "2").requireOK(t)
	text, all := readTrace(t, path)
	require.Contains(t, text, "\n# the virtual key\n")
	require.Equal(t, ctaphid.CommandPing, all[len(all)-1].Command)
}

func TestTraceThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	keyfob(t, "info", "--device", device, "--trace", t.TempDir()).requireFailure(t, exitError, "check --trace")
	nowhere := filepath.Join(t.TempDir(), "no", "trace")
	keyfob(t, "info", "--device", device, "--trace", nowhere).requireFailure(t, exitError, "check --trace")
	keyfob(t, "info", "--device", "unix:"+nowhere, "--trace", nowhere).requireFailure(t, exitNoDevice)
	if _, err := os.Stat("/dev/full"); err == nil {
		keyfob(t, "info", "--device", device, "--trace", "/dev/full").requireFailure(t, exitError, "no space left")
	}
}

// closing is a device that notes that it was closed.
type closing struct {
	device
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestNothingStaysOpenWithoutTrace(t *testing.T) {
	t.Parallel()
	dev := &closing{}
	inv := &invocation{settings: settings{trace: t.TempDir()}}
	_, err := inv.traced(dev)
	require.Error(t, err)
	require.True(t, dev.closed)
}

// The device does not suffer if the disk is full, and the user is told once.
func TestTraceThatIsNotComplete(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "trace"))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	defer key.Close()
	var stderr console
	channel, err := ctaphid.Open(t.Context(), ctaphid.Record(key.Device(), traceWriter{file, &stderr}, nil))
	require.NoError(t, err)
	require.NoError(t, channel.Ping(t.Context(), []byte("x")))
	require.Error(t, channel.Close())
	require.Regexp(t, "^keyfob: the trace is not complete: [^\n]*\n$", stderr.String())
}

func TestModelTellsNoSerialNumber(t *testing.T) {
	t.Parallel()
	key := twoKeys[0]
	key.Serial = "4711"
	require.Equal(t, "usb 1050:0407 Yubico YubiKey", model(key))
	require.Equal(t, "the virtual key", model(hid.Info{}))
}
