package vmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHIDAPI boots the virtual machine for those tests of package guest that are about package hidapi, and so need cgo. It
// has a subtest for each; what is selected with -run TestHIDAPI/Name is all that runs in the guest.
func TestHIDAPI(t *testing.T) {
	cache := requireMachine(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		skipMachine(t, "a C compiler is missing (apt-get install gcc libc6-dev libudev-dev)")
	}
	if _, err := os.Stat("/usr/include/libudev.h"); err != nil {
		skipMachine(t, "libudev.h is missing (apt-get install libudev-dev)")
	}
	dependOnSources(t)
	m, err := newImage(filepath.Join(cache, "debian"), testArguments("-test.run=^TestHIDAPI"))
	require.NoError(t, err)
	dir := t.TempDir()
	guest, initPath := filepath.Join(dir, "guest.test"), filepath.Join(dir, "init")
	build(t, "linux", "build", "-o", initPath, "./internal/vmtest/init")
	buildCgo(t, "test", "-c", "-tags=hidapi", "-o", guest, "./internal/vmtest/guest")
	require.NoError(t, m.program(initPath, "init"))
	require.NoError(t, m.program(guest, "bin/guest.test"))
	runGuest(t, cache, m, "512")
}

func buildCgo(t *testing.T, arguments ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", arguments...)
	c.Dir = moduleRoot
	c.Env = append(os.Environ(), "CGO_ENABLED=1")
	output, err := c.CombinedOutput()
	require.NoError(t, err, "%v: %s", c, output)
}
