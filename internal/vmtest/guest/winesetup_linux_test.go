package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/virtual"
)

// Wine lives in a root of its own, whose /dev has no hidraw node but those that attachWineKey puts there: Wine 8 takes the
// change of a new node's permissions for a second device, and then forgets both.
const (
	wineRoot    = "/tmp/wineroot"
	winePrefix  = "/tmp/wine"
	wineWindows = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
)

// startWine prepares Wine, starts it, and leaves it running.
var startWine = sync.OnceValue(func() error {
	for _, step := range []func() error{makeWineRoot, makeWinePrefix, bootWine} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
})

func makeWineRoot() error {
	if err := os.MkdirAll(wineRoot, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("/", wineRoot, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/proc", "/sys", "/tmp"} {
		if err := unix.Mount(dir, wineRoot+dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", wineRoot+"/dev", "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, node := range []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"} {
		if err := copyNode(node); err != nil {
			return err
		}
	}
	return nil
}

// copyNode makes a node in Wine's root, in one step.
func copyNode(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	return unix.Mknod(wineRoot+path, unix.S_IFCHR|0o600, int(st.Rdev))
}

// makeWinePrefix makes a C: drive of what fetch.sh kept of an installation, and of links to all libraries.
func makeWinePrefix() error {
	windows := filepath.Join(winePrefix, "drive_c/windows")
	drivers := filepath.Join(windows, "system32/drivers")
	for _, dir := range []string{drivers, filepath.Join(windows, "temp"), filepath.Join(winePrefix, "dosdevices")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	links := map[string]string{
		filepath.Join(winePrefix, "dosdevices/c:"): "../drive_c",
		filepath.Join(winePrefix, "dosdevices/z:"): "/",
		filepath.Join(windows, "inf"):              "/wine/inf",
	}
	for _, path := range glob(wineWindows + "/*") {
		dir := filepath.Dir(drivers)
		if filepath.Ext(path) == ".sys" {
			dir = drivers
		}
		links[filepath.Join(dir, filepath.Base(path))] = path
	}
	for link, target := range links {
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	if err := os.CopyFS(winePrefix, os.DirFS("/wine/registry")); err != nil {
		return err
	}
	// Wine must not install itself again because its files are newer than the registry.
	return os.WriteFile(filepath.Join(winePrefix, ".update-timestamp"), []byte("disable\n"), 0o600)
}

// glob is filepath.Glob for a pattern that is right.
func glob(pattern string) []string {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		panic(err)
	}
	return paths
}

// bootWine starts the services that all of Wine's programs need. They keep what they inherit, so that must be no pipe.
func bootWine() error {
	for _, args := range [][]string{{"wineserver", "--persistent"}, {"wine64", "wineboot"}} {
		c := exec.Command("/usr/lib/wine/"+args[0], args[1:]...)
		inWine(c)
		if err := c.Run(); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	return nil
}

// inWine makes a command one of Wine's.
func inWine(c *exec.Cmd) {
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: wineRoot}
	c.Env = append(os.Environ(), "WINEPREFIX="+winePrefix, "WINEDEBUG=-all")
}

// attachWineKey plugs in a key that Wine sees.
func attachWineKey(t *testing.T) *softKey {
	t.Helper()
	require.NoError(t, startWine())
	key := attachSoftKey(t, virtual.Config{})
	require.NoError(t, copyNode(key.Path))
	unplug := key.unplug
	key.unplug = sync.OnceFunc(func() {
		unplug()
		os.Remove(wineRoot + key.Path)
	})
	t.Cleanup(key.unplug)
	return key
}
