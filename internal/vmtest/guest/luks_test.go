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
// examples/luks derives for what it wrote, as it opens the volume with systemd's own plugin.
func TestLUKSOpens(t *testing.T) {
	wantsPIN := virtual.Config{MakeCredUVRequired: true}
	verifies := virtual.Config{UserVerification: func(context.Context, virtual.Prompt) error { return nil }}
	for _, tt := range []struct {
		name    string
		key     virtual.Config
		options []string
	}{
		{"PIN and touch", wantsPIN, nil},
		{"touch only", wantsPIN, []string{"--fido2-with-client-pin=no"}},
		{"verification by the key", verifies, []string{"--fido2-with-client-pin=no", "--fido2-with-user-verification=yes"}},
		{"neither, but the key insists on a touch", wantsPIN, []string{"--fido2-with-client-pin=no", "--fido2-with-user-presence=no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			volume := newVolumeFor(t, tt.key, tt.options...)
			require.Zero(t, systemdOpens(t, volume))
			require.Zero(t, secretOpens(t, volume, mustRunTool(t, "", "luks", "-pin-file", pinFile(t, pin), volume)))
		})
	}
}

// Release 252 of systemd-cryptenroll writes that the PIN is required, and sets the secret that belongs to none, if the key
// made the credential without. What reads the header as it is written does not open such a volume.
func TestLUKSReadsTheHeaderAsItIs(t *testing.T) {
	volume := newVolumeFor(t, virtual.Config{})
	require.Equal(t, wrongPassphrase, systemdOpens(t, volume))
	require.Equal(t, wrongPassphrase, secretOpens(t, volume, mustRunTool(t, "", "luks", "-pin-file", pinFile(t, pin), volume)))
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
	require.Zero(t, secretOpens(t, volume, secret.String()))
	require.Equal(t, wrongPassphrase, secretOpens(t, volume, strings.ToLower(secret.String())))
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

// newVolumeFor plugs in a key with a PIN and enrolls it for a new volume.
func newVolumeFor(t *testing.T, c virtual.Config, options ...string) string {
	t.Helper()
	key := attachSoftKey(t, c)
	setPIN(t, key, pin)
	volume := newVolume(t)
	cryptenroll(t, key, volume, options...)
	return volume
}

// newVolume makes an encrypted volume in a file.
func newVolume(t *testing.T) string {
	t.Helper()
	volume := filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.WriteFile(volume, nil, 0o600))
	require.NoError(t, os.Truncate(volume, 4<<20))
	mustRunTool(t, passphrase, "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2",
		"--pbkdf-force-iterations", "1000", "--key-size", "256", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "512k",
		volume, "-")
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

const wrongPassphrase = 2 // an exit status of cryptsetup

// secretOpens has cryptsetup try a secret and returns its exit status.
func secretOpens(t *testing.T, volume, secret string) int {
	t.Helper()
	return runTool(t, secret, "cryptsetup", "open", "--test-passphrase", "--disable-external-tokens", "--key-file", "-", volume).status
}

// systemdOpens has cryptsetup get the secret by systemd's plugin, and returns its exit status.
func systemdOpens(t *testing.T, volume string) int {
	t.Helper()
	return runTool(t, pin+"\n", "cryptsetup", "open", "--test-passphrase", "--token-only", volume).status
}
