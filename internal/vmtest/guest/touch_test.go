package guest

import (
	"os"
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
		{"of the command", virtual.Config{}, []string{"--timeout", "3s"}},
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

// startKeyfobWithoutTouch runs keyfob register on a key that misses the first touch, until it asks for that.
func startKeyfobWithoutTouch(t *testing.T, c virtual.Config, args ...string) (*softKey, *background) {
	t.Helper()
	touch, waits := distracted()
	c.UserPresence = touch
	key := attachSoftKey(t, c)
	args = append([]string{"--rp", rpID, "--user", "Ada"}, args...)
	b := startKeyfob(t, keyfobArguments(key, "register", args...)...)
	receive(t, waits)
	require.Equal(t, "Touch keyfob Soft key ("+key.Path+") to register\n", b.nextLine(t))
	return key, b
}

func requireSoon(t *testing.T, start time.Time) {
	t.Helper()
	took := time.Since(start)
	t.Logf("took %v", took.Round(time.Millisecond))
	require.Less(t, took, time.Second)
}
