//go:build man

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyfob(t, "man", dir).requireOK(t)
	page, err := os.ReadFile(filepath.Join(dir, "keyfob-pin-set.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), "Set the first PIN of a key.")
	require.Contains(t, string(page), "--pin-file")
	require.NoFileExists(t, filepath.Join(dir, "keyfob-man.1"))
	page, err = os.ReadFile(filepath.Join(dir, "keyfob.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), "10  the key holds no matching credential")
}
