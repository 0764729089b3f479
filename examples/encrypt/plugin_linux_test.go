package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// socketVariable names the socket of the one key that is plugged in when age runs this program as its plugin.
const socketVariable = "ENCRYPT_TEST_SOCKET"

func TestMain(m *testing.M) {
	socket := os.Getenv(socketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	watch := func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
		events := make(chan hid.Event)
		go func() {
			<-ctx.Done()
			close(events)
		}()
		return []hid.Info{{Path: "unix:" + socket}}, events, nil
	}
	os.Exit(servePlugin(context.Background(), &authenticator.Client{Watch: watch}))
}

// TestAgeUsesThePlugin has the age command encrypt and decrypt.
func TestAgeUsesThePlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "filippo.io/age/cmd/age").CombinedOutput()
	require.NoError(t, err, "%s", out)
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "age-plugin-fido2-hmac")))
	f := &finger{touches: make(chan struct{}, 1)}
	key := newKey(t, virtual.Config{UserPresence: f.touch})
	serve(t, key, filepath.Join(dir, "key"))
	d := newDesk(key)
	d.UI.Notify = func(e authenticator.Event) {
		if e.Kind == authenticator.EventTouch {
			f.touches <- struct{}{}
		}
	}
	name := strings.TrimSpace(call(t, d, "", "new"))

	file := f.age(t, dir, "a secret", "-r", name)
	require.Equal(t, "a secret", f.age(t, dir, file, "-d", "-j", "fido2-hmac"))
	legacy := filepath.Join(dir, "identity")
	require.NoError(t, os.WriteFile(legacy, []byte("AGE-PLUGIN-FIDO2-HMAC-1VE5KGMEJ945X6CTRM2TF76\n"), 0o600))
	require.Equal(t, "a secret", f.age(t, dir, file, "-d", "-i", legacy))
	require.Equal(t, "another", f.age(t, dir, call(t, newDesk(), "another", "to", name), "-d", "-j", "fido2-hmac"))

	other := newKey(t, virtual.Config{})
	file = f.age(t, dir, "a third", "-r", name, "-r", enrolled(t, other))
	require.Equal(t, "a third", call(t, newDesk(other), file, "open"))
}

// serve offers a key on a socket until the test ends.
func serve(t *testing.T, key *virtual.Authenticator, socket string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	served := make(chan error, 1)
	go func() { served <- key.ServeUnix(ctx, socket, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		<-served
	})
	select {
	case <-ready:
	case err := <-served:
		require.NoError(t, err)
	}
}

// finger touches a key when its user is told to, not before.
type finger struct{ touches chan struct{} }

func (f *finger) touch(ctx context.Context, _ virtual.Prompt) error {
	select {
	case <-f.touches:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Write takes what age says.
func (f *finger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("fido2-hmac plugin: touch unix:")) {
		f.touches <- struct{}{}
	}
	return len(p), nil
}

// age runs age, which finds its plugin and its plugin's key in the folder.
func (f *finger) age(t *testing.T, dir, in string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(dir, "age"), args...)
	c.Env = append(os.Environ(), "PATH="+dir, socketVariable+"="+filepath.Join(dir, "key"))
	c.Stdin = strings.NewReader(in)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, io.MultiWriter(&stderr, f)
	require.NoError(t, c.Run(), "%s", &stderr)
	return stdout.String()
}
