package virtual

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

func TestMakeCredentialWithEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256} {
		t.Run(alg.String(), func(t *testing.T) {
			t.Parallel()
			key, client := newKey(t, Config{})
			req := newRequest()
			req.PubKeyCredParams = params(-999, alg, cose.ES256)
			data := register(t, client, req)
			require.Equal(t, alg, data.Credential.PublicKey.Algorithm)
			require.Equal(t, ctap2.FlagUP|ctap2.FlagAT, data.Flags)
			require.LessOrEqual(t, len(data.Credential.ID), minIDLength)
			require.Equal(t, alg == cose.RS256, key.Credentials() == 1, "only RSA keys are stored")

			resp, err := client.GetAssertion(t.Context(), ask(data.Credential.ID))
			require.NoError(t, err)
			signed := checkAssertion(t, resp, data.Credential.PublicKey)
			require.Equal(t, ctap2.FlagUP, signed.Flags)
			require.Greater(t, signed.SignCount, data.SignCount)
			require.Nil(t, resp.User)
		})
	}
}

func TestMakeCredentialRefuses(t *testing.T) {
	t.Parallel()
	type request = ctap2.MakeCredentialRequest
	yes := true
	for name, tt := range map[string]struct {
		config Config
		change func(r *request)
		want   ctap2.Status
	}{
		"unknown algorithm":       {want: ctap2.ErrUnsupportedAlgorithm, change: func(r *request) { r.PubKeyCredParams = params(-999) }},
		"no algorithm":            {want: ctap2.ErrUnsupportedAlgorithm, change: func(r *request) { r.PubKeyCredParams = []ctap2.CredentialParameter{} }},
		"algorithm switched off":  {Config{Algorithms: []cose.Algorithm{cose.EdDSA}}, func(*request) {}, ctap2.ErrUnsupportedAlgorithm},
		"another credential type": {want: ctap2.ErrUnsupportedAlgorithm, change: func(r *request) { r.PubKeyCredParams[0].Type = "password" }},
		"up false":                {want: ctap2.ErrInvalidOption, change: func(r *request) { r.Options.UserPresence = no() }},
		"up true":                 {want: 0, change: func(r *request) { r.Options.UserPresence = &yes }},
		"uv without a reader":     {want: ctap2.ErrInvalidOption, change: func(r *request) { r.Options.UserVerification = true }},
		"enterprise attestation":  {want: ctap2.ErrInvalidParameter, change: func(r *request) { r.EnterpriseAttestation = 1 }},
		"credProtect out of range": {
			want: ctap2.ErrInvalidOption, change: func(r *request) { r.Extensions.CredProtect = 4 },
		},
		"short client data hash": {want: ctap2.ErrInvalidLength, change: func(r *request) { r.ClientDataHash = testHash[1:] }},
		"empty user ID":          {want: ctap2.ErrInvalidLength, change: func(r *request) { r.User.ID = []byte{} }},
		"long user ID":           {want: ctap2.ErrInvalidLength, change: func(r *request) { r.User.ID = make([]byte, 65) }},
		"long exclude list": {
			Config{MaxCredentialCountInList: 1}, func(r *request) { r.ExcludeList = list([]byte{1}, []byte{2}) },
			ctap2.ErrLimitExceeded,
		},
		"long excluded ID":       {want: ctap2.ErrLimitExceeded, change: func(r *request) { r.ExcludeList = list(make([]byte, 129)) }},
		"request too large":      {want: ctap2.ErrRequestTooLarge, change: func(r *request) { r.RP.Name = strings.Repeat("x", 2048) }},
		"token without protocol": {want: ctap2.ErrMissingParameter, change: func(r *request) { r.PINUVAuthParam = make([]byte, 32) }},
		"token with unknown protocol": {want: ctap2.ErrInvalidParameter, change: func(r *request) {
			r.PINUVAuthParam, r.PINUVAuthProtocol = make([]byte, 32), 3
		}},
		"token on a key without PIN": {want: ctap2.ErrPINAuthInvalid, change: func(r *request) {
			r.PINUVAuthParam, r.PINUVAuthProtocol = make([]byte, 32), 2
		}},
		"alwaysUv without PIN":           {Config{AlwaysUV: true}, func(*request) {}, ctap2.ErrPUATRequired},
		"alwaysUv that can't have a PIN": {Config{AlwaysUV: true, NoClientPIN: true}, func(*request) {}, ctap2.ErrOperationDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKey(t, tt.config)
			req := newRequest()
			tt.change(req)
			_, err := client.MakeCredential(t.Context(), req)
			requireStatus(t, tt.want, err)
			require.Zero(t, key.Credentials())
		})
	}
}

func requireStatus(t testing.TB, want ctap2.Status, err error) {
	t.Helper()
	if want == 0 {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, want)
}

func TestMakeCredentialWithPINWantsTokenWhereItMust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config   Config
		resident bool
		want     ctap2.Status
	}{
		{Config{}, false, 0}, // makeCredUvNotRqd
		{Config{}, true, ctap2.ErrPUATRequired},
		{Config{MakeCredUVRequired: true}, false, ctap2.ErrPUATRequired},
		{Config{AlwaysUV: true}, false, ctap2.ErrPUATRequired},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			t.Parallel()
			_, client := newKeyWithPIN(t, tt.config)
			req := newRequest()
			req.Options.ResidentKey = tt.resident
			_, err := client.MakeCredential(t.Context(), req)
			requireStatus(t, tt.want, err)

			data := register(t, client, withToken(req, newToken(t, client, 2)))
			require.True(t, data.Flags.Has(ctap2.FlagUV))
		})
	}
}

func TestMakeCredentialOverwritesTheSameUser(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Capacity: 2})
	first := passkey(t, client, 1, nil)
	second := passkey(t, client, 2, nil)
	again := passkey(t, client, 1, nil)
	require.Equal(t, 2, key.Credentials())

	resp, err := client.GetAssertion(t.Context(), ask())
	require.NoError(t, err)
	require.Equal(t, again.Credential.ID, resp.Credential.ID, "the newest first")
	require.EqualValues(t, 2, resp.NumberOfCredentials)
	_, err = client.GetAssertion(t.Context(), ask(first.Credential.ID))
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	_, err = client.GetAssertion(t.Context(), ask(second.Credential.ID))
	require.NoError(t, err)
}

func TestMakeCredentialFailsWhenFull(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Capacity: 1})
	passkey(t, client, 1, nil)
	req := newRequest()
	req.User.ID = []byte{2}
	req.Options.ResidentKey = true
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrKeyStoreFull)
	require.Equal(t, 1, key.Credentials())

	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Zero(t, *info.RemainingDiscoverableCredentials)
	req.Options.ResidentKey = false
	register(t, client, req) // needs no room
}

func TestMakeCredentialObeysExcludeList(t *testing.T) {
	t.Parallel()
	touches := 0
	_, client := newKeyWithPIN(t, Config{UserPresence: func(context.Context, Prompt) error { touches++; return nil }})
	for level, want := range map[uint]ctap2.Status{
		0: ctap2.ErrCredentialExcluded,
		2: ctap2.ErrCredentialExcluded,
		3: 0, // not to be seen without verification
	} {
		req := newRequest()
		req.Extensions.CredProtect = level
		held := register(t, client, req).Credential.ID

		req = newRequest()
		req.ExcludeList = list([]byte("somebody else's"), held)
		touches = 0
		_, err := client.MakeCredential(t.Context(), req)
		requireStatus(t, want, err)
		require.Equal(t, 1, touches, "an exclusion costs a touch like a creation")

		_, err = client.MakeCredential(t.Context(), withToken(req, newToken(t, client, 2)))
		require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)

		req = newRequest()
		req.RP.ID = "elsewhere.example"
		req.ExcludeList = list(held)
		_, err = client.MakeCredential(t.Context(), req)
		require.NoError(t, err, "another relying party's")
	}
}

func TestMakeCredentialProbeIsATouch(t *testing.T) {
	t.Parallel()
	touches := 0
	config := Config{UserPresence: func(_ context.Context, p Prompt) error {
		touches++
		require.Equal(t, Prompt{Command: ctap2.CommandMakeCredential, RPID: testRP.ID}, p)
		return nil
	}}
	req := newRequest()
	req.PINUVAuthParam = []byte{}

	_, client := newKey(t, config)
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrPINNotSet)
	_, client = newKeyWithPIN(t, config)
	_, err = client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrPINInvalid)
	require.Equal(t, 2, touches)
}

func TestMakeCredentialAnswersExtensions(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	req := newRequest()
	req.Extensions = ctap2.MakeCredentialExtensions{CredProtect: 2, HMACSecret: true}
	data := register(t, client, req)
	require.True(t, data.Flags.Has(ctap2.FlagED))
	var out ctap2.MakeCredentialOutputs
	require.NoError(t, ctapcbor.Unmarshal(data.Extensions, &out))
	require.Equal(t, ctap2.MakeCredentialOutputs{CredProtect: 2, HMACSecret: true}, out)
}

func TestMakeCredentialAttests(t *testing.T) {
	t.Parallel()
	type statement struct {
		Algorithm cose.Algorithm `cbor:"alg"`
		Signature []byte         `cbor:"sig"`
		X5C       [][]byte       `cbor:"x5c"`
	}
	create := func(t *testing.T, attestation Attestation) (*Authenticator, *ctap2.MakeCredentialResponse, statement) {
		key, client := newKey(t, Config{Attestation: attestation, NoU2F: true})
		resp, err := client.MakeCredential(t.Context(), newRequest())
		require.NoError(t, err)
		var s statement
		require.NoError(t, ctapcbor.Unmarshal(resp.AttStmt, &s))
		return key, resp, s
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		key, resp, _ := create(t, AttestationNone)
		require.Equal(t, "none", resp.Format)
		require.Equal(t, []byte{0xa0}, []byte(resp.AttStmt))
		require.Nil(t, key.AttestationRoot())
	})
	t.Run("self", func(t *testing.T) {
		t.Parallel()
		_, resp, s := create(t, AttestationSelf)
		require.Equal(t, "packed", resp.Format)
		require.Nil(t, s.X5C)
		data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
		require.NoError(t, err)
		require.Equal(t, cose.ES256, s.Algorithm)
		require.NoError(t, data.Credential.PublicKey.Verify(append(bytes.Clone(resp.AuthData), testHash...), s.Signature))
	})
	t.Run("basic", func(t *testing.T) {
		t.Parallel()
		key, resp, s := create(t, AttestationBasic)
		require.Len(t, s.X5C, 1)
		leaf, err := x509.ParseCertificate(s.X5C[0])
		require.NoError(t, err)
		pub, err := cose.NewKey(s.Algorithm, leaf.PublicKey)
		require.NoError(t, err)
		require.NoError(t, pub.Verify(append(bytes.Clone(resp.AuthData), testHash...), s.Signature))
		checkLeaf(t, leaf)
		roots := x509.NewCertPool()
		roots.AddCert(key.AttestationRoot())
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		require.NoError(t, err)
	})
}

// checkLeaf is WebAuthn Level 3 section 8.2.1.
func checkLeaf(t *testing.T, leaf *x509.Certificate) {
	require.Equal(t, 3, leaf.Version)
	require.Equal(t, []string{"Authenticator Attestation"}, leaf.Subject.OrganizationalUnit)
	require.Len(t, leaf.Subject.Country, 1)
	require.Len(t, leaf.Subject.Organization, 1)
	require.NotEmpty(t, leaf.Subject.CommonName)
	require.True(t, leaf.BasicConstraintsValid)
	require.False(t, leaf.IsCA)
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidAAGUID) {
			require.False(t, e.Critical)
			require.Equal(t, append([]byte{4, 16}, defaultAAGUID[:]...), e.Value)
			return
		}
	}
	require.Fail(t, "no AAGUID extension")
}

func TestMakeCredentialShortensNames(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{UserVerification: func(context.Context, Prompt) error { return nil }})
	req := newRequest()
	req.Options = ctap2.MakeCredentialOptions{ResidentKey: true, UserVerification: true}
	req.User.Name = strings.Repeat("x", 63) + "é"
	register(t, client, req)
	again := ask()
	again.Options.UserVerification = true
	resp, err := client.GetAssertion(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("x", 63), resp.User.Name)
	require.Equal(t, "Alice", resp.User.DisplayName)
}

func FuzzCutText(f *testing.F) {
	f.Add("", 0)
	f.Add("aé漢", 3)
	f.Add("abc", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 || !utf8.ValidString(s) {
			t.Skip()
		}
		cut := cutText(s, limit)
		require.True(t, strings.HasPrefix(s, cut))
		require.LessOrEqual(t, len(cut), limit)
		require.True(t, utf8.ValidString(cut))
		if rest := s[len(cut):]; rest != "" {
			_, size := utf8.DecodeRuneInString(rest)
			require.Greater(t, len(cut)+size, limit, "one more character would have fit")
		}
	})
}

func TestTouchDecides(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer error
		want   ctap2.Status
	}{
		"touched":      {nil, 0},
		"refused":      {errors.New("no"), ctap2.ErrOperationDenied},
		"with status":  {ctap2.ErrUserActionPending, ctap2.ErrUserActionPending},
		"wrapped":      {fmt.Errorf("so: %w", ctap2.ErrOther), ctap2.ErrOther},
		"zero, a slip": {ctap2.Status(0), ctap2.ErrOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKey(t, Config{UserPresence: func(context.Context, Prompt) error { return tt.answer }})
			var seen []byte
			client.Keepalive = func(status byte) { seen = append(seen, status) }
			requireStatus(t, tt.want, client.Selection(t.Context()))
			require.Equal(t, []byte{2, 1}, seen)
			_, err := client.MakeCredential(t.Context(), newRequest())
			requireStatus(t, tt.want, err)
			requireStatus(t, tt.want, client.Reset(t.Context()))
			require.Zero(t, key.Credentials())
		})
	}
}

func TestAnswersFitTheMessageSize(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Attestation: AttestationBasic})
	req := newRequest()
	req.PubKeyCredParams = params(cose.RS256) // the longest
	req.Extensions = ctap2.MakeCredentialExtensions{CredProtect: 1, HMACSecret: true}
	encoded, err := ctapcbor.Marshal(req)
	require.NoError(t, err)
	resp, err := key.CBOR(t.Context(), append([]byte{1}, encoded...), nil)
	require.NoError(t, err)
	require.Zero(t, resp[0])
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Less(t, uint64(len(resp)), info.MaxMsgSize)
}
