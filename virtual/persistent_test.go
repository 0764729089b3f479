package virtual

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// hidden returns what the persistent token reveals.
func hidden(t *testing.T, client *ctap2.Client, token *ctap2.Token) (identifier, store [16]byte) {
	t.Helper()
	info := getInfo(t, client)
	identifier, err := info.Identifier(token)
	require.NoError(t, err)
	store, err = info.CredStoreState(token)
	require.NoError(t, err)
	return identifier, store
}

func persistentToken(t *testing.T, client *ctap2.Client) *ctap2.Token {
	t.Helper()
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, pcmr, "")
	require.NoError(t, err)
	return token
}

func TestPersistentToken(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{Version: CTAP23})
	token := persistentToken(t, client)
	identifier, store := hidden(t, client, token)
	require.NotEqual(t, getInfo(t, client).EncIdentifier, getInfo(t, client).EncIdentifier, "a new IV each time")

	key.PowerCycle()
	again := persistentToken(t, client)
	require.Equal(t, token.Authenticate(testHash), again.Authenticate(testHash))
	sameIdentifier, sameStore := hidden(t, client, token)
	require.Equal(t, identifier, sameIdentifier)
	require.Equal(t, store, sameStore)

	passkey(t, client, 1, newToken(t, client, 2))
	sameIdentifier, changed := hidden(t, client, token)
	require.Equal(t, identifier, sameIdentifier)
	require.NotEqual(t, store, changed)

	require.NoError(t, client.ChangePIN(t.Context(), agree(t, client, 2), pin, pin))
	another := persistentToken(t, client)
	require.NotEqual(t, token.Authenticate(testHash), another.Authenticate(testHash))
	sameIdentifier, sameStore = hidden(t, client, another)
	require.Equal(t, identifier, sameIdentifier)
	require.Equal(t, changed, sameStore)

	require.NoError(t, client.Reset(t.Context()))
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 2), pin))
	other, _ := hidden(t, client, persistentToken(t, client))
	require.NotEqual(t, identifier, other)
}

func TestPersistentTokenIsForReadingOnly(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{Version: CTAP22})
	token := persistentToken(t, client)
	_, err := client.MakeCredential(t.Context(), withToken(newRequest(), token))
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	config := &ctap2.AuthenticatorConfig{Client: client, Token: token}
	require.ErrorIs(t, config.ToggleAlwaysUV(t.Context()), ctap2.ErrPINAuthInvalid)

	hash := sha256.Sum256(nil)
	for _, p := range []ctap2.PINProtocol{1, 2} {
		mac := p.Authenticate(key.state.persistentToken(), hash[:])
		_, err := key.require(claim{p, mac, hash[:], cm | pcmr})
		require.NoError(t, err, "it is of both protocols")
		_, err = key.require(claim{p, mac, hash[:], cm})
		require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	}
}
