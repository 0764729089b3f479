package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestToolWaitsForKeyfob has keyfob's library hold a key that fido2-token wants.
func TestToolWaitsForKeyfob(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	d := openKey(t, key.Path)
	tool := exec.Command("fido2-token", "-I", key.Path)
	require.NoError(t, tool.Start())
	require.Eventually(t, func() bool { return hasOpen(tool.Process.Pid, key.Path) }, limit, time.Millisecond)
	time.Sleep(200 * time.Millisecond) // by then it would have asked the key, if it did not wait
	require.Empty(t, key.heard.take())
	require.NoError(t, d.Close())
	require.Zero(t, wait(t, tool))
	require.NotEmpty(t, key.heard.take())
}

// hasOpen says that a process has a file open.
func hasOpen(pid int, path string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if target, _ := os.Readlink(link); target == path {
			return true
		}
	}
	return false
}

// TestKeyfobNamesWhoHoldsTheKey has fido2-cred wait for a touch while others want the key.
func TestKeyfobNamesWhoHoldsTheKey(t *testing.T) {
	touch, waits, give := patient()
	key := attachSoftKey(t, virtual.Config{UserPresence: touch})
	tool := exec.Command("fido2-cred", "-M", "-i", toolFile(t, base64Of(newHash()), rpID, "Ada", base64Of([]byte("ada's id"))), key.Path)
	require.NoError(t, tool.Start())
	receive(t, waits)

	start := time.Now()
	_, err := hid.Open(key.Path)
	t.Logf("%v, after %v", err, time.Since(start).Round(time.Millisecond))
	require.ErrorIs(t, err, hid.ErrBusy)
	require.EqualError(t, err, fmt.Sprintf("hid: open %s: key busy: held by fido2-cred (PID %d)", key.Path, tool.Process.Pid))
	require.Less(t, time.Since(start), 5*time.Second)
	require.Equal(t, authenticator.KindBusy, authenticator.KindOf(register(t, key.Info)))
	result := runTool(t, "", "keyfob", "info", "--device", key.Path)
	require.Equal(t, exitError, result.status)
	require.Contains(t, result.stderr, "held by fido2-cred")
	infos, err := hid.List()
	require.NoError(t, err)
	require.Equal(t, []hid.Info{key.Info}, infos)

	close(give)
	require.Zero(t, wait(t, tool))
	require.NoError(t, register(t, key.Info), "nothing of what the key told the other is left over")
}

// TestToolAndKeyfobTakeTurns has both use one key all the time. Nobody fails and nobody hears the other's answers.
func TestToolAndKeyfobTakeTurns(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	var tools sync.WaitGroup
	tools.Go(func() {
		for range 5 {
			if output, err := exec.Command("fido2-token", "-I", key.Path).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		}
	})
	for range 5 {
		require.NoError(t, register(t, key.Info))
	}
	tools.Wait()
}
