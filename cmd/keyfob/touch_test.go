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
	register := []string{"register", "--rp", "example.org", "--user", "alice", "--device", device}
	keyfob(t, append(register, "--timeout", "1s")...).requireFailure(t, exitTimeout)
	stderr.waitFor(t, "touch: makeCredential example.org\n")

	registered := make(chan result, 1)
	go func() { registered <- keyfob(t, register...) }()
	stderr.waitFor(t, "touch: makeCredential example.org\n")
	_, err := touch.Write([]byte("\n"))
	require.NoError(t, err)
	r := <-registered
	r.requireOK(t)
	require.NoError(t, touch.Close())
	require.Equal(t, exitOK, stop().status)
}
