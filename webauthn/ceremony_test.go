package webauthn

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A testKeyfob is an authenticator and a client that do as they are told.
type testKeyfob struct {
	clientData ClientData
	authData   AuthenticatorData
	format     string // of [attest.Formats]
	statement  any    // replaces the format's
	results    ExtensionResults
	rawID      []byte
	userHandle []byte
}

var testChallenge = []byte("a challenge of 32 bytes, at last")

func expected() Ceremony {
	return Ceremony{Challenge: testChallenge, RPID: "example.org", Origins: []string{"https://example.org", "android:x"}}
}

func newTestKeyfob(t testing.TB, typ string) *testKeyfob {
	t.Helper()
	k := &testKeyfob{
		clientData: ClientData{Type: typ, Challenge: testChallenge, Origin: "https://example.org"},
		authData: AuthenticatorData{
			RPIDHash:  sha256.Sum256([]byte("example.org")),
			Flags:     ctap2.FlagUP | ctap2.FlagUV,
			SignCount: 7,
		},
		format:     "packed",
		rawID:      []byte("credential"),
		userHandle: []byte("user"),
	}
	if typ == TypeCreate {
		key, err := cose.NewKey(cose.ES256, testKey(t, cose.ES256).Public())
		require.NoError(t, err)
		k.authData.Flags |= ctap2.FlagAT
		k.authData.Credential = &ctap2.AttestedCredential{AAGUID: testAAGUID, ID: []byte("credential"), PublicKey: key}
	}
	return k
}

func (k *testKeyfob) register(t testing.TB) *RegistrationResponse {
	t.Helper()
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	clientDataJSON := k.clientData.JSON()
	hash := ClientDataHash(clientDataJSON)
	r := &attest.Registration{
		AuthData: authData, ClientDataHash: hash[:], Algorithm: cose.ES256, Key: testKey(t, cose.ES256),
	}
	o := &AttestationObject{Format: k.format, AuthData: authData}
	if k.statement != nil {
		o.Statement, err = ctapcbor.Marshal(k.statement)
		require.NoError(t, err)
	} else {
		o = object(t, k.format, r)
	}
	b, err := o.Marshal()
	require.NoError(t, err)
	return &RegistrationResponse{
		RawID: k.rawID, ClientDataJSON: clientDataJSON, AttestationObject: b, Transports: []string{"usb"},
		ClientExtensionResults: k.results,
	}
}

func (k *testKeyfob) authenticate(t testing.TB) *AuthenticationResponse {
	t.Helper()
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	clientDataJSON := k.clientData.JSON()
	hash := ClientDataHash(clientDataJSON)
	sig, err := attest.Sign(cose.ES256, testKey(t, cose.ES256), append(bytes.Clone(authData), hash[:]...))
	require.NoError(t, err)
	return &AuthenticationResponse{
		RawID: k.rawID, ClientDataJSON: clientDataJSON, AuthenticatorData: authData, Signature: sig,
		UserHandle: k.userHandle, ClientExtensionResults: k.results,
	}
}

func registrationOptions() *RegistrationOptions { return &RegistrationOptions{Ceremony: expected()} }

func assertionOptions() *AssertionOptions {
	return &AssertionOptions{Ceremony: expected(), UserHandle: []byte("user")}
}

func testRecord(t testing.TB) *CredentialRecord {
	t.Helper()
	key, err := cose.NewKey(cose.ES256, testKey(t, cose.ES256).Public())
	require.NoError(t, err)
	return &CredentialRecord{ID: []byte("credential"), PublicKey: key, SignCount: 6}
}

// requireStep checks that an error is of one step only, and says so.
func requireStep(t testing.TB, want Step, err error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	var step Step
	require.ErrorAs(t, err, &step)
	require.Equal(t, want, step)
	for s := StepCredential; s <= StepExtensions; s++ {
		require.Equal(t, s == want, errors.Is(err, s), "%v", s)
	}
	require.ErrorContains(t, err, ": "+want.Error()+": ")
}

func TestStepNames(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for s := StepCredential; s <= StepExtensions; s++ {
		require.NotEmpty(t, s.Error())
		require.False(t, seen[s.Error()], "%v", s)
		seen[s.Error()] = true
	}
	require.Equal(t, "step 0", Step(0).Error())
	require.Equal(t, "step 99", Step(99).Error())
	require.Equal(t, "step -1", Step(-1).Error())
}
