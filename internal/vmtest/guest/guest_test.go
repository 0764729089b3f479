package guest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
)

// limit is how long anything may take that takes milliseconds, or a second or two, under emulation.
const limit = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("KEYFOB_GUEST") == "" {
		fmt.Println("guest: these tests run in a virtual machine, by go test ./internal/vmtest")
		return
	}
	if name := os.Getenv(childRole); name != "" {
		children[name](os.Getenv(childArgument))
		return
	}
	m.Run()
}

// plugged is a key on the virtual USB bus of the guest.
type plugged struct {
	hid.Info
	unplug func() // pulls the cable and waits until serve has returned
}

// attachUSB plugs in a key that serve plays, and waits until the system has a node for it. A c without a serial number
// gets one. serve gets one 64-byte report per Read and sends one per Write, and must return when Read fails; if it
// returns before, the key stays and takes no more reports. The key is unplugged at the latest when the test ends,
// which leaves no node behind.
func attachUSB(t *testing.T, c usbip.Config, serve func(io.ReadWriteCloser)) plugged {
	t.Helper()
	c.Serial = cmp.Or(c.Serial, fmt.Sprintf("SN%d", attached.Add(1)))
	d, err := usbip.Attach(c)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(d)
	}()
	unplug := func() {
		d.Close()
		<-served
	}
	is := func(info hid.Info) bool { return info.Serial == c.Serial }
	t.Cleanup(func() {
		unplug()
		waitForKeys(t, is, 0)
	})
	key := waitForKeys(t, is, 1)[0]
	t.Cleanup(func() {
		unplug()
		requireNoNode(t, key.Path)
	})
	return plugged{key, unplug}
}

// requireNoNode waits until a node is gone, which takes longer than until it is no key any more.
func requireNoNode(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, fs.ErrNotExist)
	}, limit, time.Millisecond, "%s stays", path)
}

var attached atomic.Int32

// waitForKeys waits until exactly n of the listed keys are the wanted ones and have a node that can be opened.
func waitForKeys(t *testing.T, wanted func(hid.Info) bool, n int) []hid.Info {
	t.Helper()
	var found []hid.Info
	require.Eventually(t, func() bool {
		infos, err := hid.List()
		require.NoError(t, err)
		found = nil
		for _, info := range infos {
			if _, err := os.Stat(info.Path); err == nil && wanted(info) {
				found = append(found, info)
			}
		}
		return len(found) == n
	}, limit, 5*time.Millisecond, "waiting for %d keys", n)
	return found
}

// openKey opens a node for the time of the test.
func openKey(t *testing.T, path string) *hid.Device {
	t.Helper()
	d, err := hid.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// toolResult is what a program left behind.
type toolResult struct {
	stdout, stderr string
	status         int
}

// runTool runs a program of the guest to its end. There is no terminal: fido2-tools then read a PIN from standard
// input, so their parameters must come by -i with a file.
func runTool(t *testing.T, stdin, name string, args ...string) toolResult {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(stdin)
	return run(t, c)
}

// run runs a program to its end.
func run(t *testing.T, c *exec.Cmd) toolResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	require.NoError(t, c.Start())
	return toolResult{status: wait(t, c), stdout: stdout.String(), stderr: stderr.String()}
}

// wait waits for the end of a program, for a limited time, and returns its exit status.
func wait(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	overdue := time.AfterFunc(limit, func() { c.Process.Kill() })
	err := c.Wait()
	require.True(t, overdue.Stop(), "%s still runs: %v%v", c, c.Stdout, c.Stderr)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return c.ProcessState.ExitCode()
}
