// Command init is process 1 of the virtual machine that internal/vmtest boots: it makes the file systems that
// programs expect, loads the kernel modules, runs the test binary and ends the machine. Its last line on the console
// is the verdict; a machine that stops without it has crashed.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	status := 1
	if err := prepare(); err != nil {
		fmt.Println("init:", err)
	} else {
		status = runTests()
	}
	fmt.Printf("\nvmtest: exit status %d\n", status)
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // which ends qemu -no-reboot
	fmt.Println("init: reboot:", err)                 // and if it returns, the kernel panics without its process 1
}

func prepare() error {
	if err := mountAll(); err != nil {
		return err
	}
	// Only what the kernel says about its own death may come between the lines of the tests.
	if err := os.WriteFile("/proc/sys/kernel/printk", []byte("2"), 0); err != nil {
		return err
	}
	for _, path := range lines("/etc/modules") {
		if err := load(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	uptime, err := os.ReadFile("/proc/uptime")
	up, _, _ := strings.Cut(string(uptime), " ")
	fmt.Printf("vmtest: booted in %s s\n", up)
	return err
}

func mountAll() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		err := unix.Mount(m.kind, m.path, m.kind, 0, "")
		if err != nil && !errors.Is(err, unix.EBUSY) { // the kernel may have mounted /dev
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// runTests returns the exit status of the test binary, whose arguments are in a file.
func runTests() int {
	c := exec.Command("/bin/guest.test", lines("/etc/arguments")...)
	c.Dir = "/tmp"
	c.Env = []string{"KEYFOB_GUEST=1", "PATH=/bin", "HOME=/tmp", "LD_LIBRARY_PATH=/lib"}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Println("init:", err)
		return 1
	}
	return c.ProcessState.ExitCode()
}

// lines returns the lines of a file that the initramfs always has.
func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		fmt.Println("init:", err)
	}
	return strings.FieldsFunc(string(bytes.TrimSpace(b)), func(r rune) bool { return r == '\n' })
}
