package virtual

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// assertWith makes a passkey on a key with the faults and asks for an assertion with it.
func assertWith(
	t *testing.T, faults Faults, change func(*ctap2.GetAssertionRequest),
) (*ctap2.AuthenticatorData, *ctap2.GetAssertionResponse) {
	t.Helper()
	_, client := newKey(t, Config{Faults: faults})
	req := newRequest()
	req.Options.ResidentKey = true
	made := register(t, client, req)
	get := ask(made.Credential.ID)
	if change != nil {
		change(get)
	}
	resp, err := client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	return made, resp
}

func TestFaultsOmitMembers(t *testing.T) {
	t.Parallel()
	both := func(req *ctap2.GetAssertionRequest) { req.AllowList = append(list([]byte("x")), req.AllowList...) }
	for name, tt := range map[string]struct {
		faults           Faults
		change           func(*ctap2.GetAssertionRequest)
		credential, user bool // there
	}{
		"none":                    {Faults{}, nil, true, true},
		"credential":              {Faults{OmitCredential: true}, nil, false, true},
		"credential, two listed":  {Faults{OmitCredential: true}, both, false, true},
		"sole one":                {Faults{OmitSoleCredential: true}, nil, false, true},
		"sole one, two listed":    {Faults{OmitSoleCredential: true}, both, true, true},
		"sole one, without list":  {Faults{OmitSoleCredential: true}, func(r *ctap2.GetAssertionRequest) { r.AllowList = nil }, true, true},
		"user":                    {Faults{OmitUser: true}, nil, true, false},
		"user and the credential": {Faults{OmitUser: true, OmitCredential: true}, nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, resp := assertWith(t, tt.faults, tt.change)
			require.Equal(t, tt.credential, resp.Credential != nil)
			require.Equal(t, tt.user, resp.User != nil)
			checkAssertion(t, resp, made.Credential.PublicKey)
		})
	}
}

func TestFaultsInSignedData(t *testing.T) {
	t.Parallel()
	made, resp := assertWith(t, Faults{ClearFlags: ctap2.FlagUP | ctap2.FlagUV}, nil)
	require.Zero(t, checkAssertion(t, resp, made.Credential.PublicKey).Flags, "signed as it is")

	made, resp = assertWith(t, Faults{AttestAssertions: true}, nil)
	data := checkAssertion(t, resp, made.Credential.PublicKey)
	require.Equal(t, made.Credential.ID, data.Credential.ID)
	require.Equal(t, made.Credential.RawPublicKey, data.Credential.RawPublicKey)

	made, resp = assertWith(t, Faults{ExtraExtension: "example"}, nil)
	data = checkAssertion(t, resp, made.Credential.PublicKey)
	require.True(t, data.Flags.Has(ctap2.FlagED))
	require.Equal(t, map[string]any{"example": true}, outputsOf(t, resp.AuthData))
	require.Equal(t, []byte(made.Extensions), []byte(data.Extensions), "in registrations as well")
}

func TestFaultBadSignature(t *testing.T) {
	t.Parallel()
	for _, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.RS256} {
		for _, attestation := range []Attestation{AttestationSelf, AttestationBasic} {
			_, client := newKey(t, Config{Attestation: attestation, Faults: Faults{BadSignature: true}})
			req := newRequest()
			req.PubKeyCredParams = params(alg)
			made, err := client.MakeCredential(t.Context(), req)
			require.NoError(t, err)
			object := &webauthn.AttestationObject{Format: made.Format, AuthData: made.AuthData, Statement: made.AttStmt}
			_, err = object.Verify(testHash)
			require.Error(t, err)
			data, err := ctap2.ParseAuthenticatorData(made.AuthData)
			require.NoError(t, err)
			resp, err := client.GetAssertion(t.Context(), ask(data.Credential.ID))
			require.NoError(t, err)
			require.Error(t, data.Credential.PublicKey.Verify(append(bytes.Clone(resp.AuthData), testHash...), resp.Signature))
		}
	}
}

func TestFaultsThatRefuse(t *testing.T) {
	t.Parallel()
	silent := ask()
	silent.Options.UserPresence = no()
	extended := newRequest()
	extended.Extensions.HMACSecret = true
	nameless := newRequest()
	nameless.User.DisplayName = ""
	for name, tt := range map[string]struct {
		config Config
		create *ctap2.MakeCredentialRequest
		get    *ctap2.GetAssertionRequest
		want   ctap2.Status
	}{
		"no silent request":             {Config{}, nil, silent, ctap2.ErrNoCredentials},
		"silent":                        {Config{Faults: Faults{RefuseSilent: true}}, nil, silent, ctap2.ErrUPRequired},
		"not silent":                    {Config{Faults: Faults{RefuseSilent: true}}, nil, ask(), ctap2.ErrNoCredentials},
		"silent, alwaysUv":              {Config{AlwaysUV: true}, nil, silent, ctap2.ErrNoCredentials},
		"silent, alwaysUv at all times": {Config{AlwaysUV: true, Faults: Faults{AlwaysUVInSilence: true}}, nil, silent, ctap2.ErrPUATRequired},
		"extension":                     {Config{Faults: Faults{RefuseExtensions: true}}, extended, nil, ctap2.ErrUnsupportedExtension},
		"no extension":                  {Config{Faults: Faults{RefuseExtensions: true}}, newRequest(), nil, 0},
		"display name":                  {Config{Faults: Faults{RefuseEmptyDisplayName: true}}, newRequest(), nil, 0},
		"no display name":               {Config{Faults: Faults{RefuseEmptyDisplayName: true}}, nameless, nil, ctap2.ErrMissingParameter},
		"unknown ID":                    {Config{Faults: Faults{InvalidCredential: true}}, nil, ask([]byte{1}), ctap2.ErrInvalidCredential},
		"no ID":                         {Config{Faults: Faults{InvalidCredential: true}}, nil, ask(), ctap2.ErrNoCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client := newKey(t, tt.config)
			var err error
			if tt.create != nil {
				_, err = client.MakeCredential(t.Context(), tt.create)
			} else {
				_, err = client.GetAssertion(t.Context(), tt.get)
			}
			requireStatus(t, tt.want, err)
		})
	}
}

func TestFaultIgnoreU2F(t *testing.T) {
	t.Parallel()
	for _, ignore := range []bool{false, true} {
		key, client := newKey(t, Config{Faults: Faults{IgnoreU2F: ignore}})
		u2f := ctap1.Client{Transport: key}
		application := sha256.Sum256([]byte(testRP.ID))
		made, err := u2f.Register(t.Context(), [32]byte(testHash), application)
		require.NoError(t, err)
		_, err = client.GetAssertion(t.Context(), ask(made.KeyHandle))
		want := ctap2.Status(0)
		if ignore {
			want = ctap2.ErrNoCredentials
		}
		requireStatus(t, want, err)
		_, err = u2f.Authenticate(t.Context(), ctap1.EnforceUserPresence, [32]byte(testHash), application, made.KeyHandle)
		require.NoError(t, err)
		_, err = client.GetAssertion(t.Context(), ask(register(t, client, newRequest()).Credential.ID))
		require.NoError(t, err)
	}
}

func TestFaultEnterpriseUnasked(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Faults: Faults{EnterpriseUnasked: true}})
	resp, err := client.MakeCredential(t.Context(), newRequest())
	require.NoError(t, err)
	require.True(t, resp.EnterpriseAttestation)
	require.NotNil(t, serialOf(leafOf(t, resp)))
}

func TestFaultCutCharacters(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("x", 63) + "é"
	for cut, want := range map[bool]string{false: name[:63], true: name[:64]} {
		_, client := newKeyWithPIN(t, Config{Faults: Faults{CutCharacters: cut}})
		req := newRequest()
		req.Options.ResidentKey = true
		req.User.Name, req.User.DisplayName = name, name
		register(t, client, withToken(req, newToken(t, client, 2)))
		resp, err := client.GetAssertion(t.Context(), askWithToken(newToken(t, client, 2)))
		require.NoError(t, err)
		require.Equal(t, want, resp.User.Name)
		require.Equal(t, want, resp.User.DisplayName)
		require.Equal(t, want, listCredentials(t, manager(t, client), testRP.ID)[0].User.Name)
	}
}
