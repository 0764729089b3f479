package vmtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImageNamesWhatThePackagesLack(t *testing.T) {
	t.Parallel()
	packages := t.TempDir()
	_, err := newImage(packages, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "open uhid.ko")

	require.NoError(t, os.WriteFile(filepath.Join(packages, "uhid.ko"), make([]byte, 100), 0o644))
	_, err = newImage(packages, nil)
	require.ErrorContains(t, err, "module uhid.ko: bad magic number")
}

func TestImageComparesModulesByOneSpelling(t *testing.T) {
	t.Parallel()
	packages := t.TempDir()
	for _, name := range []string{"lib/hid-generic.ko", "lib/libcbor.so.0-8", "lib64/ld-linux.so"} {
		path := filepath.Join(packages, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
	}
	m := image{packages: map[string]string{}}
	require.NoError(t, m.index(packages))
	require.Equal(t, map[string]string{
		"hid_generic.ko": filepath.Join(packages, "lib/hid-generic.ko"),
		"libcbor.so.0-8": filepath.Join(packages, "lib/libcbor.so.0-8"),
	}, m.packages)
}
