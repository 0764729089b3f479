package guest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/behaviour"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestBehaviour runs the suite that every way to reach a key must pass, on one key of each class after the other over
// each bus. A key is plugged in once for all tests, which takes longer than they do, and again when one wants that. They
// run in a machine of their own, by TestBehaviour of package vmtest, which knows which of them skip.
func TestBehaviour(t *testing.T) {
	for _, bus := range buses {
		t.Run(bus.name, func(t *testing.T) {
			for _, preset := range virtual.Presets() {
				t.Run(string(preset), func(t *testing.T) { behaves(t, preset.Config(), bus.plug) })
			}
		})
	}
}

func behaves(t *testing.T, c virtual.Config, plug func(*testing.T, *virtual.Authenticator) plugged) {
	var pin []byte
	if !c.NoClientPIN && !c.U2FOnly {
		pin = []byte("Grüße 12")
		c.PIN.Initial = pin
	}
	soft := newSoftKey(t, c)
	soft.plugged = plug(t, soft.Authenticator)
	replug := func(sub *testing.T) ctap2.Transport {
		soft.unplug()
		soft.PowerCycle()
		soft.plugged = plug(t, soft.Authenticator) // stays until the last test
		return openChannel(sub, soft.Path)
	}
	open := func(t *testing.T) *behaviour.Key {
		return &behaviour.Key{Transport: openChannel(t, soft.Path), PIN: bytes.Clone(pin), PowerCycle: replug}
	}
	behaviour.Run(t, open)
	behaviour.RunDestructive(t, open)
}

// openChannel opens a channel that the test's end closes.
func openChannel(t *testing.T, path string) *ctaphid.Channel {
	t.Helper()
	device, err := hid.Open(path)
	require.NoError(t, err)
	channel, err := ctaphid.Open(t.Context(), device)
	require.NoError(t, err)
	t.Cleanup(func() { channel.Close() })
	return channel
}
