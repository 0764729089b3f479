package virtual

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Section 6.5.2.2: a PIN that is blocked takes built-in user verification with it, until a reset.
func TestBlockedPINBlocksBuiltInUV(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{PIN: PINPolicy{Retries: 2}, UserVerification: recognize})
	getToken := func() error {
		_, err := client.UVToken(t.Context(), agree(t, client, 2), ctap2.PermissionMakeCredential, testRP.ID)
		return err
	}
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
	require.NoError(t, getToken())
	require.NoError(t, tryPIN(t, client, pin), "the last retry but one")
	require.NoError(t, getToken())

	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINBlocked)
	for range 2 {
		require.ErrorIs(t, getToken(), ctap2.ErrUVBlocked)
		left, err := client.UVRetries(t.Context(), 2)
		require.NoError(t, err)
		require.Zero(t, left)
		req := newRequest()
		req.Options.UserVerification = true
		_, err = client.MakeCredential(t.Context(), req)
		require.ErrorIs(t, err, ctap2.ErrPUATRequired)
		key.PowerCycle()
	}
	require.NoError(t, client.Reset(t.Context()))
	require.NoError(t, getToken())
}

// Section 6.1.2, step 11.2: the status when the key gives up for good, and there is no PIN to help.
func TestBlockedBuiltInUVWithoutPIN(t *testing.T) {
	t.Parallel()
	for version, want := range map[Version]ctap2.Status{
		CTAP20: ctap2.ErrOperationDenied, // had no such rule
		CTAP21: ctap2.ErrPINBlocked,
		CTAP23: ctap2.ErrPINBlocked,
	} {
		_, client := newKey(t, Config{
			Version:          version,
			NoClientPIN:      true,
			UVRetries:        uvAttempts + 1,
			UserVerification: func(context.Context, Prompt) error { return errNotRecognized },
		})
		req := newRequest()
		req.Options.UserVerification = true
		_, err := client.MakeCredential(t.Context(), req)
		require.ErrorIs(t, err, ctap2.ErrOperationDenied, "one try left")
		_, err = client.MakeCredential(t.Context(), req)
		require.ErrorIs(t, err, want, version)
	}
}
