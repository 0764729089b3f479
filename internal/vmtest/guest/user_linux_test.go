package guest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// TestKeyfobAmongSeveralKeys has two keys and a keyboard plugged in, and a user who may use one of the keys. Root touches
// the other one.
func TestKeyfobAmongSeveralKeys(t *testing.T) {
	open := attachSoftKey(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}})
	closed := attachSoftKey(t, virtual.Config{})
	attachKeyboard(t)
	require.NoError(t, os.Chmod(open.Path, 0o666))

	result := runAsUser(t, "keyfob", "list", "--json")
	require.Zero(t, result.status, result.stderr)
	type listed struct {
		Path, Product string
		Error         *string
	}
	var keys []listed
	require.NoError(t, json.Unmarshal([]byte(result.stdout), &keys))
	require.Len(t, keys, 2)
	require.Equal(t, listed{open.Path, "Soft key", nil}, keys[0])
	require.Equal(t, closed.Path, keys[1].Path)
	require.NotNil(t, keys[1].Error)
	require.Contains(t, *keys[1].Error, closed.Path)

	result = runTool(t, "", "keyfob", "register", "--rp", rpID, "--user", "Ada")
	require.Zero(t, result.status, result.stderr)
	require.Contains(t, result.stderr, "Touch the security key to use\n")
	require.Contains(t, result.stderr, "("+closed.Path+") to register\n")

	result = runAsUser(t, "keyfob", "info")
	require.Zero(t, result.status, "there is but one to choose: %s", result.stderr)
	require.Contains(t, result.stderr, closed.Path+") cannot be used: ")
}

// TestKeyfobWithoutPermission has a user who may not use the only key.
func TestKeyfobWithoutPermission(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	for _, args := range [][]string{{"info"}, {"info", "--device", key.Path}} {
		result := runAsUser(t, "keyfob", args...)
		t.Log(result.stderr)
		require.Equal(t, exitPermission, result.status)
		require.Empty(t, result.stdout)
		require.Contains(t, result.stderr, key.Path)
		require.Contains(t, result.stderr, "udev's rules", "what to do")
	}
	require.NoError(t, os.Chmod(key.Path, 0o666))
	require.Zero(t, runAsUser(t, "keyfob", "info").status)
}

// runAsUser runs a program of the guest without root's rights.
func runAsUser(t *testing.T, name string, args ...string) toolResult {
	t.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	return run(t, c)
}
