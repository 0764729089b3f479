package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// TestToolsUseKeyThatKeyfobServes has keyfob virtual serve --uhid play the key: fido2-tools find it and make a
// credential, which they can still use when the command has ended and begun again.
func TestToolsUseKeyThatKeyfobServes(t *testing.T) {
	state := filepath.Join(t.TempDir(), "key")
	key, served := serveByUHID(t, state)
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-L"), key.Path+": vendor=0x1209, product=0xf1d0")
	setPIN(t, key, pin)
	id, public := toolCredentialKey(t, toolRegister(t, key, "es256", "-r"))
	endServing(t, served)

	key, served = serveByUHID(t, state)
	signed := toolAuthenticate(t, key, id, nil, "-r", "-v")
	require.Len(t, signed, 1)
	requireOurAcceptsAssertion(t, signed[0], public, ctap2.FlagUP|ctap2.FlagUV)
	endServing(t, served)
}

func serveByUHID(t *testing.T, state string) (*softKey, *background) {
	t.Helper()
	served := startKeyfob(t, "virtual", "serve", "--uhid", "--state", state)
	line := served.nextLine(t)
	require.Contains(t, line, "ready")
	key := waitForKeys(t, func(hid.Info) bool { return true }, 1)[0]
	require.Contains(t, line, key.Path)
	return &softKey{plugged: plugged{Info: key}}, served
}

// endServing interrupts the command, which takes its key along.
func endServing(t *testing.T, served *background) {
	t.Helper()
	require.NoError(t, served.Process.Signal(os.Interrupt))
	served.requireEnd(t, 0)
	waitForKeys(t, func(hid.Info) bool { return true }, 0)
}
