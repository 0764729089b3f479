package vmtest

import (
	"bytes"
	"debug/pe"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWine boots the virtual machine with Wine, which runs our programs for Windows on the guest's keys. It has a subtest
// for each test of package guest whose name begins with TestWine; what is selected with -run TestWine/Name is all that
// runs in the guest.
func TestWine(t *testing.T) {
	cache := requireMachine(t)
	wine := filepath.Join(cache, "wine")
	if _, err := os.Stat(wine); err != nil {
		skipMachine(t, "Wine is missing in "+cache+" (internal/vmtest/fetch.sh)")
	}
	m := newGuest(t, cache, "-test.run=^TestWine")
	require.NoError(t, m.wine(wine))
	dir := t.TempDir()
	build(t, "windows", "test", "-c", "-o", filepath.Join(dir, "winguest.exe"), "./internal/vmtest/winguest")
	build(t, "windows", "test", "-c", "-o", filepath.Join(dir, "hid.exe"), "./hid")
	buildKeyfob(t, "windows", filepath.Join(dir, "keyfob.exe"))
	for _, name := range []string{"winguest.exe", "hid.exe", "keyfob.exe"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		m.file(winePrograms+name, 0o755, data)
	}
	runGuest(t, cache, m, "1024")
}

func TestPRNGLibraryIsAForwarder(t *testing.T) {
	library := prngLibrary()
	f, err := pe.NewFile(bytes.NewReader(library))
	require.NoError(t, err)
	require.Len(t, f.Sections, 1)
	data, err := f.Sections[0].Data()
	require.NoError(t, err)
	require.Contains(t, string(data), prngName+"\x00ProcessPrng\x00ADVAPI32.SystemFunction036\x00")
	export := f.OptionalHeader.(*pe.OptionalHeader64).DataDirectory[0]
	require.Equal(t, f.Sections[0].VirtualAddress, export.VirtualAddress)
	require.Equal(t, f.Sections[0].VirtualSize, export.Size)
}
