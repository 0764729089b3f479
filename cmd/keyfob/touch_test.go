package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVirtualServeTouchedByHand(t *testing.T) {
	t.Parallel()
	hand, touch := io.Pipe()
	device, stderr, stop := startServingReading(t, hand, "--manual", "--verbose")
	stderr.waitFor(t, "each line of its input touches it")
	registered := make(chan result, 1)
	go func() {
		registered <- keyfob(t, "register", "--rp", "example.org", "--user", "alice", "--device", device)
	}()
	stderr.waitFor(t, "touch: makeCredential example.org\n")
	require.Empty(t, registered)
	_, err := touch.Write([]byte("\n"))
	require.NoError(t, err)
	r := <-registered
	r.requireOK(t)
	require.NoError(t, touch.Close())
	require.Equal(t, exitOK, stop().status)
}
