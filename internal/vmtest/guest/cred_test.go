package guest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// TestOurVerificationAcceptsToolCredentials has fido2-cred -M make credentials of all kinds, and package webauthn
// verify them.
func TestOurVerificationAcceptsToolCredentials(t *testing.T) {
	for _, attestation := range []struct {
		name   string
		config virtual.Attestation
		want   webauthn.AttestationType
	}{
		{"self", virtual.AttestationSelf, webauthn.AttestationSelf},
		{"basic", virtual.AttestationBasic, webauthn.AttestationBasic},
	} {
		t.Run(attestation.name, func(t *testing.T) {
			key := attachSoftKey(t, virtual.Config{Attestation: attestation.config})
			setPIN(t, key, pin)
			for _, kind := range toolTypes {
				c := toolRegister(t, key, kind.name)
				requireOurAccepts(t, c, kind.algorithm, attestation.want, ctap2.FlagUP)
			}
			for _, options := range [][]string{{"-r"}, {"-h"}, {"-r", "-h"}, {"-c", "2"}} {
				t.Log(options)
				c := toolRegister(t, key, "es256", options...)
				requireOurAccepts(t, c, cose.ES256, attestation.want, ctap2.FlagUP)
			}
			c := toolRegister(t, key, "es256", "-v", "-r", "-h")
			data := requireOurAccepts(t, c, cose.ES256, attestation.want, ctap2.FlagUP|ctap2.FlagUV|ctap2.FlagED)
			require.NotEmpty(t, data.Extensions)
		})
	}
}

// requireOurAccepts verifies a credential with package webauthn, and that a changed one does not verify.
func requireOurAccepts(
	t *testing.T, c *toolCredential, alg cose.Algorithm, attestation webauthn.AttestationType, flags ctap2.Flags,
) *webauthn.AuthenticatorData {
	t.Helper()
	object := c.object(t, alg)
	verified, err := object.Verify(c.clientDataHash)
	require.NoError(t, err)
	require.Equal(t, attestation, verified.Type)

	data, err := webauthn.ParseAuthenticatorData(c.authData)
	require.NoError(t, err)
	require.Equal(t, c.id, data.Credential.ID)
	require.Equal(t, alg, data.Credential.PublicKey.Algorithm)
	require.True(t, data.Flags.Has(flags), data.Flags.String())

	_, err = object.Verify(newHash())
	require.ErrorIs(t, err, cose.ErrVerification)
	return data
}
