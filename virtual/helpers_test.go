package virtual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

var (
	testRP   = ctap2.RelyingParty{ID: "example.org", Name: "Example"}
	testHash = bytes.Repeat([]byte{0xcd}, 32)
	pin      = []byte("1234")
	wrongPIN = []byte("4321")
)

func newKey(t testing.TB, c Config) (*Authenticator, *ctap2.Client) {
	t.Helper()
	key, err := New(c)
	require.NoError(t, err)
	return key, &ctap2.Client{Transport: key}
}

// newKeyWithPIN returns a key whose PIN is [pin].
func newKeyWithPIN(t testing.TB, c Config) (*Authenticator, *ctap2.Client) {
	t.Helper()
	key, client := newKey(t, c)
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, ctap2.PINProtocol2), pin))
	return key, client
}

func agree(t testing.TB, client *ctap2.Client, p ctap2.PINProtocol) *ctap2.SharedSecret {
	t.Helper()
	s, err := client.KeyAgreement(t.Context(), p)
	require.NoError(t, err)
	return s
}

// newToken gets a token for makeCredential and getAssertion with the right PIN.
func newToken(t testing.TB, client *ctap2.Client, p ctap2.PINProtocol) *ctap2.Token {
	t.Helper()
	const both = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, p), pin, both, testRP.ID)
	require.NoError(t, err)
	return token
}

func tryPIN(t testing.TB, client *ctap2.Client, pin []byte) error {
	t.Helper()
	_, err := client.PINToken(t.Context(), agree(t, client, ctap2.PINProtocol2), pin)
	return err
}

func newRequest() *ctap2.MakeCredentialRequest {
	return &ctap2.MakeCredentialRequest{
		ClientDataHash:   testHash,
		RP:               testRP,
		User:             ctap2.User{ID: []byte{1}, Name: "alice", DisplayName: "Alice"},
		PubKeyCredParams: params(cose.ES256),
	}
}

func params(algs ...cose.Algorithm) (list []ctap2.CredentialParameter) {
	for _, alg := range algs {
		list = append(list, ctap2.CredentialParameter{Algorithm: alg, Type: ctap2.PublicKeyType})
	}
	return list
}

func list(ids ...[]byte) (descriptors []ctap2.CredentialDescriptor) {
	for _, id := range ids {
		descriptors = append(descriptors, ctap2.CredentialDescriptor{ID: id, Type: ctap2.PublicKeyType})
	}
	return descriptors
}

// withToken signs the request.
func withToken(req *ctap2.MakeCredentialRequest, token *ctap2.Token) *ctap2.MakeCredentialRequest {
	req.PINUVAuthParam, req.PINUVAuthProtocol = token.Authenticate(req.ClientDataHash), token.Protocol()
	return req
}

// register makes a credential and returns its authenticator data.
func register(t testing.TB, client *ctap2.Client, req *ctap2.MakeCredentialRequest) *ctap2.AuthenticatorData {
	t.Helper()
	resp, err := client.MakeCredential(t.Context(), req)
	require.NoError(t, err)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256([]byte(req.RP.ID)), data.RPIDHash)
	require.NotNil(t, data.Credential)
	return data
}

// passkey makes a discoverable credential for a user, with a token if the key has a PIN.
func passkey(t testing.TB, client *ctap2.Client, user byte, token *ctap2.Token) *ctap2.AuthenticatorData {
	t.Helper()
	req := newRequest()
	req.User = ctap2.User{ID: []byte{user}, Name: string(rune('a' + user))}
	req.Options.ResidentKey = true
	if token != nil {
		withToken(req, token)
	}
	return register(t, client, req)
}

func ask(ids ...[]byte) *ctap2.GetAssertionRequest {
	return &ctap2.GetAssertionRequest{RPID: testRP.ID, ClientDataHash: testHash, AllowList: list(ids...)}
}

func askWithToken(token *ctap2.Token, ids ...[]byte) *ctap2.GetAssertionRequest {
	req := ask(ids...)
	req.PINUVAuthParam, req.PINUVAuthProtocol = token.Authenticate(testHash), token.Protocol()
	return req
}

// checkAssertion verifies the signature and returns the authenticator data.
func checkAssertion(t testing.TB, resp *ctap2.GetAssertionResponse, k *cose.Key) *ctap2.AuthenticatorData {
	t.Helper()
	require.NoError(t, k.Verify(append(bytes.Clone(resp.AuthData), testHash...), resp.Signature))
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(t, err)
	return data
}

// send runs a command with parameters of any form, and returns its status.
func send(t testing.TB, key *Authenticator, cmd ctap2.Command, params any) ctap2.Status {
	t.Helper()
	request := []byte{byte(cmd)}
	if params != nil {
		encoded, err := ctapcbor.Marshal(params)
		require.NoError(t, err)
		request = append(request, encoded...)
	}
	resp, err := key.CBOR(t.Context(), request, nil)
	require.NoError(t, err)
	require.NotEmpty(t, resp)
	return ctap2.Status(resp[0])
}

// no is a pointer to false, for option up.
func no() *bool { return new(bool) }

var background = context.Background()

// authorize adds protocol 2 and a token's MAC over a message and its parameters to a request.
func authorize(
	t testing.TB, client *ctap2.Client, p ctap2.Permission, request map[int]any, protocol, param int, prefix []byte, params any,
) {
	t.Helper()
	if params != nil {
		encoded, err := ctapcbor.Marshal(params)
		require.NoError(t, err)
		prefix = append(prefix, encoded...)
	}
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, p, "")
	require.NoError(t, err)
	request[protocol], request[param] = 2, token.Authenticate(prefix)
}
