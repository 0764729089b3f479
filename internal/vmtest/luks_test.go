package vmtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLUKS boots the virtual machine with Debian's cryptsetup and systemd-cryptenroll, and our examples/luks. It has a
// subtest for each test of package guest whose name begins with TestLUKS.
func TestLUKS(t *testing.T) {
	cache := requireMachine(t)
	packages := filepath.Join(cache, "luks")
	if _, err := os.Stat(packages); err != nil {
		skipMachine(t, "cryptsetup is missing in "+cache+" (internal/vmtest/fetch.sh)")
	}
	m := newGuest(t, cache, "-test.run=^TestLUKS")
	require.NoError(t, m.index(packages))
	for _, name := range []string{"cryptsetup", "systemd-cryptenroll"} {
		require.NoError(t, m.program(m.path(name), "bin/"+name))
	}
	const plugin = "libcryptsetup-token-systemd-fido2.so" // by which cryptsetup opens such volumes itself
	require.NoError(t, m.program(m.path(plugin), "lib/x86_64-linux-gnu/cryptsetup/"+plugin))
	luks := filepath.Join(t.TempDir(), "luks")
	build(t, "linux", "build", "-o", luks, "./examples/luks")
	require.NoError(t, m.program(luks, "bin/luks"))
	runGuest(t, cache, m, "512")
}
