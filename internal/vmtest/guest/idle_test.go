package guest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestIdleKeyCostsNoWakeUps counts how often the threads of a process give up a processor, which is how often they
// were woken before, while it has a key open, waits for a report, and watches for other keys.
func TestIdleKeyCostsNoWakeUps(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	c := child(t, "idle", key.Path)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer c.Wait()
	defer c.Process.Kill()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "reading\n", line)

	const settle, period = time.Second, 5 * time.Second
	time.Sleep(settle) // the runtime has things to do in the first moments of a process
	before := wakeUps(t, c.Process.Pid)
	time.Sleep(period)
	woken := wakeUps(t, c.Process.Pid) - before
	t.Logf("%d wake-ups in %v", woken, period)
	require.LessOrEqual(t, woken, 2)
}

// wakeUps adds up the voluntary context switches of all threads of a process.
func wakeUps(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	sum := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		_, rest, ok := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
		require.True(t, ok, "%s", b)
		field, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(strings.TrimSpace(field))
		require.NoError(t, err)
		sum += n
	}
	return sum
}
