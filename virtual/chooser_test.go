package virtual

import (
	"context"
	"errors"
	"testing"
	"time"

	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

func TestChooseAccount(t *testing.T) {
	t.Parallel()
	var seen []ctap2.User
	answer, failure := 1, error(nil)
	_, client := newKeyWithPIN(t, Config{ChooseAccount: func(_ context.Context, p Prompt, users []ctap2.User) (int, error) {
		require.Equal(t, Prompt{Command: ctap2.CommandGetAssertion, RPID: testRP.ID}, p)
		seen = users
		return answer, failure
	}})
	made := passkey(t, client, 1, newToken(t, client, 2))
	resp, err := client.GetAssertion(t.Context(), ask())
	require.NoError(t, err)
	require.False(t, resp.UserSelected, "there was nothing to choose")
	require.Nil(t, seen)

	passkey(t, client, 2, newToken(t, client, 2))
	resp, err = client.GetAssertion(t.Context(), ask())
	require.NoError(t, err)
	require.True(t, resp.UserSelected)
	require.Zero(t, resp.NumberOfCredentials)
	require.Equal(t, made.Credential.ID, resp.Credential.ID)
	require.Equal(t, []ctap2.User{{ID: []byte{2}, Name: "c"}, {ID: []byte{1}, Name: "b"}}, seen, "the newest first")
	checkAssertion(t, resp, made.Credential.PublicKey)
	_, err = client.GetNextAssertion(t.Context())
	require.ErrorIs(t, err, ctap2.ErrNotAllowed)

	seen = nil
	resp, err = client.GetAssertion(t.Context(), ask(made.Credential.ID))
	require.NoError(t, err)
	require.Nil(t, seen, "the platform has chosen")
	require.False(t, resp.UserSelected)
	silent := ask()
	silent.Options.UserPresence = no()
	resp, err = client.GetAssertion(t.Context(), silent)
	require.NoError(t, err)
	require.EqualValues(t, 2, resp.NumberOfCredentials, "nobody is asked in silence")
	require.Nil(t, seen)

	for _, tt := range []struct {
		answer  int
		failure error
		want    ctap2.Status
	}{
		{0, errors.New("neither"), ctap2.ErrOperationDenied},
		{0, ctap2.ErrUserActionTimeout, ctap2.ErrUserActionTimeout},
		{-1, nil, ctap2.ErrOperationDenied},
		{2, nil, ctap2.ErrOperationDenied},
	} {
		answer, failure = tt.answer, tt.failure
		_, err = client.GetAssertion(t.Context(), ask())
		require.ErrorIs(t, err, tt.want)
	}
}

func TestChooseAccountEndsWithTheTouchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := newKey(t, Config{ChooseAccount: func(ctx context.Context, _ Prompt, _ []ctap2.User) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}})
		passkey(t, client, 1, nil)
		passkey(t, client, 2, nil)
		start := time.Now()
		_, err := client.GetAssertion(t.Context(), ask())
		require.ErrorIs(t, err, ctap2.ErrUserActionTimeout)
		require.Equal(t, defaultTouchTimeout, time.Since(start))
	})
}
