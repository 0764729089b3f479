package guest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// TestOurVerificationAcceptsToolAssertions has fido2-assert -G sign in all the ways that it knows, and package
// webauthn verify the signatures.
func TestOurVerificationAcceptsToolAssertions(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	setPIN(t, key, pin)
	for _, kind := range toolTypes {
		id, public := toolCredentialKey(t, toolRegister(t, key, kind.name))
		signed := toolAuthenticate(t, key, id, nil)
		require.Len(t, signed, 1)
		requireOurAcceptsAssertion(t, signed[0], public, ctap2.FlagUP)
	}
	const touched, verified, secret = ctap2.FlagUP, ctap2.FlagUP | ctap2.FlagUV, ctap2.FlagED
	id, public := toolCredentialKey(t, toolRegister(t, key, "es256", "-r", "-h"))
	for _, use := range []struct {
		options []string
		salts   []byte
		flags   ctap2.Flags
	}{
		{options: []string{"-p"}, flags: touched},
		{options: []string{"-v"}, flags: verified},
		{options: []string{"-t", "up=false"}},
		{options: []string{"-r", "-v"}, flags: verified},
		{options: []string{"-h"}, salts: newHash(), flags: touched | secret},
		{options: []string{"-h", "-r", "-v"}, salts: bytes.Repeat(newHash(), 2), flags: verified | secret},
	} {
		t.Log(use.options)
		signed := toolAuthenticate(t, key, id, use.salts, use.options...)
		require.Len(t, signed, 1)
		requireOurAcceptsAssertion(t, signed[0], public, use.flags)
		require.Len(t, signed[0].secret, len(use.salts))
	}
}

// TestToolSeesEveryResidentKey has fido2-assert -G -r walk through the resident keys with getNextAssertion.
func TestToolSeesEveryResidentKey(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	public := map[string]*cose.Key{}
	for _, user := range []string{"ada", "grace", "joan"} {
		file := toolFile(t, base64Of(newHash()), rpID, user, base64Of([]byte(user)))
		made := parseToolCredential(t, mustRunTool(t, "", "fido2-cred", "-M", "-r", "-i", file, key.Path), false)
		_, public[user] = toolCredentialKey(t, made)
	}
	signed := toolAuthenticate(t, key, nil, nil, "-r")
	var users []string
	for _, a := range signed {
		users = append(users, string(a.userID))
		requireOurAcceptsAssertion(t, a, public[string(a.userID)], ctap2.FlagUP)
	}
	require.Equal(t, []string{"joan", "grace", "ada"}, users, "the newest comes first")
}

// TestWrongPINCostsOneRetry mistypes the PIN in fido2-assert, and asks keyfob what became of it.
func TestWrongPINCostsOneRetry(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	id, _ := toolCredentialKey(t, toolRegister(t, key, "es256"))
	setPIN(t, key, pin)
	file := toolFile(t, base64Of(newHash()), rpID, base64Of(id))
	wrong := runTool(t, "wrong pin\n", "fido2-assert", "-G", "-v", "-i", file, key.Path)
	require.Equal(t, 1, wrong.status)
	require.Contains(t, wrong.stderr, "FIDO_ERR_PIN_INVALID")
	requireRetries(t, key, 7)
	var state struct{ PINRetries int }
	mustRunKeyfob(t, &state, key, "pin retries")
	require.Equal(t, 7, state.PINRetries)
	toolAuthenticate(t, key, id, nil, "-v")
	requireRetries(t, key, 8)
}

// toolCredentialKey returns a new credential's ID and public key.
func toolCredentialKey(t *testing.T, c *toolCredential) ([]byte, *cose.Key) {
	t.Helper()
	data, err := webauthn.ParseAuthenticatorData(c.authData)
	require.NoError(t, err)
	return c.id, data.Credential.PublicKey
}

// requireOurAcceptsAssertion verifies a signature with package webauthn, and that it is not one of something else.
func requireOurAcceptsAssertion(t *testing.T, a *toolAssertion, key *cose.Key, flags ctap2.Flags) {
	t.Helper()
	require.NoError(t, webauthn.VerifySignature(key, a.authData, a.clientDataHash, a.sig))
	require.ErrorIs(t, webauthn.VerifySignature(key, a.authData, newHash(), a.sig), cose.ErrVerification)
	data, err := webauthn.ParseAuthenticatorData(a.authData)
	require.NoError(t, err)
	require.Equal(t, flags, data.Flags)
}
