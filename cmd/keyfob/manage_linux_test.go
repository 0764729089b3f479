package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestEnrollingOnTheTerminal(t *testing.T) {
	t.Parallel()
	samples := []virtual.Sample{
		{Finger: "thumb"}, {Status: ctap2.SampleTooFast}, {Finger: "thumb"}, {Status: ctap2.SampleTooLeft}, {Finger: "thumb"},
	}
	flags := plugManaged(t, virtual.Config{EnrollSamples: 3, Finger: func(context.Context, virtual.Prompt) (virtual.Sample, error) {
		next := samples[0]
		samples = samples[1:]
		return next, nil
	}})
	device := flags[1]
	s := newScreen(t)
	wait := s.start("fingerprints", "enroll", "--name", "left thumb", "--json", "--device", device)
	s.answer("PIN of "+device+" (8 retries left): ", "1234\r")
	s.waitFor(t, "Lay the same finger on the sensor, a little differently each time, until the key\r\nhas 3 good samples.\r\n")
	s.waitFor(t, "Touch "+device[:10])
	s.waitFor(t, "[######             ] 1 of 3")
	s.waitFor(t, "That one does not count: too fast.\r\n")
	s.waitFor(t, "[############       ] 2 of 3")
	s.waitFor(t, "That one does not count: too far left.\r\n")
	status, stdout := wait()
	require.Equal(t, exitOK, status)
	require.Equal(t, "left thumb", decodeObject(t, stdout)["name"])
}

func TestDeletingIsConfirmedOnTheTerminal(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.Config{})
	device := flags[1]
	alice := addPasskey(t, flags, "example.org", "alice")
	bob := addPasskey(t, flags, "example.com", "bob")
	s := newScreen(t)
	delete := func(answer string, ids ...string) int {
		wait := s.start(slices.Concat([]string{"passkeys", "delete"}, ids, flags)...)
		if len(ids) == 1 {
			s.waitFor(t, `This deletes the passkey of "alice" at example.org (`+alice[:8]+`) from`+"\r\n"+device+", for ever.\r\n")
		} else {
			s.waitFor(t, "This deletes 2 passkeys from "+device+", for ever:\r\n")
			s.waitFor(t, `  "bob" at example.com (`+bob[:8]+")\r\n")
			s.waitFor(t, `  "alice" at example.org (`+alice[:8]+")\r\n")
		}
		s.answer("Who has no other way to sign in there is locked out. Type yes to go on: ", answer)
		status, stdout := wait()
		require.Empty(t, stdout)
		return status
	}
	require.Equal(t, exitCancelled, delete("no\r", alice[:10]))
	s.waitFor(t, "nothing was deleted")
	require.Equal(t, exitCancelled, delete("y\r", bob, alice))
	require.Equal(t, 2.0, managed(t, flags, "passkeys", "list", "--json").members(t)["existing"])
	require.Equal(t, exitOK, delete("yes\r", bob, alice[:10]))
	s.waitFor(t, `Deleted "bob" at example.com (`+bob[:8]+").\r\n"+`Deleted "alice" at example.org (`+alice[:8]+").\r\n")
	require.Equal(t, 0.0, managed(t, flags, "passkeys", "list", "--json").members(t)["existing"])
}

func TestRemovingAFingerIsConfirmedOnTheTerminal(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.PresetBiometric.Config())
	id := managed(t, flags, "fingerprints", "enroll", "--name", "thumb", "--json").members(t)["templateId"].(string)
	s := newScreen(t)
	wait := s.start(append([]string{"fingerprints", "remove", id}, flags...)...)
	s.waitFor(t, `This makes `+flags[1]+` forget the finger "thumb" (`+id+").\r\n")
	s.answer("It is the only one: the key will want its PIN instead. Type yes to go on: ", "yes\r")
	s.waitFor(t, "The finger is forgotten.")
	status, _ := wait()
	require.Equal(t, exitOK, status)
}

// A table on a terminal says once whose the passkeys are, and a bar how many are read.
func TestPasskeysOnTheTerminal(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.Config{})
	alice := addPasskey(t, flags, "example.org", "alice")
	bob := addPasskey(t, flags, "example.org", "bob")
	s := newScreen(t)
	cmd := s.command(append([]string{"passkeys", "list", "--color", "never"}, flags...)...)
	cmd.Stdout = s.theirs
	require.NoError(t, cmd.Run())
	s.waitFor(t, "[#########          ] 1 of 2")
	s.waitFor(t, "2 passkeys; the key has room for 98 more\r\n")
	first, second := alice[:8]+"  alice  alice", bob[:8]+"  bob    bob"
	if !strings.Contains(s.all.String(), "example.org  "+first) {
		first, second = second, first
	}
	s.waitFor(t, "SITE         ID        USER   NAME\r\n"+"example.org  "+first+"\r\n"+"             "+second+"\r\n")
}

// A terminal would obey what is in a blob.
func TestBlobsGetOnTheTerminal(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.Config{})
	id := addPasskey(t, flags, "example.org", "alice", "--large-blob")
	s := newScreen(t)
	get := func(blob string, more ...string) {
		managed(t, flags, "blobs", "set", id, file(t, []byte(blob))).requireOK(t)
		cmd := s.command(slices.Concat([]string{"blobs", "get", id}, more, flags)...)
		cmd.Stdout = s.theirs
		cmd.Run()
	}
	get("some text\n")
	s.waitFor(t, "some text\r\n")
	get("\x1b[31mred")
	s.waitFor(t, "the large blob is no text that a terminal can show\r\n")
	s.waitFor(t, " use -o FILE, or --json")
	get("\x1b[31mred", "--json")
	s.waitFor(t, `"blob":"G1szMW1yZWQ"`)
	require.NotContains(t, s.all.String(), "\x1b[31mred")

	saved := t.TempDir() + "/blob"
	get("\x1b[31mred", "-o", saved)
	contents, err := os.ReadFile(saved)
	require.NoError(t, err)
	require.Equal(t, "\x1b[31mred", string(contents))
}
