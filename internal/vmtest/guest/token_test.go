package guest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestTokenListsSoftKey(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	listed := mustRunTool(t, "", "fido2-token", "-L")
	require.Equal(t, key.Path+": vendor=0x1209, product=0xf1d0 (keyfob Soft key)\n", listed)
}

func TestTokenDescribesSoftKey(t *testing.T) {
	for _, bus := range buses {
		t.Run(bus.name, func(t *testing.T) {
			key := bus.attach(t, virtual.Config{})
			described := mustRunTool(t, "", "fido2-token", "-I", key.Path)
			for _, want := range []string{
				"proto: 0x02",
				"caps: 0x05 (wink, cbor, msg)",
				"version strings: U2F_V2, FIDO_2_0, FIDO_2_1",
				"extension strings: credProtect, hmac-secret",
				"transport strings: usb",
				"algorithms: es256 (public-key), eddsa (public-key), es384 (public-key), unknown (public-key), " +
					"rs256 (public-key)",
				"options: rk, up, noplat, noalwaysUv, ",
				", noclientPin, ",
				", pinUvAuthToken, ",
				", makeCredUvNotRqd\n",
				"maxcredcntlst: 8",
				"maxcredlen: 128",
				"remaining rk(s): 100",
				"minpinlen: 4",
				"pin protocols: 2, 1",
				"pin retries: 8",
				"pin change required: false",
				"uv retries: undefined",
			} {
				require.Contains(t, described, want)
			}
		})
	}
}

// TestTokenManagesPIN sets, changes and mistypes the PIN, and resets the key, with fido2-token; keyfob's library sees
// what became of it.
func TestTokenManagesPIN(t *testing.T) {
	const first = "пароль"
	key := attachSoftKey(t, virtual.Config{})
	setPIN(t, key, first)
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-I", key.Path), ", clientPin,")
	requireRetries(t, key, 8)

	again := runTool(t, first+"\n"+first+"\n", "fido2-token", "-S", key.Path)
	require.Equal(t, 1, again.status, "a key has one first PIN")
	wrong := runTool(t, "wrong pin\n"+pin+"\n"+pin+"\n", "fido2-token", "-C", key.Path)
	require.Equal(t, 1, wrong.status)
	require.Contains(t, wrong.stderr, "FIDO_ERR_PIN_INVALID")
	requireRetries(t, key, 7)

	mustRunTool(t, first+"\n"+pin+"\n"+pin+"\n", "fido2-token", "-C", key.Path)
	requireRetries(t, key, 8)
	toolRegister(t, key, "es256", "-r")
	require.Equal(t, 1, key.Credentials())

	mustRunTool(t, "", "fido2-token", "-R", key.Path)
	require.Zero(t, key.Credentials())
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-I", key.Path), " noclientPin,")
}

// requireRetries asks the key with keyfob's library how many wrong PINs it still takes.
func requireRetries(t *testing.T, key *softKey, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	a, err := authenticator.Open(ctx, key.Info, nil)
	require.NoError(t, err)
	defer a.Close()
	left, _, err := a.PINRetries(ctx)
	require.NoError(t, err)
	require.Equal(t, want, left)
}
