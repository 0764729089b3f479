package authenticator

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

const (
	origin  = "https://login.example.org"
	account = `"user":{"id":"dXNlci0x","name":"jane","displayName":"Jane Doe"}`
)

var challenge = []byte("0123456789abcdef")

// site is a relying party, with the client that its users have.
type site struct {
	t        *testing.T
	client   *Client
	hub      virtual.Hub
	commands []ctap2.Command // of all keys
	pins     int             // that the user was asked for
	accounts []string        // between which the user was asked to choose
	choice   int
	known    map[string]*webauthn.CredentialRecord
}

// newSite returns a site whose user touches keys at once and knows their PIN, 1234.
func newSite(t *testing.T, keys ...virtual.Config) *site {
	s := &site{t: t, known: map[string]*webauthn.CredentialRecord{}}
	s.client = &Client{Watch: s.hub.Watch, Open: s.hub.Open, UI: &UI{
		PIN: func(context.Context, *PINRequest) ([]byte, error) {
			s.pins++
			return []byte("1234"), nil
		},
		ChooseAccount: func(_ context.Context, req *AccountRequest) (int, error) {
			for _, u := range req.Accounts {
				s.accounts = append(s.accounts, u.Name)
			}
			return s.choice, nil
		},
	}}
	for _, c := range keys {
		s.plug(c)
	}
	return s
}

func (s *site) plug(c virtual.Config) *virtual.Authenticator {
	c.Faults.Answer = func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
		if cmd == ctaphid.CommandCBOR {
			s.commands = append(s.commands, ctap2.Command(request[0]))
		}
		return run()
	}
	key, err := virtual.New(c)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { key.Close() })
	s.hub.Plug(key)
	return key
}

func withPIN(c virtual.Config) virtual.Config {
	c.PIN.Initial = []byte("1234")
	return c
}

// creating returns options with more members, as a server sends them.
func creating(t *testing.T, members string) *webauthn.CreationOptions {
	t.Helper()
	o := new(webauthn.CreationOptions)
	text := fmt.Sprintf(`{"publicKey":{"rp":{"id":"example.org","name":"Example"},"challenge":"MDEyMzQ1Njc4OWFiY2RlZg",
		"pubKeyCredParams":[{"type":"public-key","alg":-7},{"type":"public-key","alg":-257}]%s}}`, members)
	if !bytes.Contains([]byte(members), []byte(`"user":`)) {
		text = text[:len(text)-2] + "," + account + "}}"
	}
	require.NoError(t, json.Unmarshal([]byte(text), o))
	return o
}

func request(t *testing.T, members string) *webauthn.RequestOptions {
	t.Helper()
	o := new(webauthn.RequestOptions)
	text := fmt.Sprintf(`{"rpId":"example.org","challenge":"MDEyMzQ1Njc4OWFiY2RlZg"%s}`, members)
	require.NoError(t, json.Unmarshal([]byte(text), o))
	return o
}

// register registers, sends the answer through JSON, and verifies it as the server does.
func (s *site) register(members string) *webauthn.RegistrationResponse {
	s.t.Helper()
	o := creating(s.t, members)
	made, err := s.client.Register(s.t.Context(), origin, o)
	require.NoError(s.t, err)
	b, err := json.Marshal(made)
	require.NoError(s.t, err)
	resp := new(webauthn.RegistrationResponse)
	require.NoError(s.t, json.Unmarshal(b, resp))
	registered, err := webauthn.VerifyRegistration(resp, &webauthn.RegistrationOptions{
		Ceremony: webauthn.Ceremony{
			Challenge: challenge, RPID: "example.org", Origins: []string{origin},
			RequireUserVerification: o.AuthenticatorSelection.UserVerification == webauthn.Required,
		},
		PubKeyCredParams: o.PubKeyCredParams,
	})
	require.NoError(s.t, err)
	s.known[string(resp.RawID)] = &registered.Credential
	return resp
}

func (s *site) signIn(members string) *webauthn.AuthenticationResponse {
	s.t.Helper()
	o := request(s.t, members)
	signed, err := s.client.Authenticate(s.t.Context(), origin, o)
	require.NoError(s.t, err)
	b, err := json.Marshal(signed)
	require.NoError(s.t, err)
	resp := new(webauthn.AuthenticationResponse)
	require.NoError(s.t, json.Unmarshal(b, resp))
	require.Contains(s.t, s.known, string(resp.RawID))
	_, err = webauthn.VerifyAssertion(resp, s.known[string(resp.RawID)], &webauthn.AssertionOptions{
		Ceremony: webauthn.Ceremony{
			Challenge: challenge, RPID: "example.org", Origins: []string{origin},
			RequireUserVerification: o.UserVerification == webauthn.Required,
		},
		UserHandle: resp.UserHandle,
	})
	require.NoError(s.t, err)
	return resp
}

// allowing returns the member allowCredentials with IDs that no key holds around the given one.
func allowing(others int, ids ...[]byte) string {
	list := []map[string]any{}
	for n := range others {
		list = append(list, map[string]any{"type": "public-key", "id": bytes.Repeat([]byte{byte(n + 1)}, 64)})
	}
	for _, id := range ids {
		list = append(list, map[string]any{"type": "public-key", "id": id})
	}
	b, _ := json.Marshal(list)
	return `,"allowCredentials":` + string(b)
}

func presetsThatWork() (configs map[string]virtual.Config) {
	configs = map[string]virtual.Config{}
	for _, preset := range virtual.Presets() {
		configs[string(preset)] = preset.Config()
		if preset == virtual.Preset21AlwaysUV || preset == virtual.Preset20PIN || preset == virtual.Preset21Pre {
			configs[string(preset)] = withPIN(preset.Config())
		}
	}
	return configs
}

func TestRegisterAndAuthenticateOnEveryClassOfKey(t *testing.T) {
	t.Parallel()
	for name, c := range presetsThatWork() {
		for _, conveyance := range []string{"none", "direct", "enterprise"} {
			s := newSite(t, c)
			resp := s.register(`,"attestation":"` + conveyance + `"`)
			object, err := webauthn.ParseAttestationObject(resp.AttestationObject)
			require.NoError(t, err)
			data, err := webauthn.ParseAuthenticatorData(object.AuthData)
			require.NoError(t, err)
			require.Equal(t, conveyance == "none", object.Format == webauthn.FormatNone, name)
			if conveyance == "none" {
				require.Zero(t, data.Credential.AAGUID, name)
			}
			require.NotEmpty(t, resp.Transports)
			require.Equal(t, webauthn.CrossPlatform, resp.AuthenticatorAttachment)
			s.signIn(allowing(2, resp.RawID))
		}
	}
}

// The sign-in of a large company: a resident key on any key, attestation as it was made, and none to six credentials.
func TestMicrosoftShapes(t *testing.T) {
	t.Parallel()
	const create = `,"timeout":0,"attestation":"direct","authenticatorSelection":{"authenticatorAttachment":"cross-platform",
		"requireResidentKey":true,"userVerification":"required"},"extensions":{"hmacCreateSecret":true,
		"credentialProtectionPolicy":"userVerificationOptional","enforceCredentialProtectionPolicy":true}`
	s := newSite(t, withPIN(virtual.Preset21.Config()))
	resp := s.register(create)
	require.True(t, *resp.ClientExtensionResults.HMACCreateSecret)
	object, err := webauthn.ParseAttestationObject(resp.AttestationObject)
	require.NoError(t, err)
	require.Equal(t, "packed", object.Format)
	for n := range 6 {
		signed := s.signIn(`,"timeout":600000,"userVerification":"required"` + allowing(n, resp.RawID))
		require.Equal(t, resp.RawID, signed.RawID)
	}
	signed := s.signIn(`,"timeout":600000,"userVerification":"required","allowCredentials":[]`)
	require.Equal(t, resp.RawID, signed.RawID)
	require.Equal(t, []byte("user-1"), signed.UserHandle)
}

func TestResidentKeysWherePreferred(t *testing.T) {
	t.Parallel()
	const preferred = `,"authenticatorSelection":{"residentKey":"preferred"},"extensions":{"credProps":true}`
	full := withPIN(virtual.Preset21.Config())
	full.Capacity = 1
	silent := full // full, but does not tell
	silent.Without = []string{"credMgmt"}
	for name, tc := range map[string]struct {
		config virtual.Config
		want   []bool // of the first registration and another account's
	}{
		"room":     {withPIN(virtual.Preset21.Config()), []bool{true, true}},
		"full":     {full, []bool{true, false}},
		"silent":   {silent, []bool{true, false}},
		"2.0":      {withPIN(virtual.Preset20PIN.Config()), []bool{true, true}},
		"U2F only": {virtual.PresetU2F.Config(), []bool{false, false}},
	} {
		s := newSite(t, tc.config)
		for i, user := range []string{"dXNlci0x", "dXNlci0y"} {
			s.pins, s.commands = 0, nil
			resp := s.register(preferred + `,"user":{"id":"` + user + `","name":"n","displayName":"d"}`)
			require.Equal(t, tc.want[i], *resp.ClientExtensionResults.CredProps.ResidentKey, name)
			require.LessOrEqual(t, s.pins, 1, name)
			if name == "full" {
				require.Equal(t, 1, count(s.commands, makeCredential), "it says that it is full")
			}
		}
	}
}

func count(commands []ctap2.Command, wanted ctap2.Command) (n int) {
	for _, c := range commands {
		if c == wanted {
			n++
		}
	}
	return n
}

func TestRequiredResidentKeyOnAFullKey(t *testing.T) {
	t.Parallel()
	c := virtual.Config{Capacity: 1}
	s := newSite(t, c)
	const required = `,"authenticatorSelection":{"residentKey":"required"}`
	s.register(required)
	_, err := s.client.Register(t.Context(), origin, creating(t, required+`,"user":{"id":"dXNlci0y","name":"n","displayName":"d"}`))
	require.Equal(t, KindStoreFull, KindOf(err))
}

// Some keys have large blobs for resident keys only. Who insists on one gets no credential without it.
func TestRequiredLargeBlobOnAFullKey(t *testing.T) {
	t.Parallel()
	c := withPIN(virtual.Preset21.Config())
	c.Capacity = 1
	s := newSite(t, c)
	s.register(`,"authenticatorSelection":{"residentKey":"required"}`)
	another := func(support string) error {
		_, err := s.client.Register(t.Context(), origin, creating(t, `,"authenticatorSelection":{"residentKey":"preferred"},
			"extensions":{"largeBlob":{"support":"`+support+`"}},"user":{"id":"dXNlci0y","name":"n","displayName":"d"}`))
		return err
	}
	require.Equal(t, KindStoreFull, KindOf(another("required")))
	require.NoError(t, another("preferred"))
}

// The secrets at creation are a courtesy, for which no key needs a PIN.
func TestPRFAtCreationOnAKeyWithoutPIN(t *testing.T) {
	t.Parallel()
	s := newSite(t, virtual.Preset23.Config())
	results := s.register(`,"extensions":{"prf":{"eval":{"first":"Zmlyc3Q"}}}`).ClientExtensionResults.PRF
	require.True(t, *results.Enabled)
	require.Nil(t, results.Results)
}

func TestChooseAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t, withPIN(virtual.Preset21.Config()))
	for _, user := range []string{`{"id":"dXNlci0x","name":"ann","displayName":"a"}`, `{"id":"dXNlci0y","name":"bob","displayName":"b"}`} {
		s.register(`,"authenticatorSelection":{"residentKey":"required","userVerification":"required"},"user":` + user)
	}
	s.choice = 1
	resp := s.signIn("")
	require.Equal(t, []string{"bob", "ann"}, s.accounts)
	require.Equal(t, []byte("user-1"), resp.UserHandle)

	s.choice = 2
	_, err := s.client.Authenticate(t.Context(), origin, request(t, ""))
	require.ErrorIs(t, err, ErrInvalidOptions)

	ctx, cancel := context.WithCancel(t.Context())
	s.client.UI.ChooseAccount = func(asked context.Context, _ *AccountRequest) (int, error) {
		cancel()
		<-asked.Done()
		return 0, nil
	}
	_, err = s.client.Authenticate(ctx, origin, request(t, ""))
	require.ErrorIs(t, err, context.Canceled)

	s.client.UI.ChooseAccount = nil
	require.Equal(t, []byte("user-2"), s.signIn("").UserHandle, "the newest")
}

// A key with a display has the user choose there, and nobody asks again.
func TestTheKeyAsksWhichAccount(t *testing.T) {
	t.Parallel()
	c := withPIN(virtual.Preset21.Config())
	c.ChooseAccount = func(context.Context, virtual.Prompt, []ctap2.User) (int, error) { return 1, nil }
	s := newSite(t, c)
	for _, user := range []string{`{"id":"dXNlci0x","name":"ann","displayName":"a"}`, `{"id":"dXNlci0y","name":"bob","displayName":"b"}`} {
		s.register(`,"authenticatorSelection":{"residentKey":"required","userVerification":"required"},"user":` + user)
	}
	require.Equal(t, []byte("user-1"), s.signIn("").UserHandle)
	require.Empty(t, s.accounts)
}

func TestClientExtensions(t *testing.T) {
	t.Parallel()
	const create = `,"authenticatorSelection":{"residentKey":"required","userVerification":"required"},"extensions":{"credProps":true,
		"credentialProtectionPolicy":"userVerificationRequired","enforceCredentialProtectionPolicy":true,"hmacCreateSecret":true,
		"prf":{"eval":{"first":"Zmlyc3Q"}},"largeBlob":{"support":"required"},"minPinLength":true,"credBlob":"YmxvYg",
		"appidExclude":"https://example.org/u2f.json","payment":{"isPayment":true}}`
	for name, preset := range map[string]virtual.Preset{"2.1": virtual.Preset21, "2.3": virtual.Preset23} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withPIN(preset.Config()))
			made := s.register(create)
			x := made.ClientExtensionResults
			require.True(t, *x.CredProps.ResidentKey)
			require.True(t, *x.HMACCreateSecret)
			require.True(t, *x.PRF.Enabled)
			require.True(t, *x.LargeBlob.Supported)
			require.True(t, *x.CredBlob)
			require.True(t, *x.AppIDExclude)
			require.Equal(t, preset == virtual.Preset23, x.PRF.Results != nil, "hmac-secret-mc is new")

			x = s.signIn(`,"extensions":{"prf":{"eval":{"first":"Zmlyc3Q","second":"c2Vjb25k"}},"getCredBlob":true,
				"largeBlob":{"read":true},"appid":"https://example.org/u2f.json"}`).ClientExtensionResults
			require.Len(t, x.PRF.Results.First, 32)
			require.Len(t, x.PRF.Results.Second, 32)
			if made.ClientExtensionResults.PRF.Results != nil {
				require.Equal(t, made.ClientExtensionResults.PRF.Results.First, x.PRF.Results.First)
			}
			require.Equal(t, []byte("blob"), x.GetCredBlob)
			require.Nil(t, x.LargeBlob.Blob)
			require.False(t, *x.AppID)

			s.pins = 0
			x = s.signIn(`,"userVerification":"required","extensions":{"largeBlob":{"write":"bGFyZ2UgYmxvYg"}}` + allowing(0, made.RawID)).ClientExtensionResults
			require.True(t, *x.LargeBlob.Written)
			require.Equal(t, 1, s.pins, "one token signs and writes")
			x = s.signIn(`,"userVerification":"required","extensions":{"largeBlob":{"read":true}}`).ClientExtensionResults
			require.Equal(t, []byte("large blob"), x.LargeBlob.Blob)

			x = s.signIn(`,"extensions":{"hmacGetSecret":{"salt1":"` + b64Zeros + `","salt2":"` + b64Zeros + `"}}`).ClientExtensionResults
			require.Len(t, x.HMACGetSecret.Output1, 32)
			require.Equal(t, x.HMACGetSecret.Output1, x.HMACGetSecret.Output2)
		})
	}
}

// Credentials of the old U2F API sign in, and keep their key from being registered again, with one touch. Keys that have
// none for the RP ID may say so only after another, so they are not asked.
func TestAppIDCostsOneTouch(t *testing.T) {
	t.Parallel()
	const appID = "https://example.org/u2f.json"
	for _, preset := range []virtual.Preset{virtual.PresetU2F, virtual.Preset20, virtual.Preset21} {
		t.Run(string(preset), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t)
				c := preset.Config()
				c.Faults.Answer = func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
					answer := run()
					silent := bytes.Contains(request, []byte("bup\xf4"))
					if cmd == ctaphid.CommandCBOR && request[0] == byte(getAssertion) && !silent && len(answer) == 1 {
						d.note("a: touched for nothing")
					}
					return answer
				}
				d.plug("a", c)
				opts := credentialOptions()
				opts.RP.ID = appID
				made := begin(d, func() (*Credential, error) {
					return conduct(t.Context(), d.client, func(ctx context.Context, p *player[*Credential]) (*Credential, error) {
						return p.device.MakeCredential(ctx, opts)
					})
				})
				touchOnce := func() {
					d.touch("a")
					time.Sleep(time.Second) // until a U2F key is asked again
				}
				touchOnce()
				old, err := made.end()
				require.NoError(t, err)
				d.take()

				signing := begin(d, func() (*webauthn.AuthenticationResponse, error) {
					return d.client.Authenticate(t.Context(), origin, request(t, `,"extensions":{"appid":"`+appID+`"}`+allowing(2, old.ID)))
				})
				touchOnce()
				resp, err := signing.end()
				require.NoError(t, err)
				require.True(t, *resp.ClientExtensionResults.AppID)
				require.NotContains(t, d.take(), "a: touched for nothing")

				excluded := strings.Replace(allowing(2, old.ID), "allow", "exclude", 1)
				registering := begin(d, func() (*webauthn.RegistrationResponse, error) {
					return d.client.Register(t.Context(), origin, creating(t, `,"extensions":{"appidExclude":"`+appID+`"}`+excluded))
				})
				touchOnce()
				_, err = registering.end()
				require.Equal(t, "InvalidStateError", AdviceOn(err).DOMException)
			})
		})
	}
}

// A credential has other secrets for users who are not verified, which web pages shall not see; and who writes must be
// verified by a key that has a PIN. Neither is up to the page.
func TestExtensionsThatVerifyTheUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, withPIN(virtual.Preset23.Config()))
	const discouraged = `,"authenticatorSelection":{"userVerification":"discouraged"},"extensions":`
	verified := func(authData []byte) bool {
		data, err := webauthn.ParseAuthenticatorData(authData)
		require.NoError(t, err)
		return data.Flags.Has(ctap2.FlagUV)
	}
	made := s.register(discouraged + `{"prf":{"eval":{"first":"Zmlyc3Q"}}}`)
	object, err := webauthn.ParseAttestationObject(made.AttestationObject)
	require.NoError(t, err)
	require.True(t, verified(object.AuthData))
	signed := s.signIn(`,"userVerification":"discouraged","extensions":{"prf":{"eval":{"first":"Zmlyc3Q"}}}` + allowing(0, made.RawID))
	require.True(t, verified(signed.AuthenticatorData))

	s = newSite(t, withPIN(virtual.Preset21.Config()))
	made = s.register(`,"authenticatorSelection":{"residentKey":"required"},"extensions":{"largeBlob":{"support":"required"}}`)
	signed = s.signIn(`,"userVerification":"discouraged","extensions":{"largeBlob":{"write":"bGFyZ2UgYmxvYg"}}` + allowing(0, made.RawID))
	require.True(t, *signed.ClientExtensionResults.LargeBlob.Written)
}

const b64Zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Extensions that a key does not have are left out, and nothing fails.
func TestExtensionsThatTheKeyDoesNotHave(t *testing.T) {
	t.Parallel()
	for _, preset := range []virtual.Preset{virtual.PresetU2F, virtual.Preset20} {
		c := preset.Config()
		c.Without = nil
		if preset != virtual.PresetU2F {
			c.Without = []string{"hmac-secret"}
		}
		s := newSite(t, c)
		made := s.register(`,"extensions":{"credProps":true,"credentialProtectionPolicy":"userVerificationRequired",
			"prf":{"eval":{"first":"Zmlyc3Q"}},"hmacCreateSecret":true,"largeBlob":{"support":"preferred"},"minPinLength":true,
			"credBlob":"YmxvYg","payment":{"isPayment":true}}`)
		x := made.ClientExtensionResults
		require.False(t, *x.CredProps.ResidentKey)
		require.False(t, *x.HMACCreateSecret)
		require.False(t, *x.PRF.Enabled)
		require.False(t, *x.LargeBlob.Supported)
		require.False(t, *x.CredBlob)
		x = s.signIn(`,"extensions":{"prf":{"eval":{"first":"Zmlyc3Q"}},"getCredBlob":true,"largeBlob":{"read":true}}` +
			allowing(0, made.RawID)).ClientExtensionResults
		require.Nil(t, x.PRF.Results)
		require.Nil(t, x.GetCredBlob)
		require.Nil(t, x.LargeBlob.Blob)
	}
}

// The inputs for the credential that the key holds, wherever it is in the list.
func TestPRFByCredential(t *testing.T) {
	t.Parallel()
	s := newSite(t, withPIN(virtual.Preset21.Config()))
	const create = `,"authenticatorSelection":{"userVerification":"required"},"extensions":{"prf":{},
		"credentialProtectionPolicy":"userVerificationRequired"}`
	mine := s.register(create).RawID
	allow := allowing(3, mine)
	first := func(prf string) []byte {
		results := s.signIn(`,"extensions":{"prf":` + prf + `}` + allow).ClientExtensionResults.PRF.Results
		require.NotNil(t, results)
		return results.First
	}
	byDefault := first(`{"eval":{"first":"Zmlyc3Q"}}`)
	id, err := json.Marshal(base64URL(mine))
	require.NoError(t, err)
	other, err := json.Marshal(base64URL(bytes.Repeat([]byte{1}, 64)))
	require.NoError(t, err)
	require.Equal(t, byDefault, first(`{"eval":{"first":"eA"},"evalByCredential":{`+string(id)+`:{"first":"Zmlyc3Q"}}}`))
	require.Equal(t, byDefault, first(`{"eval":{"first":"Zmlyc3Q"},"evalByCredential":{`+string(other)+`:{"first":"eA"}}}`))
}

// The whole list in one request, and nothing before it.
func TestAuthenticateCostsOneCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, virtual.Config{})
	id := s.register("").RawID
	s.commands = nil
	s.signIn(allowing(5, id))
	require.Equal(t, []ctap2.Command{getInfo, getAssertion}, s.commands)
}

func TestRequestsThatNoKeyIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, virtual.Config{})
	for name, tc := range map[string]struct {
		origin, members, want string
	}{
		"another site":    {"https://example.com", "", "SecurityError"},
		"no TLS":          {"http://login.example.org", "", "SecurityError"},
		"a public suffix": {origin, `,"rp":{"id":"org","name":"x"}`, "SecurityError"},
		"platform":        {origin, `,"authenticatorSelection":{"authenticatorAttachment":"platform"}`, "ConstraintError"},
		"algorithms":      {origin, `,"pubKeyCredParams":[{"type":"public-key","alg":-999}]`, "NotSupportedError"},
	} {
		o := new(webauthn.CreationOptions)
		text := `{"rp":{"id":"example.org","name":"x"},"challenge":"MDEyMzQ1Njc4OWFiY2RlZg",` + account +
			`,"pubKeyCredParams":[{"type":"public-key","alg":-7}]}`
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &members))
		if tc.members != "" {
			require.NoError(t, json.Unmarshal([]byte("{"+tc.members[1:]+"}"), &members))
		}
		b, err := json.Marshal(members)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, o))
		_, err = s.client.Register(t.Context(), tc.origin, o)
		require.Error(t, err, name)
		require.Equal(t, tc.want, AdviceOn(err).DOMException, "%s: %v", name, err)
	}
	_, err := s.client.Register(t.Context(), origin, &webauthn.CreationOptions{})
	require.Equal(t, "TypeError", AdviceOn(err).DOMException)
	_, err = s.client.Authenticate(t.Context(), origin, &webauthn.RequestOptions{})
	require.Equal(t, "TypeError", AdviceOn(err).DOMException)
	require.Empty(t, s.commands)
}

func TestFramesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := newSite(t, virtual.Config{})
	for top, want := range map[string]webauthn.ClientData{
		"":                    {},
		origin:                {CrossOrigin: true, TopOrigin: origin}, // A in B in A
		"https://EXAMPLE.com": {CrossOrigin: true, TopOrigin: "https://example.com"},
	} {
		s.client.TopOrigin = top
		resp, err := s.client.Register(t.Context(), origin, creating(t, ""))
		require.NoError(t, err)
		data, err := webauthn.ParseClientData(resp.ClientDataJSON)
		require.NoError(t, err)
		want.Type, want.Challenge, want.Origin = webauthn.TypeCreate, challenge, origin
		require.Equal(t, &want, data)
	}
	s.client.TopOrigin = "example.com"
	_, err := s.client.Register(t.Context(), origin, creating(t, ""))
	require.ErrorIs(t, err, webauthn.ErrSecurity)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for wanted, want := range map[time.Duration]time.Duration{
		0: defaultTimeout, -1: defaultTimeout, time.Second: minTimeout, time.Minute: time.Minute, time.Hour: maxTimeout,
	} {
		require.Equal(t, want, timeout(wanted))
	}
}

func TestAlgorithmsInTheServersOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, virtual.Config{})
	o := creating(t, "")
	for _, want := range []cose.Algorithm{cose.EdDSA, cose.ES384, cose.ES256} {
		o.PubKeyCredParams = slices.Concat([]cose.Algorithm{-999, want}, o.PubKeyCredParams)
		resp, err := s.client.Register(t.Context(), origin, o)
		require.NoError(t, err)
		object, err := webauthn.ParseAttestationObject(resp.AttestationObject)
		require.NoError(t, err)
		data, err := webauthn.ParseAuthenticatorData(object.AuthData)
		require.NoError(t, err)
		require.Equal(t, want, data.Credential.PublicKey.Algorithm)
	}
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Another program that writes meanwhile makes the whole write begin anew, under the same signature.
func TestLargeBlobWrittenBesideOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	refused := false
	c := withPIN(virtual.Preset21.Config())
	c.Faults.Answer = func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		if request[0] == byte(ctap2.CommandLargeBlobs) && bytes.Contains(request, []byte{2, 0x58}) && !refused { // set
			refused = true
			return []byte{byte(ctap2.ErrInvalidSeq)}
		}
		return run()
	}
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	s.hub.Plug(key)
	var told []EventKind
	s.client.UI.Notify = func(e Event) { told = append(told, e.Kind) }
	made := s.register(`,"authenticatorSelection":{"residentKey":"required"},"extensions":{"largeBlob":{"support":"required"}}`)
	signed := s.signIn(`,"extensions":{"largeBlob":{"write":"bGFyZ2UgYmxvYg"}}` + allowing(0, made.RawID))
	require.True(t, refused)
	require.True(t, *signed.ClientExtensionResults.LargeBlob.Written)
	require.Equal(t, 2, s.pins)
	require.Contains(t, told, EventTouched)
	require.NotContains(t, told, EventProgress)
}
