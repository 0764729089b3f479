package ctap2_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// script answers with what it holds.
type script struct {
	answer []byte
	err    error
	closed bool
}

func (s *script) CBOR(_ context.Context, _ []byte, keepalive func(byte)) ([]byte, error) {
	for _, status := range []byte{1, 2, 2, 1} {
		keepalive(status)
	}
	return s.answer, s.err
}

func (s *script) Close() error {
	s.closed = true
	return s.err
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// trace returns what is written about one exchange, without the keepalives.
func trace(t testing.TB, request, response []byte) string {
	t.Helper()
	var text strings.Builder
	got, err := ctap2.Trace(&script{answer: response}, &text).CBOR(t.Context(), request, nil)
	require.NoError(t, err)
	require.Equal(t, response, got)
	return strings.Replace(text.String(), ". keepalive 1\n. keepalive 2\n. keepalive 1\n", "", 1)
}

func TestTraceNotation(t *testing.T) {
	t.Parallel()
	const hash = "0001020304050607"
	for name, tc := range map[string]struct{ request, response, want string }{
		"no parameters": {"04", "00 a2 01 81 64 55324656 03 42 0102", `
> getInfo
< 0x00 ok {1: ["U2FV"], 3: h'0102'}
`},
		"a refusal": {"0b", "27", `
> selection
< 0x27 operation denied
`},
		"codes without a name": {"7f", "f7", `
> command 0x7f
< 0xf7 status 0xf7
`},
		"secrets": {"06 a3 01 02 03 a1 21 42 abcd 06 48" + hash, "00 a1 02 48" + hash, `
> clientPIN {1: 2, 3: {-2: h'abcd'}, 6: h'...' /8 bytes/}
< 0x00 ok {2: h'...' /8 bytes/}
`},
		"extensions": {"02 a3 01 61 78 02 41 07 04 a1 6b 686d61632d736563726574 a1 02 41 08", "00 a1 03 41 09", `
> getAssertion {1: "x", 2: h'07', 4: {"hmac-secret": {2: h'...' /1 bytes/}}}
< 0x00 ok {3: h'09'}
`},
		"extension outputs": {"08", "00 a1 02 58 29" + strings.Repeat("00", 32) + "81 00000007 a1 60 41 09", `
> getNextAssertion
< 0x00 ok {2: h'` + strings.Repeat("00", 32) + `8100000007' <<{"": h'...' /1 bytes/}>>}
`},
		"no authenticator data": {"01", "00 a1 02 48" + hash, `
> makeCredential
< 0x00 ok {2: h'...' /8 bytes/}
`},
		"authenticator data of another type": {"01", "00 a1 02 81 48" + hash, `
> makeCredential
< 0x00 ok {2: [h'...' /8 bytes/]}
`},
		"a key in an unknown command": {"50 48" + hash, "00 a1 48" + hash + "f5", `
> command 0x50 h'...' /8 bytes/
< 0x00 ok {h'...' /8 bytes/: true}
`},
		"a negative member": {"02 a1 22 41 07", "00 a1 23 41 07", `
> getAssertion {-3: h'...' /1 bytes/}
< 0x00 ok {-4: h'...' /1 bytes/}
`},
		"an empty probe": {"01 a1 08 40", "33", `
> makeCredential {8: h''}
< 0x33 PIN/UV authentication invalid
`},
		"a managed credential": {"0a a4 01 04 02 a1 01 41 aa 03 02 04 41 bb", "00 a4 06 a1 62 6964 41 01 07 a1 62 6964 41 02 08 a1 21 41 03 0b 41 cc", `
> credentialManagement {1: 4, 2: {1: h'aa'}, 3: 2, 4: h'...' /1 bytes/}
< 0x00 ok {6: {"id": h'01'}, 7: {"id": h'02'}, 8: {-2: h'03'}, 11: h'...' /1 bytes/}
`},
		"a finger": {"40 a3 01 01 02 02 03 a1 01 41 aa", "00 a2 04 41 aa 07 81 a1 01 41 aa", `
> bioEnrollment preview {1: 1, 2: 2, 3: {1: h'...' /1 bytes/}}
< 0x00 ok {4: h'...' /1 bytes/, 7: [{1: h'...' /1 bytes/}]}
`},
		"large blobs": {"0c a3 02 41 aa 03 00 05 41 bb", "00 a1 01 41 aa", `
> largeBlobs {2: h'...' /1 bytes/, 3: 0, 5: h'...' /1 bytes/}
< 0x00 ok {1: h'...' /1 bytes/}
`},
		"config": {"0d a3 01 02 03 02 04 41 bb", "40", `
> config {1: 2, 3: 2, 4: h'...' /1 bytes/}
< 0x40 unauthorized permission
`},
		"extensions of credentials": {"01 a1 06 a1 68 63726564426c6f62 41 aa", "00 a1 05 41 aa", `
> makeCredential {6: {"credBlob": h'...' /1 bytes/}}
< 0x00 ok {5: h'...' /1 bytes/}
`},
		"text for terminals": {"02 a1 01 65 1b5b324ac3", "2e", `
> getAssertion {1: "\u001b[2J\ufffd"}
< 0x2e no credentials
`},
		"all types": {"50 8a 00 20 f4 f5 f6 f7 f9 3c00 80 a0 c1 1a 12345678", "00", `
> command 0x50 [0, -1, false, true, null, undefined, 1.0, [], {}, 1(305419896)]
< 0x00 ok
`},
		"broken": {"02 a2 01 61 78 02 48 0000", "00 bf 01", `
> getAssertion {1: "x", 2: /2 bytes that are no CBOR of CTAP2/
< 0x00 ok /2 bytes that are no CBOR of CTAP2/
`},
		"too long": {"04 a0 00", "00 a0 0000", `
> getInfo {} /1 bytes too many/
< 0x00 ok {} /2 bytes too many/
`},
		"too deep": {"50" + strings.Repeat("81", 20), "00 81 18", `
> command 0x50 [[[[[[[[[/11 bytes that are no CBOR of CTAP2/
< 0x00 ok [/1 bytes that are no CBOR of CTAP2/
`},
		"nothing": {"", "", `
> nothing
< nothing
`},
		"an answer to nothing": {"", "00 a1 01 41 07", `
> nothing
< 0x00 ok {1: h'...' /1 bytes/}
`},
		"reserved": {"50 fc", "00 f8 01", `
> command 0x50 /1 bytes that are no CBOR of CTAP2/
< 0x00 ok /2 bytes that are no CBOR of CTAP2/
`},
		"a huge count": {"50 9b ffffffffffffffff 01", "00 bb ffffffffffffffff 01 41 07", `
> command 0x50 [1, /0 bytes that are no CBOR of CTAP2/
< 0x00 ok {1: h'...' /1 bytes/, /0 bytes that are no CBOR of CTAP2/
`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, "\n"+trace(t, unhex(t, tc.request), unhex(t, tc.response)))
		})
	}
}

func TestTraceTellsKeepalivesAndErrors(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	pulled := errors.New("key removed")
	tr := ctap2.Trace(&script{err: pulled}, &text)
	var statuses []byte
	_, err := tr.CBOR(t.Context(), []byte{7}, func(s byte) { statuses = append(statuses, s) })
	require.ErrorIs(t, err, pulled)
	require.Equal(t, []byte{1, 2, 2, 1}, statuses, "all of them, as without a trace")
	require.Equal(t, "> reset\n. keepalive 1\n. keepalive 2\n. keepalive 1\n! key removed\n", text.String())
}

func TestTraceCloses(t *testing.T) {
	t.Parallel()
	s := &script{}
	require.NoError(t, ctap2.Trace(s, io.Discard).(io.Closer).Close())
	require.True(t, s.closed)
	s.err = errors.New("stuck")
	require.ErrorIs(t, ctap2.Trace(s, io.Discard).(io.Closer).Close(), s.err)
	var bare struct{ ctap2.Transport }
	require.NoError(t, ctap2.Trace(bare, io.Discard).(io.Closer).Close())
}

// wiretap notes what must not be shown although it is only encrypted.
type wiretap struct {
	ctap2.Transport
	t       *testing.T
	secrets [][]byte
}

func (w *wiretap) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	response, err := w.Transport.CBOR(ctx, request, keepalive)
	switch ctap2.Command(request[0]) {
	case ctap2.CommandClientPIN:
		w.note(request, 4, 5, 6)
		w.note(response, 2)
	case ctap2.CommandMakeCredential:
		w.note(request, 8)
	case ctap2.CommandGetAssertion:
		w.note(request, 6)
	}
	return response, err
}

func (w *wiretap) note(message []byte, keys ...int) {
	if len(message) < 2 {
		return
	}
	var members map[int]any
	require.NoError(w.t, ctapcbor.Unmarshal(message[1:], &members))
	for _, key := range keys {
		if secret, ok := members[key].([]byte); ok {
			w.secrets = append(w.secrets, secret)
		}
	}
}

// A whole ceremony with a PIN and secrets leaves none of them in its trace, in whatever form.
func TestTraceTellsNoSecret(t *testing.T) {
	t.Parallel()
	for _, p := range []ctap2.PINProtocol{ctap2.PINProtocol1, ctap2.PINProtocol2} {
		key, err := virtual.New(virtual.Config{})
		require.NoError(t, err)
		var text strings.Builder
		tap := &wiretap{Transport: key, t: t}
		secrets := ceremony(t, &ctap2.Client{Transport: ctap2.Trace(tap, &text)}, p)
		require.Contains(t, text.String(), `"example.org"`)
		require.Contains(t, text.String(), `"hmac-secret": h'...'`)
		require.GreaterOrEqual(t, len(tap.secrets), 10)
		for _, secret := range append(secrets, tap.secrets...) {
			requireAbsent(t, text.String(), secret)
		}
	}
}

// requireAbsent looks for half a secret, too.
func requireAbsent(t *testing.T, text string, secret []byte) {
	t.Helper()
	require.NotEmpty(t, secret)
	half := secret[:(len(secret)+1)/2]
	for _, form := range []string{
		string(secret), hex.EncodeToString(half), strings.ToUpper(hex.EncodeToString(half)),
		base64.RawURLEncoding.EncodeToString(half[:len(half)/3*3]),
	} {
		if len(form) >= 4 {
			require.NotContains(t, text, form)
		}
	}
}

// ceremony sets and changes a PIN, registers and derives secrets. It returns all that nobody must know.
func ceremony(t *testing.T, client *ctap2.Client, p ctap2.PINProtocol) (secrets [][]byte) {
	t.Helper()
	ctx := t.Context()
	note := func(b ...[]byte) { secrets = append(secrets, b...) }
	agree := func() *ctap2.SharedSecret {
		s, err := client.KeyAgreement(ctx, p)
		require.NoError(t, err)
		note(s.SecretKey()[:32], s.SecretKey()[len(s.SecretKey())-32:])
		return s
	}
	first, second := []byte("first-pin"), []byte("other-pin")
	for _, pin := range [][]byte{first, second} {
		hash := sha256.Sum256(pin)
		note(pin, hash[:16])
	}
	_, err := client.GetInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, client.SetPIN(ctx, agree(), first))
	require.NoError(t, client.ChangePIN(ctx, agree(), first, second))
	const both = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion
	token, err := client.PINTokenWithPermissions(ctx, agree(), second, both, "example.org")
	require.NoError(t, err)
	note(token.Secret())

	hash := bytes.Repeat([]byte{0xcd}, 32)
	made, err := client.MakeCredential(ctx, &ctap2.MakeCredentialRequest{
		ClientDataHash: hash, RP: ctap2.RelyingParty{ID: "example.org"}, User: ctap2.User{ID: []byte{1}},
		PubKeyCredParams: []ctap2.CredentialParameter{{Algorithm: cose.ES256, Type: ctap2.PublicKeyType}},
		Extensions:       ctap2.MakeCredentialExtensions{HMACSecret: true},
		PINUVAuthParam:   token.Authenticate(hash), PINUVAuthProtocol: p,
	})
	require.NoError(t, err)
	data, err := ctap2.ParseAuthenticatorData(made.AuthData)
	require.NoError(t, err)

	salts := bytes.Repeat([]byte("salt"), 16)
	s := agree()
	input, err := ctap2.NewHMACSecretInput(s, salts)
	require.NoError(t, err)
	token, err = client.PINTokenWithPermissions(ctx, agree(), second, both, "example.org")
	require.NoError(t, err)
	got, err := client.GetAssertion(ctx, &ctap2.GetAssertionRequest{
		RPID: "example.org", ClientDataHash: hash,
		AllowList:      []ctap2.CredentialDescriptor{{ID: data.Credential.ID, Type: ctap2.PublicKeyType}},
		Extensions:     ctap2.GetAssertionExtensions{HMACSecret: input},
		PINUVAuthParam: token.Authenticate(hash), PINUVAuthProtocol: p,
	})
	require.NoError(t, err)
	data, err = ctap2.ParseAuthenticatorData(got.AuthData)
	require.NoError(t, err)
	var outputs ctap2.GetAssertionOutputs
	require.NoError(t, ctapcbor.Unmarshal(data.Extensions, &outputs))
	plain, err := s.Decrypt(outputs.HMACSecret)
	require.NoError(t, err)
	note(salts, input.SaltEnc, input.SaltAuth, outputs.HMACSecret, plain[:32], plain[32:])
	return secrets
}

// Managing credentials, fingers and large blobs leaves none of their secrets in the trace either.
func TestTraceOfManagementTellsNoSecret(t *testing.T) {
	t.Parallel()
	ctx, pin := t.Context(), []byte("1234")
	key, err := virtual.New(virtual.Config{
		PIN:    virtual.PINPolicy{Initial: pin},
		Finger: func(context.Context, virtual.Prompt) (virtual.Sample, error) { return virtual.Sample{Finger: "x"}, nil },
	})
	require.NoError(t, err)
	var text strings.Builder
	client := &ctap2.Client{Transport: ctap2.Trace(key, &text)}
	token := func(permissions ctap2.Permission) *ctap2.Token {
		s, err := client.KeyAgreement(ctx, ctap2.PINProtocol2)
		require.NoError(t, err)
		token, err := client.PINTokenWithPermissions(ctx, s, pin, permissions, "")
		require.NoError(t, err)
		return token
	}
	hash := make([]byte, 32)
	s, err := client.KeyAgreement(ctx, ctap2.PINProtocol2)
	require.NoError(t, err)
	creation, err := client.PINTokenWithPermissions(ctx, s, pin, ctap2.PermissionMakeCredential, "example.org")
	require.NoError(t, err)
	_, err = client.MakeCredential(ctx, &ctap2.MakeCredentialRequest{
		ClientDataHash: hash, RP: ctap2.RelyingParty{ID: "example.org"}, User: ctap2.User{ID: []byte{1}},
		PubKeyCredParams: []ctap2.CredentialParameter{{Algorithm: cose.ES256, Type: ctap2.PublicKeyType}},
		Extensions:       ctap2.MakeCredentialExtensions{LargeBlobKey: true, CredBlob: []byte("cred-blob-content")},
		Options:          ctap2.MakeCredentialOptions{ResidentKey: true},
		PINUVAuthParam:   creation.Authenticate(hash), PINUVAuthProtocol: ctap2.PINProtocol2,
	})
	require.NoError(t, err)

	cm := token(ctap2.PermissionCredentialManagement)
	listed, err := (&ctap2.CredentialManagement{Client: client, Token: cm}).EnumerateCredentialsBegin(ctx, sha256.Sum256([]byte("example.org")))
	require.NoError(t, err)
	be := token(ctap2.PermissionBioEnrollment)
	template, _, err := (&ctap2.BioEnrollment{Client: client, Token: be}).EnrollBegin(ctx, 0)
	require.NoError(t, err)
	lbw := token(ctap2.PermissionLargeBlobWrite)
	var blobs ctap2.LargeBlobArray
	require.NoError(t, blobs.Set(listed.LargeBlobKey, []byte("large-blob-content")))
	array := blobs.Marshal()
	require.NoError(t, client.SetLargeBlobs(ctx, lbw, 0, uint32(len(array)), array))
	_, err = client.GetLargeBlobs(ctx, 0, 900)
	require.NoError(t, err)

	require.Contains(t, text.String(), hex.EncodeToString(listed.CredentialID.ID), "who a credential belongs to is shown")
	for _, secret := range [][]byte{
		listed.LargeBlobKey, template, array[20:60], []byte("cred-blob-content"), cm.Secret(), be.Secret(), lbw.Secret(),
	} {
		requireAbsent(t, text.String(), secret)
	}
}

// Whatever is said: two lines of printable ASCII, without the byte strings that nobody said were public.
func FuzzTrace(f *testing.F) {
	f.Add([]byte{6, 0xa1, 1, 2}, []byte{0, 0xa1, 1, 0x41, 7})
	f.Add([]byte{1, 0xa1, 8, 0x40}, append([]byte{0, 0xa1, 2, 0x58, 37}, make([]byte, 37)...))
	f.Add([]byte{2, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{0x2e})
	f.Add([]byte{0x50, 0xc1, 0xf9, 0x3c, 0, 0x63, 0xff, 0x1b, 0x22}, []byte{0xf7})
	f.Fuzz(func(t *testing.T, request, response []byte) {
		marker := bytes.Repeat([]byte{0xd6, 0x4f}, 8)
		response = append(response, append([]byte{0xa1, 0x0b, 0x50}, marker...)...) // a largeBlobKey, if it comes to that
		text := trace(t, request, response)
		if strings.Count(text, "\n") != 2 || strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), isNoASCII) {
			t.Fatalf("%q", text)
		}
		if publicIsEmpty(request) && strings.Contains(text, hex.EncodeToString(marker)) {
			t.Fatalf("%q", text)
		}
	})
}

// publicIsEmpty says that no member of an answer to the request may show bytes.
func publicIsEmpty(request []byte) bool {
	return len(request) == 0 || request[0] == byte(ctap2.CommandReset) || request[0] > 0x41
}

func isNoASCII(r rune) bool { return r < ' ' || r > '~' }
