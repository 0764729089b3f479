package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhichFIDO2Tool(t *testing.T) {
	t.Parallel()
	cases := []struct {
		argv []string
		name string
		args []string
	}{
		{[]string{"/usr/local/bin/fido2-token", "-L"}, "fido2-token", []string{"-L"}},
		{[]string{"fido2-cred.exe"}, "fido2-cred", []string{}},
		{[]string{"fido2-assert", "fido2-cred"}, "fido2-assert", []string{"fido2-cred"}},
		{[]string{"keyfob", "fido2-assert", "-G", "x"}, "fido2-assert", []string{"-G", "x"}},
		{[]string{"keyfob", "list", "fido2-token"}, "", nil},
		{[]string{"keyfob"}, "", nil},
		{nil, "", nil},
	}
	for _, c := range cases {
		name, args, ok := fido2Tool(c.argv)
		require.Equal(t, c.name, name, "%q", c.argv)
		require.Equal(t, c.args, args, "%q", c.argv)
		require.Equal(t, name != "", ok)
	}
}

func TestInstallTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyfob(t, "install-tools", dir).requireOK(t)
	program, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"fido2-token", "fido2-cred", "fido2-assert"} {
		target, err := os.Readlink(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, program, target)
	}
	keyfob(t, "install-tools", dir).requireOK(t)
	keyfob(t, "install-tools").requireFailure(t, exitUsage, "accepts 1 arg(s)")
}

// Nobody's tools are replaced, and a folder gets all links or none.
func TestInstallToolsLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "fido2-assert")
	require.NoError(t, os.WriteFile(other, []byte("theirs"), 0o755))
	keyfob(t, "install-tools", dir).requireFailure(t, exitError, other+" exists", "hint: remove it first")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
