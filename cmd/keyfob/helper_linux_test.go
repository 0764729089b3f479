package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The terminal that the helper was started in is closed: it gets a hangup, and reads no more.
func TestHelperFreesTheKeyWhenItsTerminalIsClosed(t *testing.T) {
	t.Parallel()
	device, freed := heldKey(t)
	s := newScreen(t)
	cmd := s.command("helper", "--device", device)
	cmd.Stdout = s.theirs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	s.answer(`"hello"`, helperRequest+"\n")
	s.waitFor(t, `"event":"touch"`)
	require.NoError(t, s.theirs.Close())
	require.NoError(t, s.ours.Close())
	<-freed
	cmd.Wait()
	require.NotEqual(t, -1, cmd.ProcessState.ExitCode(), "killed before the key was told: %v", cmd.ProcessState)
}
