package redact

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// ceremony is what a user does with a key, and what of it is nobody's business.
type ceremony struct {
	t        *testing.T
	client   *ctap2.Client
	private  [][]byte
	pin, rp  string
	user     ctap2.User
	hash     []byte
	protocol ctap2.PINProtocol
}

func newCeremony(t *testing.T, channel *ctaphid.Channel) *ceremony {
	c := &ceremony{
		t: t, client: &ctap2.Client{Transport: channel}, pin: "secret-pin", rp: "login.example.org",
		user:     ctap2.User{ID: []byte("user handle 4711"), Name: "jane@example.org", DisplayName: "Jane Doe, Lübeck"},
		hash:     bytes.Repeat([]byte{0xcd}, 32),
		protocol: ctap2.PINProtocol2,
	}
	rpHash := sha256.Sum256([]byte(c.rp))
	c.note([]byte(c.pin), []byte(c.rp), rpHash[:], c.user.ID, []byte(c.user.Name), []byte(c.user.DisplayName), c.hash)
	return c
}

func (c *ceremony) note(private ...[]byte) {
	for _, b := range private {
		require.NotEmpty(c.t, b)
		c.private = append(c.private, bytes.Clone(b))
	}
}

func (c *ceremony) secret() *ctap2.SharedSecret {
	s, err := c.client.KeyAgreement(c.t.Context(), c.protocol)
	require.NoError(c.t, err)
	x := s.PublicKey()
	encoded, err := x.MarshalCBOR()
	require.NoError(c.t, err)
	c.note(encoded[len(encoded)-32:]) // y
	return s
}

func (c *ceremony) token() *ctap2.Token {
	const both = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion
	token, err := c.client.PINTokenWithPermissions(c.t.Context(), c.secret(), []byte(c.pin), both, c.rp)
	require.NoError(c.t, err)
	return token
}

func (c *ceremony) register(alg cose.Algorithm) *ctap2.AuthenticatorData {
	token := c.token()
	req := &ctap2.MakeCredentialRequest{
		ClientDataHash:    c.hash,
		RP:                ctap2.RelyingParty{ID: c.rp, Name: "Example Login"},
		User:              c.user,
		PubKeyCredParams:  []ctap2.CredentialParameter{{Algorithm: alg, Type: ctap2.PublicKeyType}},
		Extensions:        ctap2.MakeCredentialExtensions{HMACSecret: true, CredProtect: 2},
		Options:           ctap2.MakeCredentialOptions{ResidentKey: true},
		PINUVAuthParam:    token.Authenticate(c.hash),
		PINUVAuthProtocol: token.Protocol(),
	}
	resp, err := c.client.MakeCredential(c.t.Context(), req)
	require.NoError(c.t, err)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(c.t, err)
	var statement struct {
		Sig []byte   `cbor:"sig"`
		X5C [][]byte `cbor:"x5c"`
	}
	require.NoError(c.t, ctapcbor.Unmarshal(resp.AttStmt, &statement))
	raw := data.Credential.RawPublicKey
	c.note([]byte("Example Login"), req.PINUVAuthParam, data.Credential.ID, raw[len(raw)-32:], statement.Sig)
	c.note(statement.X5C...)
	return data
}

func (c *ceremony) authenticate(id []byte) {
	s, token := c.secret(), c.token()
	input, err := ctap2.NewHMACSecretInput(s, bytes.Repeat([]byte{0x5a}, 64))
	require.NoError(c.t, err)
	req := &ctap2.GetAssertionRequest{
		RPID: c.rp, ClientDataHash: c.hash,
		AllowList:      []ctap2.CredentialDescriptor{{ID: id, Type: ctap2.PublicKeyType}},
		Extensions:     ctap2.GetAssertionExtensions{HMACSecret: input},
		PINUVAuthParam: token.Authenticate(c.hash), PINUVAuthProtocol: token.Protocol(),
	}
	resp, err := c.client.GetAssertion(c.t.Context(), req)
	require.NoError(c.t, err)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(c.t, err)
	c.note(input.SaltEnc, input.SaltAuth, resp.Signature, data.Extensions[len(data.Extensions)-64:])
}

// recording runs a ceremony and returns its transcript. Two runs differ in keys and nonces only.
func recording(t *testing.T, redact func(ctaphid.Message)) (*ceremony, *ctaphid.Transcript, string) {
	t.Helper()
	key, err := virtual.New(virtual.Config{Attestation: virtual.AttestationBasic})
	require.NoError(t, err)
	defer key.Close()
	var text strings.Builder
	channel, err := ctaphid.Open(t.Context(), ctaphid.Record(key.Device(), &text, redact))
	require.NoError(t, err)
	c := newCeremony(t, channel)
	_, err = c.client.GetInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.client.SetPIN(t.Context(), c.secret(), []byte(c.pin)))
	for _, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256} {
		c.authenticate(c.register(alg).Credential.ID)
	}
	require.NoError(t, channel.Ping(t.Context(), []byte(c.user.Name)))
	require.NoError(t, channel.Close())
	transcript, err := ctaphid.ReadTranscript(strings.NewReader(text.String()))
	require.NoError(t, err)
	return c, transcript, text.String()
}

// contents are all data of a transcript, as bytes.
func contents(transcript *ctaphid.Transcript) (all []byte) {
	for _, m := range transcript.Messages() {
		all = append(all, m.Data...)
	}
	return all
}

func TestNothingPrivateIsRecorded(t *testing.T) {
	t.Parallel()
	c, raw, _ := recording(t, nil)
	for i, private := range c.private {
		if i > 0 { // the PIN is not even there
			require.True(t, bytes.Contains(contents(raw), private), "the test looks for %x, which is not there", private)
		}
	}
	c, redacted, text := recording(t, New().Message)
	for _, private := range c.private {
		require.False(t, bytes.Contains(contents(redacted), private), "%x is there", private)
		require.NotContains(t, text, hex.EncodeToString(private))
	}
}

// The structure stays: all that tells of a bug but for the contents.
func TestTheFormStays(t *testing.T) {
	t.Parallel()
	_, transcript, _ := recording(t, nil)
	r := New()
	for _, m := range transcript.Messages() {
		before := bytes.Clone(m.Data)
		r.Message(m)
		switch m.Command {
		case ctaphid.CommandCBOR:
			require.Equal(t, before[0], m.Data[0])
			require.Equal(t, form(t, before[1:]), form(t, m.Data[1:]))
		case ctaphid.CommandPing:
			require.NotEqual(t, before, m.Data)
		default:
			require.Equal(t, before, m.Data)
		}
	}
}

// form decodes a message and cuts all strings that Redactor may touch to their lengths.
func form(t *testing.T, b []byte) any {
	if len(b) == 0 {
		return nil
	}
	var v any
	require.NoError(t, ctapcbor.Unmarshal(b, &v))
	return formOf(v)
}

func formOf(v any) any {
	switch v := v.(type) {
	case []byte:
		return len(v)
	case string:
		if words[v] {
			return v
		}
		return len(v)
	case []any:
		for i := range v {
			v[i] = formOf(v[i])
		}
	case map[any]any:
		for k := range v {
			v[k] = formOf(v[k])
		}
	}
	return v
}

// What a program reads from a redacted recording is as good as before but for signatures.
func TestRedactedAnswersAreGoodAnswers(t *testing.T) {
	t.Parallel()
	_, transcript, _ := recording(t, New().Message)
	var info ctap2.Info
	var rpID string
	var command ctap2.Command
	credentials := make(map[string]bool)
	algorithms := make(map[cose.Algorithm]bool)
	for _, m := range transcript.Messages() {
		switch {
		case m.Command != ctaphid.CommandCBOR:
		case !m.FromDevice:
			command = ctap2.Command(m.Data[0])
			rpID = requestedRP(t, command, m.Data[1:], rpID)
		case command == ctap2.CommandGetInfo:
			require.NoError(t, ctapcbor.Unmarshal(m.Data[1:], &info))
		case command == ctap2.CommandClientPIN && len(m.Data) > 1:
			var resp ctap2.ClientPINResponse
			require.NoError(t, ctapcbor.Unmarshal(m.Data[1:], &resp), "with a point that is on the curve")
		case command == ctap2.CommandMakeCredential:
			var resp ctap2.MakeCredentialResponse
			require.NoError(t, ctapcbor.Unmarshal(m.Data[1:], &resp))
			require.Equal(t, "packed", resp.Format)
			data := authData(t, resp.AuthData, rpID)
			require.Equal(t, info.AAGUID, data.Credential.AAGUID)
			require.NotNil(t, data.Credential.PublicKey)
			algorithms[data.Credential.PublicKey.Algorithm] = true
			credentials[string(data.Credential.ID)] = true
		case command == ctap2.CommandGetAssertion:
			var resp ctap2.GetAssertionResponse
			require.NoError(t, ctapcbor.Unmarshal(m.Data[1:], &resp))
			data := authData(t, resp.AuthData, rpID)
			require.True(t, data.Flags.Has(ctap2.FlagUP|ctap2.FlagUV))
			require.True(t, credentials[string(resp.Credential.ID)], "the ID is that of the registration")
		}
	}
	require.Contains(t, info.Versions, "FIDO_2_1")
	require.Contains(t, info.Options, "makeCredUvNotRqd")
	require.NotZero(t, info.AAGUID)
	require.Len(t, algorithms, 5)
	require.Len(t, credentials, 5)
}

func requestedRP(t *testing.T, command ctap2.Command, params []byte, before string) string {
	t.Helper()
	switch command {
	case ctap2.CommandMakeCredential:
		var req ctap2.MakeCredentialRequest
		require.NoError(t, ctapcbor.Unmarshal(params, &req))
		require.Equal(t, ctap2.PublicKeyType, req.PubKeyCredParams[0].Type)
		require.True(t, req.Extensions.HMACSecret)
		return req.RP.ID
	case ctap2.CommandGetAssertion:
		var req ctap2.GetAssertionRequest
		require.NoError(t, ctapcbor.Unmarshal(params, &req))
		require.Equal(t, before, req.RPID, "the same pseudonym as in the registration")
		return req.RPID
	}
	return before
}

func authData(t *testing.T, b []byte, rpID string) *ctap2.AuthenticatorData {
	t.Helper()
	data, err := ctap2.ParseAuthenticatorData(b)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256([]byte(rpID)), data.RPIDHash, "fits the pseudonym")
	require.Zero(t, data.SignCount)
	return data
}

func TestPseudonymsAreNewInEachRecording(t *testing.T) {
	t.Parallel()
	secret := []byte("sixteen letters.")
	one, two, again := bytes.Clone(secret), bytes.Clone(secret), bytes.Clone(secret)
	r := New()
	r.hide(one)
	r.hide(again)
	New().hide(two)
	require.Equal(t, one, again)
	require.NotEqual(t, one, two)
	require.NotEqual(t, secret, one)
	zeros := make([]byte, 32)
	r.hide(zeros)
	require.True(t, isZero(zeros))
}

// exchange redacts a request and its response, and returns the latter.
func exchange(r *Redactor, command ctap2.Command, response []byte) []byte {
	r.Message(ctaphid.Message{CID: 1, Command: ctaphid.CommandCBOR, Data: []byte{byte(command)}})
	response = append([]byte{0}, response...)
	r.Message(ctaphid.Message{CID: 1, FromDevice: true, Command: ctaphid.CommandCBOR, Data: response})
	return response[1:]
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := ctapcbor.Marshal(v)
	require.NoError(t, err)
	return b
}

// What the key calls its extensions is no secret, and it helps to know which of them a request asks for.
func TestWordsOfTheKeyStay(t *testing.T) {
	t.Parallel()
	request := marshal(t, map[int]any{6: map[string]bool{"vendorThing": true}})
	ask := func(r *Redactor) []byte {
		data := append([]byte{1}, request...)
		r.Message(ctaphid.Message{CID: 1, Command: ctaphid.CommandCBOR, Data: data})
		return data[1:]
	}
	r := New()
	require.NotEqual(t, request, ask(r))
	info := marshal(t, map[int]any{2: []string{"vendorThing"}})
	require.Equal(t, info, exchange(r, ctap2.CommandGetInfo, info))
	require.Equal(t, request, ask(r))
}

func TestAuthenticatorDataInEachResponse(t *testing.T) {
	t.Parallel()
	for _, command := range []ctap2.Command{
		ctap2.CommandMakeCredential, ctap2.CommandGetAssertion, ctap2.CommandGetNextAssertion,
	} {
		data := slices.Concat(bytes.Repeat([]byte{7}, 32), []byte{0x45, 1, 2, 3, 4},
			bytes.Repeat([]byte{8}, 16), []byte{0, 2, 9, 9})
		var answer map[int][]byte
		require.NoError(t, ctapcbor.Unmarshal(exchange(New(), command, marshal(t, map[int][]byte{2: data})), &answer))
		require.NotEqual(t, data[:32], answer[2][:32])
		require.Equal(t, []byte{0x45, 0, 0, 0, 0}, answer[2][32:37])
		require.Equal(t, data[37:55], answer[2][37:55])
		require.NotEqual(t, data[55:], answer[2][55:])
	}
}

// Only the member of that name is the AAGUID.
func TestOtherBytesOfGetInfoAreHidden(t *testing.T) {
	t.Parallel()
	id := bytes.Repeat([]byte{7}, 16)
	answer := exchange(New(), ctap2.CommandGetInfo, marshal(t, map[int]any{3: id, 9: map[int][]byte{3: id}, 0x19: id}))
	require.Equal(t, 1, bytes.Count(answer, id))
}

func TestOddPublicKeys(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][2]int{{0, 0}, {0, 32}, {31, 32}, {32, 31}, {32, 0}, {66, 66}} {
		for kty := range 4 {
			for crv := range 5 {
				key := map[int]any{1: kty, -1: crv, -2: bytes.Repeat([]byte{7}, sizes[0]), -3: bytes.Repeat([]byte{7}, sizes[1])}
				in := marshal(t, map[int]any{1: key, 2: map[int][]byte{-1: {}, -2: {7}}})
				require.Len(t, exchange(New(), ctap2.CommandClientPIN, bytes.Clone(in)), len(in))
			}
		}
	}
}

// A tag is no reason to give up on the structure.
func TestTaggedItemsKeepTheirForm(t *testing.T) {
	t.Parallel()
	answer := exchange(New(), 0, []byte{0xc2, 0x43, 7, 7, 7})
	require.Equal(t, []byte{0xc2, 0x43}, answer[:2])
	require.NotEqual(t, []byte{7, 7, 7}, answer[2:])
}

// A key cannot make the recording take memory without end.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := New()
	for i := range 2 * maxMemory {
		r.hideText([]byte{byte(i), byte(i >> 8), '!'})
		r.learn([]byte{byte(i), byte(i >> 8), '?'})
	}
	require.Len(t, r.hashes, maxMemory)
	require.Len(t, r.words, maxMemory)
}

// Where there is no CBOR, or not that of a message, nothing is kept.
func TestWhatIsNotUnderstoodIsHidden(t *testing.T) {
	t.Parallel()
	marker := make([]byte, 32)
	rand.Read(marker)
	marker[0] = 0xff // no item begins so: by chance, random bytes are numbers in arrays, which stay
	text := []byte("jane@example.org wants to log in")
	wide := append([]byte{0x58, 32}, marker...)
	for name, data := range map[string][]byte{
		"no CBOR":             marker,
		"behind the message":  append([]byte{0xa0}, marker...),
		"indefinite string":   slices.Concat([]byte{0x5f}, wide, []byte{0xff}),
		"indefinite map":      slices.Concat([]byte{0xbf, 1}, wide, []byte{0xff}),
		"too short a string":  append([]byte{0x58, 33}, marker...),
		"too short a map":     append([]byte{0xa9, 1}, wide...),
		"deep":                append(bytes.Repeat([]byte{0x81}, 40), wide...),
		"tagged":              append([]byte{0xc2}, wide...),
		"a label":             slices.Concat([]byte{0xa1}, wide, []byte{1}),
		"a text":              append([]byte{0x78, 32}, text...),
		"a label of text":     slices.Concat([]byte{0xa1, 0x78, 32}, text, []byte{1}),
		"not canonical":       slices.Concat([]byte{0xb8, 1, 0x18, 9, 0x59, 0, 32}, marker),
		"auth data too short": append([]byte{0xa1, 2, 0x58, 32}, marker...),
		"auth data behind":    slices.Concat([]byte{0xa1, 2, 0x58, 37 + 32}, make([]byte, 37), marker),
		"auth data credential": slices.Concat([]byte{0xa1, 2, 0x58, 37 + 18 + 32}, make([]byte, 32), []byte{0x40, 0, 0, 0, 0},
			make([]byte, 16), []byte{0xff, 0xff}, marker),
		"auth data no credential": slices.Concat([]byte{0xa1, 2, 0x58, 37 + 17}, make([]byte, 32),
			[]byte{0x40, 0, 0, 0, 0}, marker[:17]),
		"auth data extensions": slices.Concat([]byte{0xa1, 2, 0x58, 37 + 1 + 32}, make([]byte, 32),
			[]byte{0x80, 0, 0, 0, 0, 0x5a}, marker),
		"auth data no string": slices.Concat([]byte{0xa1, 2, 0x81}, wide),
	} {
		for _, command := range []ctap2.Command{0, ctap2.CommandMakeCredential, ctap2.CommandGetNextAssertion, 0x40} {
			answer := exchange(New(), command, data)
			for _, private := range [][]byte{marker[:16], marker[16:], text[:16], bytes.Repeat([]byte{0x81}, 20)} {
				require.False(t, bytes.Contains(answer, private), "%s, %v: %x", name, command, answer)
			}
		}
	}
}

func TestCommandsWithoutSecretsStay(t *testing.T) {
	t.Parallel()
	r := New()
	for _, command := range []ctaphid.Command{
		ctaphid.CommandInit, ctaphid.CommandWink, ctaphid.CommandLock, ctaphid.CommandCancel,
		ctaphid.CommandKeepalive, ctaphid.CommandError,
	} {
		data := []byte{1, 2, 3}
		r.Message(ctaphid.Message{Command: command, Data: data})
		require.Equal(t, []byte{1, 2, 3}, data)
	}
	for _, command := range []ctaphid.Command{ctaphid.CommandPing, 0x40, 0x7e, 0} {
		data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		r.Message(ctaphid.Message{Command: command, Data: data})
		require.NotEqual(t, []byte{1, 2, 3, 4, 5, 6, 7, 8}, data)
	}
	r.Message(ctaphid.Message{Command: ctaphid.CommandCBOR})
}

// Whatever the messages, redacting them changes neither how long they are nor what is CBOR, and leaves no string but
// the AAGUID of a getInfo.
func FuzzMessage(f *testing.F) {
	f.Add(byte(0x10), byte(4), []byte{0xa1, 3, 0x50, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add(byte(0x10), byte(1), append([]byte{0xa1, 2, 0x58, 37}, bytes.Repeat([]byte{0x40}, 37)...))
	f.Add(byte(0x10), byte(2), append([]byte{0xa1, 2, 0x58, 56}, bytes.Repeat([]byte{0xc0}, 56)...))
	f.Add(byte(0x10), byte(6), []byte{0xa1, 1, 0xa5, 1, 2, 3, 0x38, 24, 0x20, 1, 0x21, 0x41, 1, 0x22, 0x41, 1})
	f.Add(byte(3), byte(1), append([]byte{5, 4}, bytes.Repeat([]byte{0x30, 2, 1}, 100)...))
	f.Add(byte(3), byte(2), []byte{1, 0, 0, 0, 9, 0x30, 6, 2, 1, 1, 2, 1, 1, 0x90, 0})
	f.Add(byte(3), byte(1), []byte{0, 1, 3, 0, 0, 0, 64, 1, 2})
	f.Fuzz(func(t *testing.T, hid, command byte, body []byte) {
		marker := bytes.Repeat([]byte{0xf0, 0x9f, 0x98, command}, 8)
		body = append(body, append([]byte{0x58, 32}, marker...)...)
		r := New()
		for _, fromDevice := range []bool{false, true} {
			data := append([]byte{command, command}, body...)
			if hid == byte(ctaphid.CommandCBOR) {
				data = data[1:]
			}
			var item any
			valid := ctapcbor.Unmarshal(data[1:], &item) == nil
			r.Message(ctaphid.Message{CID: 1, FromDevice: fromDevice, Command: ctaphid.Command(hid), Data: data})
			if hid != byte(ctaphid.CommandCBOR) {
				continue
			}
			if bytes.Contains(data, marker) && command != byte(ctap2.CommandGetInfo) {
				t.Fatalf("kept %x", data)
			}
			if valid && data[0] == command && !wellFormed(data[1:]) {
				t.Fatalf("no CBOR any more: %x", data)
			}
		}
	})
}

// wellFormed does not mind labels that are twice there, as short ones may be under pseudonyms.
func wellFormed(b []byte) bool {
	rest, err := (&walker{Redactor: New()}).message(b)
	return err == nil && len(rest) == 0
}
