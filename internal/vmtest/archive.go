package vmtest

import (
	"bytes"
	"fmt"
	"path"
)

// archive builds an initramfs: a cpio file in the kernel's "newc" format
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf   bytes.Buffer
	inode int
	seen  map[string]bool // names in the archive; the kernel wants a folder before what is in it
}

// File types as in st_mode.
const (
	typeDir  = 0o040000
	typeChar = 0o020000
	typeFile = 0o100000
)

// file adds a regular file and the folders that lead to it. Names are relative to the root. A second file of the same
// name is ignored.
func (a *archive) file(name string, mode int, data []byte) {
	if a.has(name) {
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, typeFile|mode, 0, 0, data)
}

func (a *archive) dir(name string) {
	if name == "." || a.has(name) {
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, typeDir|0o755, 0, 0, nil)
}

// console adds /dev/console, without which process 1 has no output.
func (a *archive) console() {
	a.dir("dev")
	a.entry("dev/console", typeChar|0o600, 5, 1, nil)
}

func (a *archive) has(name string) bool { return a.seen[name] }

// bytes ends the archive and returns it.
func (a *archive) bytes() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.buf.Bytes()
}

func (a *archive) entry(name string, mode, major, minor int, data []byte) {
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[name] = true
	a.inode++
	const links, owner, time, device = 1, 0, 0, 0
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, owner, owner, links, time, len(data), device, device, major, minor, len(name)+1, 0)
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}
