package main

import (
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

func TestQuickstartNeedsNoKey(t *testing.T) {
	t.Parallel()
	require.NoError(t, run(t.Context(), nil))
}

func TestQuickstartPassesOverKeysThatDoNotOpen(t *testing.T) {
	t.Parallel()
	missing := hid.Info{Path: t.TempDir() + "/hidraw0", Err: fs.ErrNotExist}
	require.NoError(t, run(t.Context(), []hid.Info{missing}))
}

// The example says what it does, and nothing but Go is needed to run it.
func TestQuickstartSaysThatTheKeyIsVirtual(t *testing.T) {
	t.Parallel()
	if keys, err := hid.List(); err == nil && len(keys) > 0 {
		t.Skip("there is a key, which would want to be touched")
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "virtual one")
	require.Contains(t, string(out), "Touch the key to register.")
	require.Equal(t, 1, strings.Count(string(out), "Registered: ES256 credential "))
	require.Contains(t, string(out), "Signed in, and verified: UP")
}
