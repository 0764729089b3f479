package behaviour

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// enterPIN does what needs the PIN.
func (k *session) enterPIN(t *testing.T) error {
	t.Helper()
	_, err := k.register(t, func(opts *authenticator.CredentialOptions) {
		opts.UserVerification = authenticator.UVRequired
	})
	return err
}

func (k *session) retries(t *testing.T) int {
	t.Helper()
	left, _, err := k.PINRetries(t.Context())
	require.NoError(t, err)
	return left
}

func hasPIN(t *testing.T, k *session) {
	k.needs(t, "clientPin")
	require.False(t, k.has("clientPin"), "not after a reset")
	k.protect(t)
	require.True(t, k.has("clientPin"))
	most := k.retries(t)
	require.Positive(t, most)
	require.NoError(t, k.enterPIN(t))

	k.forgetToken(t)
	k.pin = secondPIN
	err := k.enterPIN(t)
	require.Equal(t, authenticator.KindPINInvalid, authenticator.KindOf(err), err)
	require.Equal(t, most-1, k.retries(t))
	require.Error(t, k.ChangePIN(t.Context(), []byte("another wrong one"), bytes.Clone(firstPIN)))
	require.Equal(t, most-2, k.retries(t))

	require.NoError(t, k.ChangePIN(t.Context(), bytes.Clone(firstPIN), bytes.Clone(secondPIN)))
	require.Equal(t, most, k.retries(t))
	require.NoError(t, k.enterPIN(t))
}

// forgetToken makes the next operation ask for the PIN.
func (k *session) forgetToken(t *testing.T) {
	t.Helper()
	k.open(t, k.key.Transport)
}

// locks enters three wrong PINs in a row: after that a key wants to be unplugged.
func locks(t *testing.T, k *session) {
	k.needs(t, "clientPin")
	if k.key.PowerCycle == nil {
		t.Skip("nobody to unplug the key")
	}
	k.protect(t)
	most := k.retries(t)
	var err error
	for _, pin := range []string{"wrong", "wrong again", "and again"} {
		k.pin = []byte(pin)
		err = k.enterPIN(t)
		require.Error(t, err)
	}
	require.Equal(t, authenticator.KindPINLocked, authenticator.KindOf(err), err)
	require.Equal(t, most-3, k.retries(t))
	k.pin = firstPIN
	require.ErrorIs(t, k.enterPIN(t), ctap2.ErrPINAuthBlocked, "the right one comes too late")

	k.key.Transport = k.key.PowerCycle(t)
	k.open(t, k.key.Transport)
	require.NoError(t, k.enterPIN(t))
	require.Equal(t, most, k.retries(t))
}
