package authenticator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestPersistentToken(t *testing.T) {
	t.Parallel()
	s := twoRPs(t)
	p, ui := answers(t, "1234")
	w := &wire{key: keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})}
	w.answering(t, option("credMgmt", "perCredMgmtRO"), map[ctap2.Command]fake{credentialManagement: s.answer})
	a := openWire(t, w, ui)
	persistent, err := a.PersistentToken(t.Context())
	require.NoError(t, err)
	require.Len(t, persistent, 33)
	require.Len(t, p.requests, 1)
	id, err := a.Identifier(persistent)
	require.NoError(t, err)
	require.NotZero(t, id)
	require.NoError(t, a.Close())

	// Another program run, and nobody to ask.
	a = openWire(t, w, nil)
	w.sent()
	list, err := a.CredentialsReadOnly(t.Context(), persistent)
	require.NoError(t, err)
	require.Len(t, list.RelyingParties, 2)
	require.Len(t, w.sent(), 1+2+3)
	again, err := a.Identifier(persistent)
	require.NoError(t, err)
	require.Equal(t, id, again, "although it is encrypted anew")
	require.Empty(t, w.sent())

	state, err := a.CredStoreState(t.Context(), persistent)
	require.NoError(t, err)
	same, err := a.CredStoreState(t.Context(), persistent)
	require.NoError(t, err)
	require.Equal(t, state, same)
	require.Equal(t, []ctap2.Command{getInfo, getInfo}, w.sent())
	_, err = a.Credentials(t.Context())
	require.ErrorIs(t, err, ErrPINRequired)
}

func TestPersistentTokensThatAreNone(t *testing.T) {
	t.Parallel()
	w := &wire{key: keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})}
	w.answering(t, option("credMgmt", "perCredMgmtRO"), nil)
	a := openWire(t, w, nil)
	w.sent()
	for _, bad := range [][]byte{nil, {2}, make([]byte, 33), append([]byte{2}, make([]byte, 16)...), make([]byte, 1000)} {
		_, err := a.CredentialsReadOnly(t.Context(), bad)
		require.ErrorIs(t, err, ErrInvalidOptions)
		_, err = a.Identifier(bad)
		require.ErrorIs(t, err, ErrInvalidOptions)
	}
	require.Empty(t, w.sent())
}

func TestPersistentTokensAreCleared(t *testing.T) {
	t.Parallel()
	var used *ctap2.Token
	require.NoError(t, withPersistent(append([]byte{2}, noise(32)...), func(token *ctap2.Token) error {
		used = token
		require.Equal(t, noise(32), token.Secret())
		return nil
	}))
	require.Equal(t, make([]byte, 32), used.Secret())
}
