package guest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
)

// TestListAmongManyNodes has one key among up to 63 nodes that are no keys, and compares what it takes to find it with
// fido2-token -L.
func TestListAmongManyNodes(t *testing.T) {
	key := attachUSB(t, usbip.Config{}, echo)
	var ours, theirs []int
	counts := []int{1, 10, 64} // 64 is all that the kernel has
	have := 1
	for _, n := range counts {
		for ; have < n; have++ {
			createUHID(t, uhidConfig{name: "No key", bus: busUSB, descriptor: gamepadDescriptor})
		}
		waitForNodes(t, n)
		requireKeys(t, key.Info)
		ours = append(ours, countSystemCalls(t, child(t, "list", "")))
		theirs = append(theirs, countSystemCalls(t, exec.Command("fido2-token", "-L")))
		t.Logf("%2d nodes: hid.List %v; processes: %v with it, %v fido2-token -L; system calls: %d and %d", n,
			median(func() { hid.List() }), median(func() { child(t, "list", "").Run() }),
			median(func() { exec.Command("fido2-token", "-L").Run() }), ours[len(ours)-1], theirs[len(theirs)-1])
	}
	last := len(counts) - 1
	perNode := func(calls []int) float64 { return float64(calls[last]-calls[0]) / float64(counts[last]-counts[0]) }
	t.Logf("system calls for each node that is no key: hid.List %.1f, fido2-token -L %.1f", perNode(ours), perNode(theirs))
	require.Less(t, perNode(ours), perNode(theirs))
	require.Less(t, ours[last], theirs[last])
}

// gamepadDescriptor is that of a thing with one button.
var gamepadDescriptor = []byte{
	0x05, 0x01, 0x09, 0x05, 0xa1, 0x01, 0x05, 0x09, 0x09, 0x01, 0x15, 0x00, 0x25, 0x01, 0x75, 0x08, 0x95, 0x01, 0x81, 0x02,
	0xc0,
}

func waitForNodes(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		paths, err := filepath.Glob("/dev/hidraw*")
		require.NoError(t, err)
		return len(paths) == n
	}, limit, 10*time.Millisecond)
}

func median(f func()) time.Duration {
	var times [3]time.Duration
	for i := range times {
		start := time.Now()
		f()
		times[i] = time.Since(start)
	}
	slices.Sort(times[:])
	return times[len(times)/2].Round(10 * time.Microsecond)
}

// countSystemCalls runs a program to its end, with all of its threads, and counts.
func countSystemCalls(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	require.NoError(t, c.Start())
	main := c.Process.Pid
	defer c.Process.Release()
	var status unix.WaitStatus
	_, err := unix.Wait4(main, &status, 0, nil)
	require.NoError(t, err)
	require.NoError(t, unix.PtraceSetOptions(main, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL))
	require.NoError(t, unix.PtraceSyscall(main, 0))
	stops := 0
	for {
		pid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		require.NoError(t, err)
		switch {
		case pid == main && (status.Exited() || status.Signaled()):
			require.Zero(t, status.ExitStatus(), "%v", c)
			return stops / 2 // on the way in and on the way out
		case !status.Stopped():
			continue
		case status.StopSignal() == unix.SIGTRAP|0x80:
			stops++
		}
		unix.PtraceSyscall(pid, int(passOn(status))) // fails when another thread has just ended the process
	}
}

// passOn is the signal that a stopped thread is to get: none of those that the tracing itself makes.
func passOn(status unix.WaitStatus) unix.Signal {
	switch s := status.StopSignal(); s {
	case unix.SIGTRAP, unix.SIGTRAP | 0x80, unix.SIGSTOP:
		return 0
	default:
		return s
	}
}
