package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func survey() site { return linux{"/", os.Getenv}.survey() }

// linux is where to look.
type linux struct {
	root   string
	getenv func(string) string
}

func (l linux) survey() site {
	s := site{nodes: l.nodes(), udev: l.has("run/udev/control"), rules: l.rules(), user: currentUser()}
	_, err := os.ReadDir(l.path("sys/class"))
	s.hiddenSysfs = err != nil || !l.has("sys/class/hidraw") && len(s.nodes) > 0
	s.remote = l.getenv("SSH_CONNECTION") != ""
	s.confined, s.name = l.confinement()
	return s
}

func (l linux) path(name string) string { return filepath.Join(l.root, name) }

func (l linux) has(name string) bool {
	_, err := os.Stat(l.path(name))
	return err == nil
}

func (l linux) read(name string) []byte {
	b, _ := os.ReadFile(l.path(name))
	return b
}

// nodes describes the hidraw nodes. It is empty but not nil if there are none.
func (l linux) nodes() map[string]string {
	nodes := map[string]string{}
	paths, _ := filepath.Glob(l.path("dev/hidraw*"))
	for _, path := range paths {
		if fi, err := os.Stat(path); err == nil {
			nodes["/dev/"+filepath.Base(path)] = describeNode(fi)
		}
	}
	return nodes
}

// describeNode returns "root:plugdev rw-rw----".
func describeNode(fi fs.FileInfo) string {
	mode := fi.Mode().Perm().String()[1:]
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return mode
	}
	uid, gid := strconv.FormatUint(uint64(st.Uid), 10), strconv.FormatUint(uint64(st.Gid), 10)
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	} else if uid == "0" { // a system without /etc/passwd
		uid = "root"
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	} else if gid == "0" {
		gid = "root"
	}
	return fmt.Sprintf("%s:%s %s", uid, gid, mode)
}

func currentUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// rules returns the files that let users at security keys, or mark keys for the rules that do.
func (l linux) rules() (found []string) {
	for _, dir := range []string{"etc", "run", "usr/local/lib", "usr/lib", "lib"} {
		files, _ := filepath.Glob(l.path(dir + "/udev/rules.d/*.rules"))
		for _, file := range files {
			name := filepath.Base(file)
			named := func(other string) bool { return filepath.Base(other) == name } // one that overrides it, or /lib is /usr/lib
			if b, err := os.ReadFile(file); err == nil && isAboutKeys(b) && !slices.ContainsFunc(found, named) {
				found = append(found, "/"+dir+"/udev/rules.d/"+name)
			}
		}
	}
	return found
}

// isAboutKeys says that rules mark hidraw nodes as security keys, or open hidraw nodes by the vendors of keys.
func isAboutKeys(rules []byte) bool {
	for line := range bytes.Lines(rules) {
		if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		if bytes.Contains(line, []byte(`"fido_id"`)) || bytes.Contains(line, []byte("ID_FIDO_TOKEN")) ||
			bytes.Contains(line, []byte("hidraw")) && bytes.Contains(line, []byte("1050")) {
			return true
		}
	}
	return false
}

// confinement says what the program is shut in, if anything gives it away.
func (l linux) confinement() (kind, name string) {
	switch {
	case l.getenv("SNAP") != "" && l.getenv("SNAP_NAME") != "":
		return inSnap, l.getenv("SNAP_NAME")
	case l.has(".flatpak-info"):
		return inFlatpak, l.getenv("FLATPAK_ID")
	case l.has("run/.containerenv"):
		return inPodman, ""
	case l.has(".dockerenv"):
		return inDocker, ""
	case l.getenv("container") != "", bytes.Contains(l.read("proc/1/cgroup"), []byte("/kubepods")):
		return inContainer, l.getenv("container")
	case strings.Contains(strings.ToLower(string(l.read("proc/sys/kernel/osrelease"))), "microsoft"):
		return inWSL, ""
	}
	return "", ""
}
