package guest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// TestU2F has keyfob and fido2-tools use each other's credentials on a key that speaks U2F only, where they have no
// choice, and has fido2-tools speak U2F to one that speaks both.
func TestU2F(t *testing.T) {
	t.Run("only", func(t *testing.T) {
		key := attachSoftKey(t, virtual.Config{U2FOnly: true})
		ours := keyfobRegister(t, key)
		require.Equal(t, "fido-u2f", ours.forTool(t).format)
		public := requireToolAccepts(t, ours.forTool(t), "es256")
		used := toolAuthenticate(t, key, ours.CredentialID, nil)
		require.Len(t, used, 1)
		requireToolAcceptsAssertion(t, used[0], public, "es256", "-p")
		requireToolsAreServed(t, key)
	})
	t.Run("besides CTAP2", func(t *testing.T) {
		requireToolsAreServed(t, attachSoftKey(t, virtual.Config{}), "-u")
	})
}

// requireToolsAreServed has fido2-cred make a credential, which keyfob and fido2-assert use.
func requireToolsAreServed(t *testing.T, key *softKey, options ...string) {
	t.Helper()
	made := toolRegister(t, key, "es256", options...)
	requireOurAccepts(t, made, cose.ES256, webauthn.AttestationBasic, ctap2.FlagUP)
	public := requireToolAccepts(t, made, "es256")
	requireToolAcceptsAssertion(t, toolAuthenticate(t, key, made.id, nil, options...)[0], public, "es256", "-p")

	verified := keyfobAuthenticate(t, key,
		"--credential", base64URL(made.id).String(), "--public-key", base64URL(marshalPKIX(t, public)).String())
	require.NotNil(t, verified.Verified)
	require.True(t, *verified.Verified)
}
