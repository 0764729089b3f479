package main

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// twoPlugged is a system with two keys, the second of which is touched.
func twoPlugged(t *testing.T) (sys system, touched string) {
	t.Helper()
	first, _ := plug(t, untouched())
	second, _ := plug(t, virtual.Config{})
	return keys(hid.Info{Path: first}, hid.Info{Path: second}), second
}

func TestTheTouchedKeyIsUsed(t *testing.T) {
	t.Parallel()
	sys, touched := twoPlugged(t)
	r := keyfobOn(t.Context(), sys, "register", "--rp", "example.org", "--user", "alice", "--resident", "--json").requireOK(t)
	require.Equal(t, "Touch the security key to use\nTouch "+touched+" to register\n", r.stderr)
	require.Len(t, authenticate(t, touched), 1)
}

func TestTheTouchedKeyAloneIsTraced(t *testing.T) {
	t.Parallel()
	sys, touched := twoPlugged(t)
	path := filepath.Join(t.TempDir(), "trace")
	r := keyfobOn(t.Context(), sys, "register", "--rp", "example.org", "--user", "alice", "--trace", path).requireOK(t)
	require.Contains(t, r.stderr, "Touch "+touched+" to register\n")
	_, all := readTrace(t, path)
	require.Len(t, commandsIn(all), 2, "getInfo and makeCredential")
}

func TestNobodyTouchesOneOfSeveralKeys(t *testing.T) {
	t.Parallel()
	first, _ := plug(t, untouched())
	second, _ := plug(t, untouched())
	sys := keys(hid.Info{Path: first}, hid.Info{Path: second})
	keyfobOn(t.Context(), sys, "info", "--timeout", "1s").
		requireFailure(t, exitTimeout, "Touch the security key to use\n", "not done within 1s")
}

// Keys that cannot be opened are no choice, but the user hears of them.
func TestKeysThatCannotBeUsedAreNotChosen(t *testing.T) {
	t.Parallel()
	good, _ := plug(t, virtual.Config{})
	bad := hid.Info{Path: "/dev/hidraw0", Err: fs.ErrPermission}
	r := keyfobOn(t.Context(), keys(bad, hid.Info{Path: good}), "info").requireOK(t)
	require.Contains(t, r.stderr, "/dev/hidraw0 cannot be used: permission denied\n")
	keyfobOn(t.Context(), keys(bad, bad), "info").requireFailure(t, exitPermission, "permission denied")
}
