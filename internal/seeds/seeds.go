// Package seeds gives fuzz targets the inputs of testdata/seeds, real messages for the most part, to begin with.
package seeds

import (
	"os"
	"path/filepath"
	"testing"
)

// Add adds each file of a folder of testdata/seeds to the corpus of a target that takes one byte string. It fails when
// there is none: a target without seeds finds little, and nobody notices.
func Add(f *testing.F, folder string) {
	f.Helper()
	path := filepath.Join(root(f), "testdata", "seeds", folder)
	entries, err := os.ReadDir(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		seed, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	if len(entries) == 0 {
		f.Fatalf("no seeds in %s", path)
	}
}

// root returns the folder of the module, above that of the test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
