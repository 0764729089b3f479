package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The client in JavaScript has tests of its own, which use this program and its virtual key.
func TestJavaScriptClient(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("the tests of examples/helper-js need Node.js 18.15 or later: apt-get install nodejs")
	}
	folder := filepath.Join("..", "..", "examples", "helper-js")
	dependOn(t, folder)
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=tap")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), asKeyfob+"=1", "KEYFOB="+absolute(t, os.Args[0]))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "# fail 0")
	require.NotContains(t, string(out), "# pass 0")
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// dependOn reads the files of a folder, so that go test knows that its result depends on them.
func dependOn(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.js"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		_, err := os.ReadFile(file)
		require.NoError(t, err)
	}
}
