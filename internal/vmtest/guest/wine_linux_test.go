package guest

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests have a machine of their own, the one with Wine: that of TestWine of package vmtest.

// wineLimit is how long a Windows program may take, the start of which alone takes seconds under emulation.
const wineLimit = 2 * time.Minute

func TestWineList(t *testing.T)              { runWinguest(t, "TestList") }
func TestWinePing(t *testing.T)              { runWinguest(t, "TestPing") }
func TestWineCeremonies(t *testing.T)        { runWinguest(t, "TestCeremonies") }
func TestWineCloseUnblocksRead(t *testing.T) { runWinguest(t, "TestCloseUnblocksRead") }
func TestWineUnplug(t *testing.T)            { runWinguest(t, "TestUnplug") }
func TestWineWatch(t *testing.T)             { runWinguest(t, "TestWatch") }

// TestWineRunsUnitTests runs package hid's own.
func TestWineRunsUnitTests(t *testing.T) {
	require.NoError(t, startWine())
	output := runWine(t, wineCommand(t, "hid.exe", "-test.run=^Test"), func(string) {})
	require.Contains(t, output, "PASS")
}

// TestWineKeyfob asks until Wine has found the key, which is some time after the kernel has a node for it.
func TestWineKeyfob(t *testing.T) {
	attachWineKey(t)
	output := ""
	for range 10 {
		if output = runWine(t, wineCommand(t, "keyfob.exe", "list"), func(string) {}); output != "" {
			break
		}
	}
	require.Contains(t, output, `\\?\hid#vid_1209&pid_f1d0`)
	require.Contains(t, output, "keyfob Soft key")
}

// wineCommand is a program of ours for Windows.
func wineCommand(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/usr/lib/wine/wine64", append([]string{`Z:\wine\bin\` + name}, args...)...)
	inWine(c)
	return c
}

// runWinguest runs a test of package winguest, and pulls and plugs the key when it says so.
func runWinguest(t *testing.T, name string) {
	t.Helper()
	key := attachWineKey(t)
	var pulled time.Time
	c := wineCommand(t, "winguest.exe", "-test.v", "-test.run=^"+name+"$")
	c.Env = append(c.Env, "KEYFOB_SERIAL="+key.Serial)
	output := runWine(t, c, func(line string) {
		switch {
		case line == "winguest: pull the key":
			pulled = time.Now()
			key.unplug()
		case line == "winguest: plug it in":
			attachWineKey(t)
		case strings.HasPrefix(line, "winguest: removed"):
			requireNoticed(t, line, pulled)
		}
	})
	require.Contains(t, output, "--- PASS: "+name)
}

// requireNoticed checks when a Windows program noticed that its key was pulled. Both have the same clock.
func requireNoticed(t *testing.T, line string, pulled time.Time) {
	t.Helper()
	var nanoseconds int64
	_, err := fmt.Sscanf(line, "winguest: removed at %d", &nanoseconds)
	require.NoError(t, err)
	after := time.Unix(0, nanoseconds).Sub(pulled)
	t.Logf("the blocked Read ended %v after the cable was pulled", after.Round(100*time.Microsecond))
	require.Less(t, after, time.Second)
}

// runWine runs a program that must succeed, and passes on what it writes, line by line.
func runWine(t *testing.T, c *exec.Cmd, heard func(line string)) (output string) {
	t.Helper()
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	c.Stderr = c.Stdout
	start := time.Now()
	require.NoError(t, c.Start())
	overdue := time.AfterFunc(wineLimit, func() { c.Process.Kill() })
	defer overdue.Stop()
	var all strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		heard(lines.Text())
		all.WriteString(lines.Text() + "\n")
	}
	err = c.Wait()
	t.Logf("took %v:\n%s", time.Since(start).Round(10*time.Millisecond), all.String())
	require.NoError(t, err)
	return all.String()
}
