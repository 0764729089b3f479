package behaviour

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

const (
	here      = "behaviour.example"
	elsewhere = "elsewhere.example"
)

var clientDataHash = bytes.Repeat([]byte{0xcd}, 32)

// register makes a credential for [here], with the options that change sets.
func (k *session) register(
	t *testing.T, change func(*authenticator.CredentialOptions),
) (*authenticator.Credential, error) {
	t.Helper()
	opts := &authenticator.CredentialOptions{
		ClientDataHash: clientDataHash,
		RP:             ctap2.RelyingParty{ID: here, Name: "Behaviour"},
		User:           ctap2.User{ID: []byte("jane"), Name: "jane", DisplayName: "Jane"},
		Algorithms:     []cose.Algorithm{cose.ES256},
	}
	if change != nil {
		change(opts)
	}
	return k.MakeCredential(t.Context(), opts)
}

func (k *session) mustRegister(
	t *testing.T, change func(*authenticator.CredentialOptions),
) *authenticator.Credential {
	t.Helper()
	cred, err := k.register(t, change)
	require.NoError(t, err)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUP))
	_, err = cred.Attestation.Verify(clientDataHash)
	require.NoError(t, err)
	return cred
}

// assert asks for assertions at [here], with the options that change sets.
func (k *session) assert(
	t *testing.T, change func(*authenticator.AssertionOptions),
) ([]*authenticator.Assertion, error) {
	t.Helper()
	opts := &authenticator.AssertionOptions{RPID: here, ClientDataHash: clientDataHash}
	if change != nil {
		change(opts)
	}
	return k.GetAssertions(t.Context(), opts)
}

// mustSign wants one assertion by the credential.
func (k *session) mustSign(
	t *testing.T, cred *authenticator.Credential, change func(*authenticator.AssertionOptions),
) *authenticator.Assertion {
	t.Helper()
	all, err := k.assert(t, func(opts *authenticator.AssertionOptions) {
		opts.AllowList = [][]byte{cred.ID}
		if change != nil {
			change(opts)
		}
	})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, cred.ID, all[0].CredentialID)
	require.NoError(t, webauthn.VerifySignature(cred.PublicKey, all[0].AuthData, clientDataHash, all[0].Signature))
	return all[0]
}

func saysWhatItIs(t *testing.T, k *session) {
	info := k.Info()
	require.NotEmpty(t, info.Versions)
	require.GreaterOrEqual(t, info.MaxMsgSize, uint64(1024))
	require.False(t, k.has("credMgmt") && !k.has("rk"), "passkeys are managed where there are any")
	require.Equal(t, k.has("largeBlobs"), info.MaxSerializedLargeBlobArray >= 1024)
	if k.has("alwaysUv") {
		require.NotContains(t, info.Versions, "U2F_V2", "U2F verifies nobody")
	}
}

// algorithms are those of the key that it makes keys for in no time.
func (k *session) algorithms() []cose.Algorithm {
	list := []cose.Algorithm{cose.ES256}
	for _, p := range k.Info().Algorithms {
		if p.Algorithm != cose.RS256 && !slices.Contains(list, p.Algorithm) {
			list = append(list, p.Algorithm)
		}
	}
	return list
}

func registersAndSigns(t *testing.T, k *session) {
	for _, algorithm := range k.algorithms() {
		cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) {
			opts.Algorithms = []cose.Algorithm{algorithm}
		})
		require.Equal(t, algorithm, cred.PublicKey.Algorithm)
		first, second := k.mustSign(t, cred, nil), k.mustSign(t, cred, nil)
		require.True(t, first.AuthenticatorData.Flags.Has(ctap2.FlagUP))
		before, after := first.AuthenticatorData.SignCount, second.AuthenticatorData.SignCount
		require.True(t, before == 0 && after == 0 || after > before, "the counter goes up, or there is none")
	}
}

func verifiesUser(t *testing.T, k *session) {
	verified := func(opts *authenticator.CredentialOptions) { opts.UserVerification = authenticator.UVRequired }
	if !k.verifies() {
		_, err := k.register(t, verified)
		require.Error(t, err)
		require.Contains(t, []authenticator.Kind{authenticator.KindPINNotSet, authenticator.KindUnsupported},
			authenticator.KindOf(err))
		return
	}
	cred := k.mustRegister(t, verified)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	signed := k.mustSign(t, cred, func(opts *authenticator.AssertionOptions) {
		opts.UserVerification = authenticator.UVRequired
	})
	require.True(t, signed.AuthenticatorData.Flags.Has(ctap2.FlagUP|ctap2.FlagUV))
	signed = k.mustSign(t, cred, nil)
	require.Equal(t, k.has("alwaysUv"), signed.AuthenticatorData.Flags.Has(ctap2.FlagUV))
}

func signsInSilence(t *testing.T, k *session) {
	cred := k.mustRegister(t, nil)
	signed := k.mustSign(t, cred, func(opts *authenticator.AssertionOptions) { opts.NoTouch = true })
	require.False(t, signed.AuthenticatorData.Flags.Has(ctap2.FlagUP))
}

func knowsItsOwn(t *testing.T, k *session) {
	cred := k.mustRegister(t, nil)
	strangers := make([][]byte, 30)
	for i := range strangers {
		strangers[i] = bytes.Repeat([]byte{byte(i)}, len(cred.ID))
	}
	held, err := k.Holds(t.Context(), here, append(slices.Clone(strangers), cred.ID))
	require.NoError(t, err)
	require.Equal(t, cred.ID, held)
	_, err = k.Holds(t.Context(), here, strangers)
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	_, err = k.Holds(t.Context(), elsewhere, [][]byte{cred.ID})
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)

	all, err := k.assert(t, func(opts *authenticator.AssertionOptions) {
		opts.AllowList = append(slices.Clone(strangers), cred.ID)
	})
	require.NoError(t, err)
	require.Equal(t, cred.ID, all[0].CredentialID)
	_, err = k.assert(t, func(opts *authenticator.AssertionOptions) { opts.AllowList = strangers })
	require.Equal(t, authenticator.KindNoMatch, authenticator.KindOf(err), err)
}

func excludes(t *testing.T, k *session) {
	cred := k.mustRegister(t, nil)
	exclude := func(rpID string) func(*authenticator.CredentialOptions) {
		return func(opts *authenticator.CredentialOptions) {
			opts.RP.ID, opts.ExcludeList = rpID, [][]byte{[]byte("somebody else's"), cred.ID}
		}
	}
	_, err := k.register(t, exclude(here))
	require.Equal(t, authenticator.KindExcluded, authenticator.KindOf(err), err)
	k.mustRegister(t, exclude(elsewhere))
}

func derivesSecrets(t *testing.T, k *session) {
	if !k.Info().HasExtension("hmac-secret") {
		t.Skip("a key without hmac-secret")
	}
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	cred := k.mustRegister(t, func(opts *authenticator.CredentialOptions) { opts.HMACSecret = true })
	derive := func(salts ...[]byte) [][]byte {
		t.Helper()
		return k.mustSign(t, cred, func(opts *authenticator.AssertionOptions) { opts.HMACSecretSalts = salts }).HMACSecrets
	}
	both := derive(one, two)
	require.Len(t, both, 2)
	require.NotEqual(t, both[0], both[1])
	require.Equal(t, both[:1], derive(one))
	require.Equal(t, both[1:], derive(two))
	other := k.mustRegister(t, func(opts *authenticator.CredentialOptions) { opts.HMACSecret = true })
	require.NotEqual(t, both[0], k.mustSign(t, other, func(opts *authenticator.AssertionOptions) {
		opts.HMACSecretSalts = [][]byte{one}
	}).HMACSecrets[0])
}

// answersInAnyOrder mixes what the key remembers nothing of with what it does.
func answersInAnyOrder(t *testing.T, k *session) {
	first, second := k.mustRegister(t, nil), k.mustRegister(t, nil)
	require.NotEqual(t, first.ID, second.ID)
	for range 3 {
		k.mustSign(t, first, nil)
		_, err := k.assert(t, func(opts *authenticator.AssertionOptions) {
			opts.RPID, opts.AllowList = elsewhere, [][]byte{first.ID}
		})
		require.Equal(t, authenticator.KindNoMatch, authenticator.KindOf(err), err)
		k.mustSign(t, second, nil)
		require.NoError(t, k.Selection(t.Context()))
	}
}
