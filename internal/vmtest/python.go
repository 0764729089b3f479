package vmtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// python adds Debian's Python with its modules, all where they are in Debian, from a folder that fetch.sh has prepared.
func (m *image) python(packages string) error {
	if err := m.index(packages); err != nil {
		return err
	}
	if err := m.program(m.path("python3"), "usr/bin/python3"); err != nil {
		return err
	}
	// OpenSSL's old ciphers, without which package cryptography does not start.
	if err := m.program(m.path("legacy.so"), "usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so"); err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(packages, "usr/lib/python3*"))
	for _, folder := range folders {
		if err == nil {
			err = m.pythonModules(packages, folder)
		}
	}
	return err
}

// pythonModules adds a folder of the packages: modules in Python, modules in machine code with the libraries that they
// need, and data.
func (m *image) pythonModules(packages, folder string) error {
	return filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		target, err := filepath.Rel(packages, path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(target, ".so") {
			return m.program(path, target)
		}
		data, err := os.ReadFile(path)
		m.file(target, 0o644, data)
		return err
	})
}
