package guest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// The exit statuses of the keyfob command, as its documentation has them.
const (
	exitError       = 1
	exitUsage       = 2
	exitNoDevice    = 3
	exitPermission  = 4
	exitTimeout     = 5
	exitCancelled   = 6
	exitPINRequired = 7
	exitPINInvalid  = 8
	exitPINLocked   = 9
	exitNoMatch     = 10
	exitUnsupported = 11
)

// TestKeyfobExitStatuses provokes what needs no patience and no other user; each case begins where the one before
// ended.
func TestKeyfobExitStatuses(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{Algorithms: []cose.Algorithm{cose.ES256}})
	at := func(path string) *softKey { return &softKey{plugged: plugged{Info: hid.Info{Path: path}}} }
	setPIN(t, key, pin)
	id := keyfobRegister(t, key).CredentialID.String()
	wrong := []string{"--uv", "--pin-file", pinFile(t, "wrong pin")}
	right := []string{"--uv", "--pin-file", pinFile(t, pin)}
	for _, c := range []struct {
		name    string
		status  int
		key     *softKey
		command string
		args    []string
		says    string
	}{
		{"no such node", exitNoDevice, at("/dev/hidraw99"), "info", nil, "/dev/hidraw99"},
		{"not a key", exitError, at("/dev/null"), "info", nil, "/dev/null"},
		{"a short salt", exitUsage, key, "authenticate", []string{"--rp", rpID, "--salt", "AAAA"}, "--salt"},
		{"nobody to ask for the PIN", exitPINRequired, key, "register --rp x.org --user y", []string{"--uv"}, "--pin-file"},
		{"no credential", exitNoMatch, key, "authenticate --rp other.example", nil, "--rp"},
		{"excluded", exitNoMatch, key, "register --user y --rp " + rpID, []string{"--exclude", id}, "registered already"},
		{"algorithm", exitUnsupported, key, "register --rp x.org --user y", []string{"--alg", "eddsa"}, "not supported"},
		{"wrong PIN", exitPINInvalid, key, "register --rp x.org --user y", wrong, "7 retries left"},
		{"wrong PIN again", exitPINInvalid, key, "register --rp x.org --user y", wrong, "6 retries left"},
		{"locked", exitPINLocked, key, "register --rp x.org --user y", wrong, "unplug"},
		{"still locked", exitPINLocked, key, "register --rp x.org --user y", right, "unplug"},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := runKeyfob(t, c.key, c.command, c.args...)
			t.Log(result.stderr)
			require.Equal(t, c.status, result.status)
			require.Contains(t, result.stderr, c.says)
		})
	}
}

func TestKeyfobWithoutKey(t *testing.T) {
	result := runTool(t, "", "keyfob", "info", "--json")
	t.Log(result.stderr)
	require.Equal(t, exitNoDevice, result.status)
	require.Empty(t, result.stdout)
}
