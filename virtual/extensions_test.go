package virtual

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// outputsOf decodes the extension outputs in authenticator data.
func outputsOf(t testing.TB, authData []byte) map[string]any {
	t.Helper()
	data, err := ctap2.ParseAuthenticatorData(authData)
	require.NoError(t, err)
	if data.Extensions == nil {
		return nil
	}
	var out map[string]any
	require.NoError(t, ctapcbor.Unmarshal(data.Extensions, &out))
	return out
}

// create makes a passkey with extensions, and returns its ID, what they answered and the rest of the response.
func create(
	t testing.TB, client *ctap2.Client, in ctap2.MakeCredentialExtensions,
) ([]byte, map[string]any, *ctap2.MakeCredentialResponse) {
	t.Helper()
	req := newRequest()
	req.Options.ResidentKey = true
	req.Extensions = in
	resp, err := client.MakeCredential(t.Context(), req)
	require.NoError(t, err)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(t, err)
	return data.Credential.ID, outputsOf(t, resp.AuthData), resp
}

func TestExtensionsOfEachVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[Version]string{
		CTAP20:    "hmac-secret",
		CTAP21Pre: "credProtect hmac-secret",
		CTAP21:    "credProtect hmac-secret credBlob largeBlobKey minPinLength",
		CTAP22: "credProtect hmac-secret hmac-secret-mc credBlob largeBlobKey minPinLength pinComplexityPolicy " +
			"thirdPartyPayment",
		CTAP23: "credProtect hmac-secret hmac-secret-mc credBlob largeBlobKey minPinLength pinComplexityPolicy " +
			"thirdPartyPayment",
	} {
		_, client := newKey(t, Config{Version: version})
		info, err := client.GetInfo(t.Context())
		require.NoError(t, err)
		require.Equal(t, strings.Fields(want), info.Extensions, version)
	}
	_, client := newKey(t, withOwnBlobs)
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.True(t, info.HasExtension("largeBlob"))
	require.False(t, info.HasExtension("largeBlobKey"), "either the one or the other")
}

// What the key does not have is not there, whatever it holds.
func TestUnknownExtensionsAreIgnored(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	key, _ := newKey(t, Config{Version: CTAP20})
	create := map[int]any{
		1: testHash, 2: m{"id": testRP.ID}, 3: m{"id": []byte{1}}, 4: []any{m{"alg": -7, "type": "public-key"}},
		6: m{"credBlob": 5, "largeBlobKey": false, "example.com": []any{}, "hmac-secret": true},
	}
	require.Zero(t, send(t, key, ctap2.CommandMakeCredential, create))
	create[6] = m{"hmac-secret": 5}
	require.Equal(t, ctap2.ErrCBORUnexpectedType, send(t, key, ctap2.CommandMakeCredential, create))
	get := map[int]any{1: testRP.ID, 2: testHash, 4: m{"credBlob": 5, "thirdPartyPayment": "x"}}
	require.Equal(t, ctap2.ErrNoCredentials, send(t, key, ctap2.CommandGetAssertion, get))
}

func TestExtensionsRefuseWrongTypes(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	key, _ := newKey(t, Config{Version: CTAP23})
	for name, tt := range map[string]struct {
		create, get any
		want        ctap2.Status
	}{
		"credProtect 0":            {m{"credProtect": 0}, nil, ctap2.ErrInvalidOption},
		"credProtect 4":            {m{"credProtect": 4}, nil, ctap2.ErrInvalidOption},
		"credProtect text":         {m{"credProtect": "1"}, nil, ctap2.ErrCBORUnexpectedType},
		"credBlob text":            {m{"credBlob": "1"}, m{"credBlob": "1"}, ctap2.ErrCBORUnexpectedType},
		"largeBlobKey false":       {m{"largeBlobKey": false}, m{"largeBlobKey": false}, ctap2.ErrInvalidOption},
		"largeBlobKey number":      {m{"largeBlobKey": 1}, m{"largeBlobKey": 1}, ctap2.ErrCBORUnexpectedType},
		"minPinLength number":      {m{"minPinLength": 4}, nil, ctap2.ErrCBORUnexpectedType},
		"pinComplexityPolicy text": {m{"pinComplexityPolicy": "x"}, nil, ctap2.ErrCBORUnexpectedType},
		"hmac-secret map":          {m{"hmac-secret": m{}}, nil, ctap2.ErrCBORUnexpectedType},
		"hmac-secret true":         {nil, m{"hmac-secret": true}, ctap2.ErrCBORUnexpectedType},
		"hmac-secret empty":        {nil, m{"hmac-secret": m{}}, ctap2.ErrMissingParameter},
		"hmac-secret-mc true":      {m{"hmac-secret-mc": true}, nil, ctap2.ErrCBORUnexpectedType},
		"thirdPartyPayment null":   {m{"thirdPartyPayment": nil}, m{"thirdPartyPayment": nil}, ctap2.ErrCBORUnexpectedType},
		"no map":                   {[]any{}, []any{}, ctap2.ErrCBORUnexpectedType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.create != nil {
				params := map[int]any{
					1: testHash, 2: m{"id": testRP.ID}, 3: m{"id": []byte{1}}, 6: tt.create,
					4: []any{m{"alg": -7, "type": "public-key"}},
				}
				require.Equal(t, tt.want, send(t, key, ctap2.CommandMakeCredential, params))
			}
			if tt.get != nil {
				params := map[int]any{1: testRP.ID, 2: testHash, 4: tt.get}
				require.Equal(t, tt.want, send(t, key, ctap2.CommandGetAssertion, params))
			}
		})
	}
}

func TestCredProtectLevelIsTheKeysChoiceToo(t *testing.T) {
	t.Parallel()
	type levels struct{ byDefault, least, asked, got uint }
	for _, tt := range []levels{
		{0, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 3, 3},
		{2, 0, 0, 2}, {3, 0, 0, 3}, {2, 0, 1, 1}, {2, 0, 3, 3},
		{0, 2, 0, 2}, {0, 2, 1, 2}, {0, 2, 3, 3}, {2, 3, 0, 3},
	} {
		_, client := newKey(t, Config{DefaultCredProtect: tt.byDefault, LeastCredProtect: tt.least})
		_, out, _ := create(t, client, ctap2.MakeCredentialExtensions{CredProtect: tt.asked})
		if tt.got == 0 {
			require.Nil(t, out, "%+v", tt)
			continue
		}
		require.Equal(t, map[string]any{"credProtect": uint64(tt.got)}, out, "%+v", tt)
	}
	_, client := newKey(t, Config{Version: CTAP20, LeastCredProtect: 3})
	_, out, _ := create(t, client, ctap2.MakeCredentialExtensions{CredProtect: 2})
	require.Nil(t, out, "a key that does not know it")
}

func TestCredBlob(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	blobOf := func(id []byte) any {
		t.Helper()
		req := ask(id)
		req.Extensions.CredBlob = true
		resp, err := client.GetAssertion(t.Context(), req)
		require.NoError(t, err)
		return outputsOf(t, resp.AuthData)["credBlob"]
	}
	blob := bytes.Repeat([]byte{7}, maxCredBlobSize)
	id, out, _ := create(t, client, ctap2.MakeCredentialExtensions{CredBlob: blob})
	require.Equal(t, map[string]any{"credBlob": true}, out)
	key.PowerCycle()
	require.Equal(t, blob, blobOf(id))

	id, out, _ = create(t, client, ctap2.MakeCredentialExtensions{CredBlob: append(blob, 7)})
	require.Equal(t, map[string]any{"credBlob": false}, out, "too long")
	require.Equal(t, []byte{}, blobOf(id))

	req := newRequest()
	req.Extensions.CredBlob = blob
	data := register(t, client, req)
	require.Equal(t, []byte{0xa1, 0x68, 'c', 'r', 'e', 'd', 'B', 'l', 'o', 'b', 0xf4}, []byte(data.Extensions), "no passkey")

	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, maxCredBlobSize, info.MaxCredBlobLength)
}

func TestLargeBlobKey(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	req := newRequest()
	req.Extensions.LargeBlobKey = true
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrInvalidOption, "only passkeys have one")

	req.Options.ResidentKey = true
	made, err := client.MakeCredential(t.Context(), withToken(req, newToken(t, client, 2)))
	require.NoError(t, err)
	require.Len(t, made.LargeBlobKey, 32)
	require.Nil(t, outputsOf(t, made.AuthData))
	get := askWithToken(newToken(t, client, 2))
	got, err := client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	require.Nil(t, got.LargeBlobKey, "nobody asked")
	get = askWithToken(newToken(t, client, 2))
	get.Extensions.LargeBlobKey = true
	got, err = client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	require.Equal(t, made.LargeBlobKey, got.LargeBlobKey)
	require.Nil(t, outputsOf(t, got.AuthData))
	require.Equal(t, made.LargeBlobKey, listCredentials(t, manager(t, client), testRP.ID)[0].LargeBlobKey)
}

func TestThirdPartyPayment(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP22})
	for _, resident := range []bool{false, true} {
		for _, payment := range []bool{false, true} {
			req := newRequest()
			req.Options.ResidentKey = resident
			req.Extensions.ThirdPartyPayment = payment
			data := register(t, client, req)
			require.Nil(t, data.Extensions, "answers nothing at first")
			get := ask(data.Credential.ID)
			get.Extensions.ThirdPartyPayment = true
			resp, err := client.GetAssertion(t.Context(), get)
			require.NoError(t, err)
			require.Equal(t, map[string]any{"thirdPartyPayment": payment}, outputsOf(t, resp.AuthData))
		}
	}
}

func TestPINPolicyIsForThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Version: CTAP22, PIN: PINPolicy{MinLength: 6, Complexity: func([]byte) bool { return true }}})
	in := ctap2.MakeCredentialExtensions{MinPINLength: true, PINComplexityPolicy: true}
	_, out, _ := create(t, client, in)
	require.Nil(t, out)
	require.NoError(t, key.update(func(s *state) { s.Settings.MinPINLengthRPIDs = []string{"x.example", testRP.ID} }))
	_, out, _ = create(t, client, in)
	require.Equal(t, map[string]any{"minPinLength": uint64(6), "pinComplexityPolicy": true}, out)
	_, out, _ = create(t, client, ctap2.MakeCredentialExtensions{})
	require.Nil(t, out, "nobody asked")
}

func TestHMACSecretOfANewCredential(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{Version: CTAP22})
	salts := append(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)...)
	for _, verified := range []bool{false, true} {
		for _, p := range []ctap2.PINProtocol{1, 2} {
			shared := agree(t, client, p)
			in, err := ctap2.NewHMACSecretInput(shared, salts)
			require.NoError(t, err)
			req := newRequest()
			req.Extensions = ctap2.MakeCredentialExtensions{HMACSecret: true, HMACSecretMC: in}
			if verified {
				withToken(req, newToken(t, client, 2))
				shared = agree(t, client, p)
				req.Extensions.HMACSecretMC, err = ctap2.NewHMACSecretInput(shared, salts)
				require.NoError(t, err)
			}
			data := register(t, client, req)
			var out ctap2.MakeCredentialOutputs
			require.NoError(t, ctapcbor.Unmarshal(data.Extensions, &out))
			require.True(t, out.HMACSecret)
			secrets, err := shared.Decrypt(out.HMACSecretMC)
			require.NoError(t, err)
			get := ask(data.Credential.ID)
			if verified {
				get = askWithToken(newToken(t, client, 2), data.Credential.ID)
			}
			require.Equal(t, secretsOf(t, client, p, get, salts), secrets, "what the assertion says")
		}
	}
}

func TestHMACSecretOfANewCredentialRefuses(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Version: CTAP22})
	for name, tt := range map[string]struct {
		change func(in *ctap2.MakeCredentialExtensions)
		want   ctap2.Status
	}{
		"without hmac-secret": {func(in *ctap2.MakeCredentialExtensions) { in.HMACSecret = false }, ctap2.ErrInvalidOption},
		"wrong MAC":           {func(in *ctap2.MakeCredentialExtensions) { in.HMACSecretMC.SaltAuth[0] ^= 1 }, ctap2.ErrPINAuthInvalid},
		"another protocol":    {func(in *ctap2.MakeCredentialExtensions) { in.HMACSecretMC.PINUVAuthProtocol = 1 }, ctap2.ErrPINAuthInvalid},
		"unknown protocol":    {func(in *ctap2.MakeCredentialExtensions) { in.HMACSecretMC.PINUVAuthProtocol = 9 }, ctap2.ErrInvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := ctap2.NewHMACSecretInput(agree(t, client, 2), make([]byte, 32))
			require.NoError(t, err)
			req := newRequest()
			req.Options.ResidentKey = true
			req.Extensions = ctap2.MakeCredentialExtensions{HMACSecret: true, HMACSecretMC: in}
			tt.change(&req.Extensions)
			_, err = client.MakeCredential(t.Context(), req)
			require.ErrorIs(t, err, tt.want)
			require.Zero(t, key.Credentials())
		})
	}
}

func TestExtensionsSurviveARestart(t *testing.T) {
	t.Parallel()
	config := Config{Version: CTAP23, Without: []string{"largeBlobKey"}, StateFile: t.TempDir() + "/state"}
	key, client := newKey(t, config)
	in := ctap2.MakeCredentialExtensions{CredProtect: 2, CredBlob: []byte{1, 2}, ThirdPartyPayment: true}
	in.LargeBlob.Support = ctap2.LargeBlobRequired
	id, _, _ := create(t, client, in)
	require.True(t, useBlob(t, client, ctap2.LargeBlobInput{Write: []byte{5}, OriginalSize: 6}, id).Written)
	key.Close()

	_, client = newKey(t, config)
	get := ask(id)
	get.Extensions = ctap2.GetAssertionExtensions{CredBlob: true, ThirdPartyPayment: true}
	get.Extensions.LargeBlob.Read = true
	resp, err := client.GetAssertion(context.Background(), get)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"credBlob": []byte{1, 2}, "thirdPartyPayment": true}, outputsOf(t, resp.AuthData))
	out, err := resp.UnsignedOutputs()
	require.NoError(t, err)
	require.Equal(t, ctap2.LargeBlobOutput{Blob: []byte{5}, OriginalSize: 6}, out.LargeBlob)
	_, err = client.GetAssertion(t.Context(), ask())
	require.ErrorIs(t, err, ctap2.ErrNoCredentials, "credProtect holds")
}
