package behaviour

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func keepsLargeBlobs(t *testing.T, k *session) {
	if !k.has("largeBlobs") {
		_, err := k.LargeBlobs(t.Context())
		require.ErrorIs(t, err, authenticator.ErrUnsupported)
		return
	}
	k.protect(t)
	var keys [][]byte
	for _, user := range []string{"a", "b"} {
		cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) {
			opts.User.ID, opts.ResidentKey, opts.LargeBlobKey = []byte(user), true, true
		})
		require.Len(t, cred.LargeBlobKey, 32)
		keys = append(keys, cred.LargeBlobKey)
		require.NoError(t, k.SetLargeBlob(t.Context(), cred.LargeBlobKey, []byte("the blob of "+user)))
	}
	blobs, err := k.LargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, blobs.Len())
	for i, key := range keys {
		blob, found, err := blobs.Get(key)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "the blob of "+string("ab"[i]), string(blob))
	}
	require.NoError(t, k.DeleteLargeBlob(t.Context(), keys[0]))
	blobs, err = k.LargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, blobs.Len())

	err = k.SetLargeBlob(t.Context(), keys[0], incompressible(1<<16))
	require.Equal(t, authenticator.KindStoreFull, authenticator.KindOf(err), err)
}

// incompressible returns bytes that look random and are always the same.
func incompressible(size int) []byte {
	b, x := make([]byte, size), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223 // the constants of Numerical Recipes
		b[i] = byte(x >> 24)
	}
	return b
}

func knowsFingers(t *testing.T, k *session) {
	if !k.lists("bioEnroll") && !k.lists("userVerificationMgmtPreview") {
		_, err := k.Fingerprints(t.Context())
		require.ErrorIs(t, err, authenticator.ErrUnsupported)
		return
	}
	k.protect(t)
	fingers, err := k.Fingerprints(t.Context())
	require.NoError(t, err)
	require.Empty(t, fingers)
	require.False(t, k.has("uv"))

	samples := 0
	id, err := k.EnrollFingerprint(t.Context(), func(ctap2.Sample) { samples++ })
	require.NoError(t, err)
	require.Positive(t, samples)
	require.True(t, k.has("uv"))
	require.NoError(t, k.RenameFingerprint(t.Context(), id, "index"))
	fingers, err = k.Fingerprints(t.Context())
	require.NoError(t, err)
	require.Len(t, fingers, 1)
	require.Equal(t, id, fingers[0].ID)

	k.forgetToken(t)
	k.pin = nil // the finger will do
	require.NoError(t, k.enterPIN(t))
	k.pin = firstPIN
	require.NoError(t, k.RemoveFingerprint(t.Context(), id))
	require.False(t, k.has("uv"))
}

func obeysItsOwner(t *testing.T, k *session) {
	if !k.has("authnrCfg") {
		require.ErrorIs(t, k.ToggleAlwaysUV(t.Context()), authenticator.ErrUnsupported)
		return
	}
	k.protect(t)
	if k.lists("alwaysUv") {
		before := k.has("alwaysUv")
		require.NoError(t, k.ToggleAlwaysUV(t.Context()))
		require.Equal(t, !before, k.has("alwaysUv"))
	}
	if k.lists("ep") {
		require.NoError(t, k.EnableEnterpriseAttestation(t.Context()))
		require.True(t, k.has("ep"))
		cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) { opts.EnterpriseAttestation = 2 })
		require.True(t, cred.EnterpriseAttested)
	}
	if !k.has("setMinPINLength") {
		return
	}
	require.NoError(t, k.SetMinPINLength(t.Context(), &authenticator.MinPINLengthOptions{
		MinPINLength: 8, RPIDs: []string{here},
	}))
	require.EqualValues(t, 8, k.Info().MinPINLength)
	require.Error(t, k.ChangePIN(t.Context(), bytes.Clone(firstPIN), []byte("1234567")))
	require.NoError(t, k.ChangePIN(t.Context(), bytes.Clone(firstPIN), bytes.Clone(secondPIN)))
	k.pin = secondPIN
	cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) { opts.MinPINLength = true })
	require.Equal(t, 8, cred.MinPINLength)
}

func forgetsAll(t *testing.T, k *session) {
	if k.speaksU2FOnly() {
		require.ErrorIs(t, k.Reset(t.Context()), authenticator.ErrUnsupported)
		return
	}
	k.protect(t)
	sealed := k.mustRegister(t, nil)
	ids := [][]byte{sealed.ID}
	if k.has("rk") {
		ids = append(ids, k.passkey(t, here, "a").ID)
	}
	k.reset(t)
	require.False(t, k.has("clientPin"))
	for _, id := range ids {
		_, err := k.Holds(t.Context(), here, [][]byte{id})
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	}
}
