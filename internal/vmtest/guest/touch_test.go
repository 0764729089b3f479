package guest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// TestCtrlCEndsKeyfob interrupts the command while the key waits for a touch. The key waits no longer.
func TestCtrlCEndsKeyfob(t *testing.T) {
	key, waiting := startKeyfobWithoutTouch(t, virtual.Config{})
	start := time.Now()
	require.NoError(t, waiting.Process.Signal(os.Interrupt))
	waiting.requireEnd(t, exitCancelled)
	requireSoon(t, start)
	keyfobRegister(t, key)
}

func TestTouchTimeoutEndsKeyfob(t *testing.T) {
	for _, c := range []struct {
		name   string
		config virtual.Config
		args   []string
	}{
		{"of the key", virtual.Config{TouchTimeout: 100 * time.Millisecond}, nil},
		{"of the command", virtual.Config{}, []string{"--timeout", "2s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, waiting := startKeyfobWithoutTouch(t, c.config, c.args...)
			waiting.requireEnd(t, exitTimeout)
			keyfobRegister(t, key)
		})
	}
}

func TestUnplugEndsKeyfob(t *testing.T) {
	key, waiting := startKeyfobWithoutTouch(t, virtual.Config{})
	start := time.Now()
	key.unplug()
	waiting.requireEnd(t, exitNoDevice)
	requireSoon(t, start)
	keyfobRegister(t, attachSoftKey(t, virtual.Config{}))
}

// waiting is a keyfob command that has asked for a touch.
type waiting struct {
	*exec.Cmd
	stderr *bufio.Reader
	stdout strings.Builder
}

// startKeyfobWithoutTouch runs keyfob register on a key that misses the first touch, until it asks for that.
func startKeyfobWithoutTouch(t *testing.T, c virtual.Config, args ...string) (*softKey, *waiting) {
	t.Helper()
	touch, waits := distracted()
	c.UserPresence = touch
	key := attachSoftKey(t, c)
	args = keyfobArguments(key, "register", append([]string{"--rp", rpID, "--user", "Ada"}, args...)...)
	w := &waiting{Cmd: exec.CommandContext(t.Context(), "keyfob", args...)}
	w.Stdout = &w.stdout
	stderr, err := w.StderrPipe()
	require.NoError(t, err)
	w.stderr = bufio.NewReader(stderr)
	require.NoError(t, w.Start())
	receive(t, waits)
	line, err := w.stderr.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "Touch keyfob Soft key ("+key.Path+") to register\n", line)
	return key, w
}

// requireEnd waits for the command to end with a status and nothing on its standard output.
func (w *waiting) requireEnd(t *testing.T, status int) {
	t.Helper()
	said := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(w.stderr)
		said <- string(b)
	}()
	text := receive(t, said)
	require.Equal(t, status, wait(t, w.Cmd), text)
	require.Empty(t, w.stdout.String())
	t.Log(text)
}

func requireSoon(t *testing.T, start time.Time) {
	t.Helper()
	took := time.Since(start)
	t.Logf("took %v", took.Round(time.Millisecond))
	require.Less(t, took, time.Second)
}
