package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// startServing runs "virtual serve" until stop is called, which returns its result.
func startServing(t *testing.T, args ...string) (device string, stderr *console, stop func() result) {
	t.Helper()
	return startServingReading(t, nil, args...)
}

// startServingReading is startServing with a standard input.
func startServingReading(t *testing.T, stdin io.Reader, args ...string) (device string, stderr *console, stop func() result) {
	t.Helper()
	old, _ := plug(t, virtual.Config{}) // skips the test where there are no such sockets
	path := old[len("unix:"):] + "2"
	ctx, cancel := context.WithCancel(t.Context())
	sys, stderr := keys(), &console{}
	sys.stdin, sys.stderr = stdin, stderr
	ended := make(chan result, 1)
	go func() { ended <- keyfobOn(ctx, sys, append([]string{"virtual", "serve", "--unix", path}, args...)...) }()
	stderr.waitFor(t, "keyfob: the virtual key is ready at unix:"+path)
	return "unix:" + path, stderr, func() result {
		cancel()
		return <-ended
	}
}

func TestVirtualServe(t *testing.T) {
	t.Parallel()
	device, stderr, stop := startServing(t, "--verbose")
	register(t, device, "--resident")
	stderr.waitFor(t, "touch: makeCredential example.org\n") // of --verbose
	keyfob(t, "wink", "--device", device).requireOK(t)
	stderr.waitFor(t, "wink\n")
	require.Len(t, authenticate(t, device), 1)

	r := stop()
	require.Equal(t, exitOK, r.status)
	require.Empty(t, r.stdout)
	require.NoFileExists(t, device[len("unix:"):])
}

func TestVirtualServeKeepsItsState(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	device, _, stop := startServing(t, "--state", state)
	register(t, device, "--resident")
	require.Equal(t, exitOK, stop().status)
	device, _, stop = startServing(t, "--state", state)
	require.Len(t, authenticate(t, device), 1)
	require.Equal(t, exitOK, stop().status)
}

func TestVirtualServeRefuses(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	serve := []string{"virtual", "serve", "--unix"}
	keyfob(t, append(serve, device[len("unix:"):])...).requireFailure(t, exitError, "somebody serves it")
	keyfob(t, append(serve, t.TempDir()+"/missing/key")...).requireFailure(t, exitError, "no such file")

	corrupt := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(corrupt, []byte("{"), 0o600))
	keyfob(t, append(serve, t.TempDir()+"/k", "--state", corrupt)...).requireFailure(t, exitError, "--state")
}

func TestVirtualServeRefusesAStateThatIsInUse(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	device, _, stop := startServing(t, "--state", state)
	serve := []string{"virtual", "serve", "--unix", device[len("unix:"):] + "2", "--state", state}
	keyfob(t, serve...).requireFailure(t, exitError, "state file "+state+" is in use by another virtual key of this process")
	require.Equal(t, exitOK, stop().status)
}

func TestNewNodeIsTheOneThatWasNotThere(t *testing.T) {
	t.Parallel()
	before := []hid.Info{{Path: "/dev/hidraw0"}}
	now := []hid.Info{{Path: "/dev/hidraw0"}, {Path: "/dev/hidraw1"}}
	require.Equal(t, "/dev/hidraw1", newNode(before, func() ([]hid.Info, error) { return now, nil }))
	require.Equal(t, "a node of its own", newNode(now, func() ([]hid.Info, error) { return nil, fs.ErrPermission }))
}

// Who starts it with --json need not read what is meant for people.
func TestVirtualServeTellsItsDevice(t *testing.T) {
	t.Parallel()
	device, _, stop := startServing(t, "--json")
	r := stop()
	require.Equal(t, fmt.Sprintf(`{"device":%q}`+"\n", device), r.stdout)
	args := []string{"virtual", "serve", "--json"}
	require.NoError(t, readSchemas(t).hold(rootCommand(newInvocation(keys())), args, r.stdout))
}
