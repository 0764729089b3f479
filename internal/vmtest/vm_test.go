package vmtest

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	qemu = "qemu-system-x86_64"

	// The guest's tests give up first, so that they can say where they hang.
	testLimit    = 12 * time.Minute
	machineLimit = 13 * time.Minute
)

// TestVM boots the virtual machine and has one subtest for each test of package guest, less those that have a machine of
// their own. What is selected with -run TestVM/Name is all that runs in the guest, too.
func TestVM(t *testing.T) {
	cache := requireMachine(t)
	m := newGuest(t, cache, "-test.skip=^Test(Behaviour|LUKS|Python|SSH|Wine)")
	runGuest(t, cache, m, "512")
}

// runGuest boots a machine with so many MiB of memory and reports what its tests said.
func runGuest(t *testing.T, cache string, m *image, memory string) {
	t.Helper()
	initramfs := filepath.Join(t.TempDir(), "initramfs")
	require.NoError(t, os.WriteFile(initramfs, m.bytes(), 0o644))
	start := time.Now()
	console, err := boot(t.Context(), filepath.Join(cache, "vmlinux"), initramfs, memory)
	guest := parseConsole(console)
	t.Logf("guest %s, ended after %.1f s", guest.boot, time.Since(start).Seconds())
	for _, r := range guest.results {
		t.Run(r.name, func(t *testing.T) { report(t, r) })
	}
	if problem := guest.problem(); problem != "" && (!t.Failed() || !guest.finished) {
		t.Errorf("%s (qemu: %v); the end of its console:\n%s", problem, err, tail(console, 60))
	}
}

func report(t *testing.T, r *result) {
	t.Log("\n" + strings.Join(r.output, "\n"))
	if problem := r.problem(); problem != "" {
		t.Error(problem)
	}
}

// requireMachine returns the folder with the Debian packages, and skips the test when it can't run here.
func requireMachine(t *testing.T) string {
	t.Helper()
	if testing.Short() || os.Getenv("KEYFOB_VM") == "off" {
		t.Skip("VM tests are off (-short or KEYFOB_VM=off)")
	}
	cache := os.Getenv("KEYFOB_VM_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		require.NoError(t, err)
		cache = filepath.Join(dir, "keyfob-vm")
	}
	_, qemuErr := exec.LookPath(qemu)
	_, kernelErr := os.Stat(filepath.Join(cache, "vmlinux"))
	if qemuErr == nil && kernelErr == nil {
		return cache
	}
	missing := fmt.Sprintf("VM tests need %s (apt-get install qemu-system-x86 seabios) and Debian's kernel and fido2-tools in %s "+
		"(internal/vmtest/fetch.sh)", qemu, cache)
	skipMachine(t, missing)
	return ""
}

// skipMachine skips the test, unless it is required.
func skipMachine(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("KEYFOB_VM") == "require" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// dependOnSources makes go test see that the result depends on the whole module, which it can't know of programs that
// are built by a child process: it takes a result from its cache while the folders that the test has read are the same.
func dependOnSources(t *testing.T) {
	err := filepath.WalkDir(moduleRoot, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == ".git" {
			return filepath.SkipDir
		}
		return err
	})
	require.NoError(t, err)
}

const moduleRoot = "../.."

// newGuest returns an initramfs with our programs, built from the sources as they are.
func newGuest(t *testing.T, cache string, arguments ...string) *image {
	t.Helper()
	dependOnSources(t)
	m, err := newImage(filepath.Join(cache, "debian"), testArguments(arguments...))
	require.NoError(t, err)
	dir := t.TempDir()
	build(t, "linux", "test", "-c", "-o", filepath.Join(dir, "guest.test"), "./internal/vmtest/guest")
	build(t, "linux", "build", "-o", filepath.Join(dir, "init"), "./internal/vmtest/init")
	buildKeyfob(t, "linux", filepath.Join(dir, "keyfob"))
	for name, target := range map[string]string{"guest.test": "bin/guest.test", "init": "init", "keyfob": "bin/keyfob"} {
		require.NoError(t, m.program(filepath.Join(dir, name), target))
	}
	return m
}

func build(t *testing.T, system, command string, arguments ...string) {
	t.Helper()
	buildIn(t, moduleRoot, system, command, arguments...)
}

// buildKeyfob builds the command.
func buildKeyfob(t *testing.T, system, path string) {
	t.Helper()
	buildIn(t, moduleRoot+"/cmd/keyfob", system, "build", "-o", path, ".")
}

// buildIn is build in the folder of another module.
func buildIn(t *testing.T, dir, system, command string, arguments ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", append([]string{command, "-trimpath", "-ldflags=-s -w"}, arguments...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH=amd64")
	output, err := c.CombinedOutput()
	require.NoError(t, err, "go %s: %s", strings.Join(c.Args[1:], " "), output)
}

// testArguments are those of the guest's test binary. Its subtests have our subtests' names, less the first element; what
// -run selects of them comes last, and so replaces what is given.
func testArguments(arguments ...string) []string {
	arguments = append([]string{"-test.v", "-test.timeout=" + testLimit.String()}, arguments...)
	if _, pattern, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		arguments = append(arguments, "-test.run="+pattern)
	}
	return arguments
}

// boot runs the machine until it ends and returns what it wrote to its serial console.
func boot(ctx context.Context, kernel, initramfs, memory string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, machineLimit)
	defer cancel()
	// TCG and the old pc machine, since KVM may be absent or nested, and TSC calibration on microvm fails at times.
	// CPU max has RDRAND, so that getrandom does not block, but SMAP faults on IRETQ in qemu 7.2.
	c := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-M", "pc", "-cpu", "max,-smap", "-smp", "1", "-m", memory,
		"-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 reboot=t random.trust_cpu=on "+
			"mitigations=off nokaslr no_timer_check cryptomgr.notests ipv6.disable=1 apparmor=0 audit=0")
	output, err := c.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("still running after %v", machineLimit)
	}
	return string(output), err
}
