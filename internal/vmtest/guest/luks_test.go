package guest

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// What opens a volume besides its keys.
const passphrase = "correct horse"

// TestLUKSOpens has systemd-cryptenroll enroll a key in every way that it knows; cryptsetup accepts the secret that our
// examples/luks derives for what it wrote.
func TestLUKSOpens(t *testing.T) {
	// Release 252 stores the secret of the user who was not verified as the other one, if it could make the credential
	// without the PIN. It cannot open such a volume itself.
	wantsPIN := virtual.Config{MakeCredUVRequired: true}
	verifies := virtual.Config{UserVerification: func(context.Context, virtual.Prompt) error { return nil }}
	for _, tt := range []struct {
		name    string
		key     virtual.Config
		options []string
	}{
		{"PIN and touch", wantsPIN, nil},
		{"touch only", wantsPIN, []string{"--fido2-with-client-pin=no"}},
		{"touch only, and none to enroll", virtual.Config{}, []string{"--fido2-with-client-pin=no"}},
		{"verification by the key", verifies, []string{"--fido2-with-client-pin=no", "--fido2-with-user-verification=yes"}},
		{"neither, but the key insists on a touch", wantsPIN, []string{"--fido2-with-client-pin=no", "--fido2-with-user-presence=no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := attachSoftKey(t, tt.key)
			setPIN(t, key, pin)
			volume := newVolume(t)
			cryptenroll(t, key, volume, tt.options...)
			requireOpens(t, volume, mustRunTool(t, "", "luks", "-pin-file", pinFile(t, pin), volume))
		})
	}
}

// TestLUKSFindsItsKey enrolls two keys with different wishes, starts when neither is there, and plugs in the second.
func TestLUKSFindsItsKey(t *testing.T) {
	volume := newVolume(t)
	first := attachSoftKey(t, virtual.Config{})
	cryptenroll(t, first, volume, "--fido2-with-client-pin=no")
	first.unplug()
	second := attachSoftKey(t, virtual.Config{MakeCredUVRequired: true})
	setPIN(t, second, pin)
	cryptenroll(t, second, volume)
	second.unplug()

	c := exec.Command("luks", "-pin-file", pinFile(t, pin), volume)
	var secret bytes.Buffer
	c.Stdout = &secret
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "Insert the security key.\n", line)
	plugUSB(t, second.Authenticator)
	require.Zero(t, wait(t, c))
	requireOpens(t, volume, secret.String())
}

// A PIN in a file that is wrong costs one retry.
func TestLUKSRefusesAWrongPIN(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{MakeCredUVRequired: true})
	setPIN(t, key, pin)
	volume := newVolume(t)
	cryptenroll(t, key, volume)
	result := runTool(t, "", "luks", "-pin-file", pinFile(t, "wrong"), volume)
	require.NotZero(t, result.status)
	require.Empty(t, result.stdout)
	require.Contains(t, result.stderr, "the PIN in the file is wrong")
	a := openSoftKey(t, key)
	defer a.Close()
	retries, _, err := a.PINRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, retries)
}

// newVolume makes an encrypted volume in a file.
func newVolume(t *testing.T) string {
	t.Helper()
	volume := filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.WriteFile(volume, nil, 0o600))
	require.NoError(t, os.Truncate(volume, 4<<20))
	mustRunTool(t, passphrase, "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2",
		"--pbkdf-force-iterations", "1000", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "1m", volume, "-")
	return volume
}

// cryptenroll types the PIN if it is asked for it.
func cryptenroll(t *testing.T, key *softKey, volume string, options ...string) {
	t.Helper()
	credentials := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "fido2-pin"), []byte(pin), 0o600))
	c := exec.Command("systemd-cryptenroll", append(options, "--fido2-device="+key.Path, volume)...)
	c.Env = append(os.Environ(), "PASSWORD="+passphrase, "CREDENTIALS_DIRECTORY="+credentials)
	result := run(t, c)
	require.Zero(t, result.status, result.stderr)
}

// requireOpens has cryptsetup try a secret, and a wrong one.
func requireOpens(t *testing.T, volume, secret string) {
	t.Helper()
	open := []string{"open", "--test-passphrase", "--disable-external-tokens", "--key-file", "-", volume}
	mustRunTool(t, secret, "cryptsetup", open...)
	require.Equal(t, 2, runTool(t, strings.ToLower(secret), "cryptsetup", open...).status)
}
