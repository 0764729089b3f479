package virtual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// A request may have several faults; the specification says which of them counts (sections 6.1.2 and 6.2.2). Here each
// request has one more fault than the one before it, which must be found first.

func TestMakeCredentialFindsFaultsInOrder(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{MakeCredUVRequired: true, MaxCredentialCountInList: 2})
	held := register(t, client, withToken(newRequest(), newToken(t, client, 2))).Credential.ID
	type request = ctap2.MakeCredentialRequest
	req := newRequest()
	req.Extensions.LargeBlobKey = true // no passkey
	token := newToken(t, client, 2)
	for _, tt := range []struct {
		name  string
		fault func(r *request)
		want  ctap2.Status
	}{
		{"an extension that can't be had", func(r *request) { withToken(r, token) }, ctap2.ErrInvalidOption},
		{"a credential of the exclude list", func(r *request) {
			r.ExcludeList = list(held)
			withToken(r, newToken(t, client, 2))
		}, ctap2.ErrCredentialExcluded},
		{"the wrong token", func(r *request) { r.PINUVAuthParam[0] ^= 1 }, ctap2.ErrPINAuthInvalid},
		{"a long exclude list", func(r *request) { r.ExcludeList = list(held, held, held) }, ctap2.ErrLimitExceeded},
		{"enterprise attestation", func(r *request) { r.EnterpriseAttestation = 1 }, ctap2.ErrInvalidParameter},
		{"no token", func(r *request) { r.PINUVAuthParam, r.PINUVAuthProtocol = nil, 0 }, ctap2.ErrPUATRequired},
		{"option up", func(r *request) { r.Options.UserPresence = no() }, ctap2.ErrInvalidOption},
		{"the algorithm", func(r *request) { r.PubKeyCredParams = params(-999) }, ctap2.ErrUnsupportedAlgorithm},
		{"the protocol", func(r *request) { r.PINUVAuthParam, r.PINUVAuthProtocol = testHash, 9 }, ctap2.ErrInvalidParameter},
		{"a probe", func(r *request) { r.PINUVAuthParam = []byte{} }, ctap2.ErrPINInvalid},
		{"the hash", func(r *request) { r.ClientDataHash = testHash[1:] }, ctap2.ErrInvalidLength},
	} {
		tt.fault(req)
		_, err := client.MakeCredential(t.Context(), req)
		require.ErrorIs(t, err, tt.want, tt.name)
	}
	require.Zero(t, key.Credentials())
}

func TestGetAssertionFindsFaultsInOrder(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{AlwaysUV: true, MaxCredentialCountInList: 2})
	made := register(t, client, withToken(newRequest(), newToken(t, client, 2)))
	in, err := ctap2.NewHMACSecretInput(agree(t, client, 2), make([]byte, 16))
	require.NoError(t, err)
	type request = ctap2.GetAssertionRequest
	req := ask(made.Credential.ID)
	req.Extensions.HMACSecret = in // half a salt
	authorize := func(r *request) {
		token := newToken(t, client, 2)
		r.PINUVAuthParam, r.PINUVAuthProtocol = token.Authenticate(testHash), 2
	}
	for _, tt := range []struct {
		name  string
		fault func(r *request)
		want  ctap2.Status
	}{
		{"half a salt", func(r *request) {
			authorize(r)
			in, err := ctap2.NewHMACSecretInput(agree(t, client, 2), make([]byte, 16))
			require.NoError(t, err)
			r.Extensions.HMACSecret = in
		}, ctap2.ErrInvalidParameter},
		{"no credential", func(r *request) {
			authorize(r)
			r.AllowList = list([]byte{1})
		}, ctap2.ErrNoCredentials},
		{"the wrong token", func(r *request) { r.PINUVAuthParam[0] ^= 1 }, ctap2.ErrPINAuthInvalid},
		{"a long allow list", func(r *request) { r.AllowList = list([]byte{1}, []byte{2}, []byte{3}) }, ctap2.ErrLimitExceeded},
		{"no token", func(r *request) { r.PINUVAuthParam, r.PINUVAuthProtocol = nil, 0 }, ctap2.ErrPUATRequired},
		{"a secret in silence", func(r *request) { r.Options.UserPresence = no() }, ctap2.ErrUnsupportedOption},
		{"option uv", func(r *request) { r.Options.UserVerification = true }, ctap2.ErrInvalidOption},
		{"the protocol", func(r *request) { r.PINUVAuthParam, r.PINUVAuthProtocol = testHash, 9 }, ctap2.ErrInvalidParameter},
		{"a probe", func(r *request) { r.PINUVAuthParam = []byte{} }, ctap2.ErrPINInvalid},
		{"the hash", func(r *request) { r.ClientDataHash = testHash[1:] }, ctap2.ErrInvalidLength},
	} {
		tt.fault(req)
		_, err := client.GetAssertion(t.Context(), req)
		require.ErrorIs(t, err, tt.want, tt.name)
	}
}
