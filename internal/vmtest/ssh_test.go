package vmtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSSH boots the virtual machine with Debian's ssh-keygen, its helper for security keys, and examples/ssh. It has a
// subtest for each test of package guest whose name begins with TestSSH; what is selected with -run TestSSH/Name is all
// that runs in the guest.
func TestSSH(t *testing.T) {
	cache := requireMachine(t)
	packages := filepath.Join(cache, "openssh")
	if _, err := os.Stat(packages); err != nil {
		skipMachine(t, "OpenSSH is missing in "+cache+" (internal/vmtest/fetch.sh)")
	}
	m := newGuest(t, cache, "-test.run=^TestSSH")
	require.NoError(t, m.index(packages))
	for _, name := range []string{"ssh-keygen", "ssh-sk-helper"} {
		require.NoError(t, m.program(m.path(name), "bin/"+name))
	}
	m.file("etc/passwd", 0o644, []byte("root:x:0:0::/tmp:/bin/false\n")) // or ssh-keygen would not know who it is

	example := filepath.Join(t.TempDir(), "example")
	buildIn(t, filepath.Join(moduleRoot, "examples", "ssh"), "linux", "build", "-o", example, ".")
	require.NoError(t, m.program(example, "bin/example-ssh"))
	runGuest(t, cache, m, "512")
}
