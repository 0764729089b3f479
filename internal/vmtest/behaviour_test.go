package vmtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBehaviour boots the virtual machine for the suite that every way to reach a key must pass, on keys of every class,
// over both buses. What is selected with -run TestBehaviour/TestBehaviour/usb is all that runs in the guest.
func TestBehaviour(t *testing.T) {
	cache := requireMachine(t)
	runGuest(t, cache, newGuest(t, cache, "-test.run=^TestBehaviour"), "512")
}

func TestSkipsAreListed(t *testing.T) {
	t.Parallel()
	const listed, other = "TestBehaviour/usb/2.0/locks", "TestBehaviour/usb/2.1/locks"
	for _, tt := range []struct{ name, verdict, problem string }{
		{listed, "SKIP", ""},
		{listed, "PASS", "passed"},
		{listed, "FAIL", "failed"},
		{listed, "", "did not end"},
		{other, "SKIP", "skipped"},
		{other, "PASS", ""},
		{"TestOther/usb/2.0/locks", "SKIP", "skipped"},
	} {
		problem := (&result{name: tt.name, verdict: tt.verdict}).problem()
		require.Contains(t, problem, tt.problem)
		require.Equal(t, tt.problem == "", problem == "", "%s %s: %s", tt.name, tt.verdict, problem)
	}
}
