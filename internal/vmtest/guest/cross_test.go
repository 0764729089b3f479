package guest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestKeyfobUsesToolCredentials has keyfob sign with what fido2-cred made, and check it with the public key that
// fido2-cred -V found.
func TestKeyfobUsesToolCredentials(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	for _, kind := range toolTypes {
		made := toolRegister(t, key, kind.name)
		public := marshalPKIX(t, requireToolAccepts(t, made, kind.name))
		options := []string{"--credential", base64URL(made.id).String(), "--public-key"}
		used := keyfobAuthenticate(t, key, append(options, public.String())...)
		require.NotNil(t, used.Verified)
		require.True(t, *used.Verified)
	}
}

// TestToolUsesKeyfobCredentials has fido2-assert sign with what keyfob made, and check it with the public key that
// keyfob returned.
func TestToolUsesKeyfobCredentials(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	for _, kind := range toolTypes {
		made := keyfobRegister(t, key, "--alg", kind.name)
		public, err := cose.ParsePKIX(made.PublicKey)
		require.NoError(t, err)
		used := toolAuthenticate(t, key, made.CredentialID, nil)
		require.Len(t, used, 1)
		requireToolAcceptsAssertion(t, used[0], public, kind.name, "-p")
	}
}

// TestHMACSecretIsTheSame derives secrets from the same salts with keyfob and with fido2-assert, from credentials
// that either made, with the PIN and without, which are different secrets.
func TestHMACSecretIsTheSame(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	setPIN(t, key, pin)
	ofTool, _ := toolCredentialKey(t, toolRegister(t, key, "es256", "-h"))
	ofKeyfob := keyfobRegister(t, key, "--hmac-secret").CredentialID
	first, second := newHash(), newHash()
	both := append(first[:len(first):len(first)], second...)
	keyfobPIN := []string{"--uv", "--pin-file", pinFile(t, pin)}

	for _, id := range [][]byte{ofTool, ofKeyfob} {
		one := requireSameSecret(t, key, id, first, nil, nil)
		two := requireSameSecret(t, key, id, both, nil, nil)
		require.Len(t, two, 64)
		require.Equal(t, one, two[:32])
		verified := requireSameSecret(t, key, id, both, keyfobPIN, []string{"-v"})
		require.NotEqual(t, two, verified)
	}
}

// requireSameSecret returns the secret that both derive from one or two salts.
func requireSameSecret(t *testing.T, key *softKey, id, salts []byte, keyfobOptions, toolOptions []string) []byte {
	t.Helper()
	options := append([]string{"--credential", base64URL(id).String()}, keyfobOptions...)
	for salt := range slices.Chunk(salts, 32) {
		options = append(options, "--salt", base64URL(salt).String())
	}
	ours := keyfobAuthenticate(t, key, options...).HMACSecret
	theirs := toolAuthenticate(t, key, id, salts, append(toolOptions, "-h")...)
	require.Len(t, ours, len(salts))
	require.Equal(t, theirs[0].secret, []byte(ours))
	return ours
}
