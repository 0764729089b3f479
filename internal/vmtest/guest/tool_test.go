package guest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
)

// toolTypes are the algorithms that fido2-tools know, by their names there, which are also those of the keyfob
// command.
var toolTypes = []struct {
	name      string
	algorithm cose.Algorithm
}{
	{"es256", cose.ES256},
	{"es384", cose.ES384},
	{"eddsa", cose.EdDSA},
	{"rs256", cose.RS256},
}

// mustRunTool runs a program that must succeed, and returns what it wrote.
func mustRunTool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	result := runTool(t, stdin, name, args...)
	require.Zero(t, result.status, "%s %q: %s", name, args, result.stderr)
	return result.stdout
}

// setPIN gives a key its first PIN.
func setPIN(t *testing.T, key *softKey, pin string) {
	t.Helper()
	mustRunTool(t, pin+"\n"+pin+"\n", "fido2-token", "-S", key.Path)
}

// toolRegister creates a credential with fido2-cred -M. It types the PIN when it is asked: for a resident key of a
// key with a PIN, and with -v.
func toolRegister(t *testing.T, key *softKey, typeName string, options ...string) *toolCredential {
	t.Helper()
	file := toolFile(t, base64Of(newHash()), rpID, "Ada", base64Of([]byte("ada's id")))
	args := append(append([]string{"-M", "-i", file}, options...), key.Path, typeName)
	return parseToolCredential(t, mustRunTool(t, pin+"\n", "fido2-cred", args...), slices.Contains(options, "-b"))
}

// toolAuthenticate has fido2-assert -G sign with a credential, or with all resident ones if there is -r in the
// options. The salts are for -h.
func toolAuthenticate(t *testing.T, key *softKey, id, salts []byte, options ...string) []*toolAssertion {
	t.Helper()
	lines := []string{base64Of(newHash()), rpID}
	resident, secret := slices.Contains(options, "-r"), slices.Contains(options, "-h")
	if !resident {
		lines = append(lines, base64Of(id))
	}
	if secret {
		lines = append(lines, base64Of(salts))
	}
	args := append(append([]string{"-G", "-i", toolFile(t, lines...)}, options...), key.Path)
	stdout := mustRunTool(t, pin+"\n", "fido2-assert", args...)
	return parseToolAssertions(t, stdout, resident, secret, slices.Contains(options, "-b"))
}
