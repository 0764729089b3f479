package vmtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPython boots the virtual machine with Debian's Python and python3-fido2. It has a subtest for each test of package
// guest whose name begins with TestPython; what is selected with -run TestPython/Name is all that runs in the guest.
func TestPython(t *testing.T) {
	cache := requireMachine(t)
	python := filepath.Join(cache, "python")
	if _, err := os.Stat(python); err != nil {
		skipMachine(t, "Python is missing in "+cache+" (internal/vmtest/fetch.sh)")
	}
	m := newGuest(t, cache, "-test.run=^TestPython")
	require.NoError(t, m.python(python))
	runGuest(t, cache, m, "512")
}
