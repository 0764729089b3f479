package vmtest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What the machine has besides our own programs. Modules and libraries that these need come with them.
var (
	modules = []string{"uhid", "hid-generic", "usbhid", "vhci-hcd"}
	tools   = []string{"fido2-token", "fido2-cred", "fido2-assert"}
)

// image assembles the initramfs from the unpacked Debian packages in a folder.
type image struct {
	archive
	packages map[string]string // base name to path, of every file in the packages
	loaded   []string          // paths in the guest of the modules, a module after those that it needs
}

// newImage returns the initramfs with everything from the packages, and arguments for the test binary.
func newImage(packages string, arguments []string) (*image, error) {
	m := &image{packages: map[string]string{}}
	if err := m.index(packages); err != nil {
		return nil, err
	}
	m.console()
	for _, dir := range []string{"proc", "sys", "tmp", "run", "etc"} {
		m.dir(dir)
	}
	for _, name := range modules {
		if err := m.module(name); err != nil {
			return nil, err
		}
	}
	for _, name := range tools {
		if err := m.program(m.path(name), "bin/"+name); err != nil {
			return nil, err
		}
	}
	m.file("etc/modules", 0o644, []byte(strings.Join(m.loaded, "\n")))
	m.file("etc/arguments", 0o644, []byte(strings.Join(arguments, "\n")))
	return m, nil
}

// index leaves out lib64: all that it has is a link to the loader, by an absolute name, which means the host's.
func (m *image) index(packages string) error {
	return filepath.WalkDir(packages, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "lib64":
			return filepath.SkipDir
		case !e.IsDir():
			m.packages[moduleName(e.Name())] = path
		}
		return nil
	})
}

// moduleName is how modules are compared: their files and their dependency lists mix both spellings.
func moduleName(name string) string {
	if strings.HasSuffix(name, ".ko") {
		return strings.ReplaceAll(name, "-", "_")
	}
	return name
}

// path finds a file in the packages. What they don't have keeps its name, which the error of opening it then tells.
func (m *image) path(name string) string {
	if path, ok := m.packages[name]; ok {
		return path
	}
	return name
}

// module adds a kernel module after those that it depends on.
func (m *image) module(name string) error {
	name = moduleName(name + ".ko")
	target := "lib/modules/" + name
	if m.has(target) {
		return nil
	}
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	needs, err := moduleDependencies(data)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	for _, need := range needs {
		if err := m.module(need); err != nil {
			return err
		}
	}
	m.file(target, 0o644, data)
	m.loaded = append(m.loaded, "/"+target)
	return nil
}

// moduleDependencies reads "depends=a,b" in the module's .modinfo. The kernel package's modules.dep, which says the
// same, is made when the package is installed.
func moduleDependencies(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	info := f.Section(".modinfo")
	if info == nil {
		return nil, fmt.Errorf("no .modinfo")
	}
	data, err := info.Data()
	for entry := range strings.SplitSeq(string(data), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), err
		}
	}
	return nil, err
}

// program adds an executable or a library with the loader and the libraries that it needs.
func (m *image) program(path, target string) error {
	if m.has(target) {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	m.file(target, 0o755, data)
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	for _, library := range libraries {
		if err := m.program(m.path(library), "lib/"+library); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return m.loader(f)
}

// loader adds the dynamic loader under the absolute name that the executable asks for.
func (m *image) loader(f *elf.File) error {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		name := strings.Trim(string(b), "/\x00")
		return m.program(m.path(filepath.Base(name)), name)
	}
	return nil
}
