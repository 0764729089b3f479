package behaviour

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// passkey makes one.
func (k *session) passkey(t *testing.T, rpID, user string) *authenticator.Credential {
	t.Helper()
	return k.mustRegister(t, func(opts *authenticator.CredentialOptions) {
		opts.RP = ctap2.RelyingParty{ID: rpID, Name: "RP " + rpID}
		opts.User = ctap2.User{ID: []byte(user), Name: user, DisplayName: "User " + user}
		opts.ResidentKey = true
	})
}

// needsPasskeys sets up a key that can keep any.
func (k *session) needsPasskeys(t *testing.T) {
	t.Helper()
	if !k.has("rk") {
		t.Skip("a key without passkeys")
	}
	k.protect(t)
}

func keepsPasskeys(t *testing.T, k *session) {
	k.needsPasskeys(t)
	a, b := k.passkey(t, here, "a"), k.passkey(t, here, "b")
	k.passkey(t, elsewhere, "c")
	again := k.passkey(t, here, "a") // in place of the first
	found, err := k.assert(t, func(opts *authenticator.AssertionOptions) {
		opts.UserVerification = authenticator.UVPreferred
	})
	require.NoError(t, err)
	require.Len(t, found, 2)
	for i, want := range []*authenticator.Credential{again, b} { // the newest first
		require.Equal(t, want.ID, found[i].CredentialID)
		require.NoError(t, webauthn.VerifySignature(want.PublicKey, found[i].AuthData, clientDataHash, found[i].Signature))
		user := string([]byte{"ab"[i]})
		require.Equal(t, []byte(user), found[i].User.ID)
		if k.verifies() {
			require.Equal(t, "User "+user, found[i].User.DisplayName)
		}
	}
	_, err = k.Holds(t.Context(), here, [][]byte{a.ID})
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
}

func managesPasskeys(t *testing.T, k *session) {
	if !k.has("credMgmt") && !k.has("credentialMgmtPreview") {
		_, err := k.Credentials(t.Context())
		require.ErrorIs(t, err, authenticator.ErrUnsupported)
		return
	}
	k.needsPasskeys(t)
	list, err := k.Credentials(t.Context())
	require.NoError(t, err)
	require.Zero(t, list.Existing)
	require.Empty(t, list.RelyingParties)
	room := list.Remaining

	a, b := k.passkey(t, here, "a"), k.passkey(t, here, "b")
	c := k.passkey(t, elsewhere, "c")
	list, err = k.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, list.Existing)
	require.Equal(t, room-3, list.Remaining)
	require.Len(t, list.RelyingParties, 2)
	for i, want := range [][]*authenticator.Credential{{a, b}, {c}} {
		rp := list.RelyingParties[i]
		require.Equal(t, sha256.Sum256([]byte([]string{here, elsewhere}[i])), rp.RPIDHash)
		require.Len(t, rp.Credentials, len(want))
		for j, cred := range want {
			require.Equal(t, cred.ID, rp.Credentials[j].ID)
			require.Equal(t, cred.PublicKey.Public, rp.Credentials[j].PublicKey.Public)
		}
	}

	k.renames(t, a)
	require.NoError(t, k.DeleteCredential(t.Context(), b.ID))
	require.Error(t, k.DeleteCredential(t.Context(), b.ID))
	list, err = k.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, list.Existing)
	k.mustSign(t, a, nil)
	_, err = k.Holds(t.Context(), here, [][]byte{b.ID})
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
}

// renames gives the user of a credential another name, unless the key is of the preview.
func (k *session) renames(t *testing.T, cred *authenticator.Credential) {
	t.Helper()
	err := k.UpdateUser(t.Context(), cred.ID, ctap2.User{ID: []byte("a"), Name: "renamed"})
	if !k.has("credMgmt") {
		require.ErrorIs(t, err, authenticator.ErrUnsupported)
		return
	}
	require.NoError(t, err)
	list, err := k.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, ctap2.User{ID: []byte("a"), Name: "renamed"}, list.RelyingParties[0].Credentials[0].User)
}

func hidesPasskeys(t *testing.T, k *session) {
	if !k.Info().HasExtension("credProtect") {
		t.Skip("a key without credProtect")
	}
	k.needsPasskeys(t)
	cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) {
		opts.ResidentKey, opts.CredProtect = true, ctap2.CredProtectUVRequired
	})
	k.forgetToken(t)
	_, err := k.Holds(t.Context(), here, [][]byte{cred.ID})
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	k.mustSign(t, cred, func(opts *authenticator.AssertionOptions) {
		opts.UserVerification = authenticator.UVRequired
	})
}

func keepsExtensions(t *testing.T, k *session) {
	k.needsPasskeys(t)
	blob, payment := k.Info().HasExtension("credBlob"), k.Info().HasExtension("thirdPartyPayment")
	cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) {
		opts.ResidentKey, opts.ThirdPartyPayment = true, payment
		if blob {
			opts.CredBlob = []byte("a small blob")
		}
	})
	signed := k.mustSign(t, cred, func(opts *authenticator.AssertionOptions) {
		opts.CredBlob, opts.ThirdPartyPayment = blob, payment
	})
	require.Equal(t, payment, signed.ThirdPartyPayment)
	if blob {
		require.Equal(t, []byte("a small blob"), signed.CredBlob)
	}
}
