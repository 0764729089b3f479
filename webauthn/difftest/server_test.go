package difftest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	server "github.com/go-webauthn/webauthn/webauthn"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// A site is go-webauthn as a server with one user.
type site struct {
	*server.WebAuthn
	credentials []server.Credential
}

func (s *site) WebAuthnID() []byte                       { return []byte{0xfb, 0xff, 0xfe, 'u'} }
func (s *site) WebAuthnName() string                     { return "jane" }
func (s *site) WebAuthnDisplayName() string              { return "Jane <Doe> \u2028 \U0001f511" }
func (s *site) WebAuthnCredentials() []server.Credential { return s.credentials }

func newSite(t testing.TB, change func(*server.Config)) *site {
	t.Helper()
	config := &server.Config{
		RPID: rpID, RPDisplayName: "Example & Sons", RPOrigins: []string{"https://login.example.org:8443"},
		Attestation: theirPolicy,
	}
	if change != nil {
		change(config)
	}
	w, err := server.New(config)
	require.NoError(t, err)
	return &site{WebAuthn: w}
}

// A browser is a client with one key.
type browser struct {
	origin    string
	topOrigin string
	client    *authenticator.Client
}

// newBrowser has a key with the PIN 1234, unless its configuration has none.
func newBrowser(t testing.TB, config virtual.Config) *browser {
	t.Helper()
	key, err := virtual.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	if root := key.AttestationRoot(); root != nil {
		trustEverywhere(root)
	}
	hub := new(virtual.Hub)
	hub.Plug(key)
	return &browser{origin: "https://login.example.org:8443", client: &authenticator.Client{
		Watch: hub.Watch, Open: hub.Open, UI: &authenticator.UI{
			PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte("1234"), nil },
		},
	}}
}

// create is navigator.credentials.create.
func (b *browser) create(t testing.TB, fromServer []byte) []byte {
	t.Helper()
	var o webauthn.CreationOptions
	require.NoError(t, json.Unmarshal(fromServer, &o))
	b.client.TopOrigin = b.topOrigin
	response, err := b.client.Register(t.Context(), b.origin, &o)
	require.NoError(t, err)
	return toJSON(t, response)
}

// get is navigator.credentials.get.
func (b *browser) get(t testing.TB, fromServer []byte) []byte {
	t.Helper()
	var o webauthn.RequestOptions
	require.NoError(t, json.Unmarshal(fromServer, &o))
	b.client.TopOrigin = b.topOrigin
	response, err := b.client.Authenticate(t.Context(), b.origin, &o)
	require.NoError(t, err)
	return toJSON(t, response)
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// request is what a browser posts.
func request(t testing.TB, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.org/", bytes.NewReader(body))
	require.NoError(t, err)
	return r
}

// register also has keyfob verify what go-webauthn did.
func (s *site) register(t testing.TB, b *browser, options ...server.RegistrationOption) *server.Credential {
	t.Helper()
	creation, session, err := s.BeginRegistration(s, options...)
	require.NoError(t, err)
	response := b.create(t, toJSON(t, creation))
	credential, err := s.FinishRegistration(s, *session, request(t, response))
	require.NoError(t, explain(err))
	s.credentials = append(s.credentials, *credential)

	var received webauthn.RegistrationResponse
	require.NoError(t, json.Unmarshal(response, &received))
	params := make([]cose.Algorithm, 0, len(session.CredParams))
	for _, p := range session.CredParams {
		params = append(params, cose.Algorithm(p.Algorithm))
	}
	_, err = webauthn.VerifyRegistration(&received, &webauthn.RegistrationOptions{
		Ceremony:         s.expected(creation.Response.Challenge),
		PubKeyCredParams: params,
	})
	require.NoError(t, err)
	return credential
}

func (s *site) expected(challenge []byte) webauthn.Ceremony {
	return webauthn.Ceremony{
		Challenge: challenge, RPID: s.Config.RPID, Origins: s.Config.RPOrigins,
		AllowCrossOrigin: s.Config.RPAllowCrossOrigin, TopOrigins: s.Config.RPTopOrigins,
	}
}

func (s *site) login(t testing.TB, b *browser, options ...server.LoginOption) (*server.Credential, *webauthn.AuthenticationResponse) {
	t.Helper()
	assertion, session, err := s.BeginLogin(s, options...)
	require.NoError(t, err)
	response := b.get(t, toJSON(t, assertion))
	credential, err := s.FinishLogin(s, *session, request(t, response))
	require.NoError(t, explain(err))
	return credential, s.verify(t, response, assertion.Response.Challenge)
}

func (s *site) discoverableLogin(t testing.TB, b *browser, options ...server.LoginOption) *server.Credential {
	t.Helper()
	assertion, session, err := s.BeginDiscoverableLogin(options...)
	require.NoError(t, err)
	response := b.get(t, toJSON(t, assertion))
	find := func(_, userHandle []byte) (server.User, error) {
		if !bytes.Equal(userHandle, s.WebAuthnID()) {
			return nil, errors.New("no such user")
		}
		return s, nil
	}
	_, credential, err := s.FinishPasskeyLogin(find, *session, request(t, response))
	require.NoError(t, explain(err))
	s.verify(t, response, assertion.Response.Challenge)
	return credential
}

// verify has keyfob verify an assertion against what go-webauthn stored.
func (s *site) verify(t testing.TB, response, challenge []byte) *webauthn.AuthenticationResponse {
	t.Helper()
	r := new(webauthn.AuthenticationResponse)
	require.NoError(t, json.Unmarshal(response, r))
	i := slices.IndexFunc(s.credentials, func(c server.Credential) bool { return bytes.Equal(c.ID, r.RawID) })
	key, err := cose.ParseKey(s.credentials[i].PublicKey)
	require.NoError(t, err)
	_, err = webauthn.VerifyAssertion(r, &webauthn.CredentialRecord{ID: r.RawID, PublicKey: key}, &webauthn.AssertionOptions{
		Ceremony: s.expected(challenge), UserHandle: s.WebAuthnID(),
	})
	require.NoError(t, err)
	return r
}

var withPIN = virtual.Config{PIN: virtual.PINPolicy{Initial: []byte("1234")}}

func TestServerAcceptsEveryKey(t *testing.T) {
	for _, preset := range virtual.Presets() {
		t.Run(string(preset), func(t *testing.T) {
			config := preset.Config()
			if preset == virtual.Preset21AlwaysUV {
				config.PIN = withPIN.PIN // nothing works without one
			}
			s, b := newSite(t, nil), newBrowser(t, config)
			credential := s.register(t, b, server.WithConveyancePreference(protocol.PreferDirectAttestation))
			require.Equal(t, protocol.CrossPlatform, credential.Authenticator.Attachment)
			got, _ := s.login(t, b)
			require.Equal(t, credential.ID, got.ID)
			require.False(t, got.Authenticator.CloneWarning)
		})
	}
}

func TestServerAcceptsAlgorithms(t *testing.T) {
	for _, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256} {
		t.Run(alg.String(), func(t *testing.T) {
			s, b := newSite(t, nil), newBrowser(t, virtual.Config{})
			credential := s.register(t, b, server.WithCredentialParameters([]protocol.CredentialParameter{
				{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg)},
			}))
			key, err := cose.ParseKey(credential.PublicKey)
			require.NoError(t, err)
			require.Equal(t, alg, key.Algorithm)
			s.login(t, b)
		})
	}
}

func TestServerAcceptsAttestations(t *testing.T) {
	for attestation := range onVirtual {
		s, b := newSite(t, nil), newBrowser(t, virtual.Config{Attestation: attestation})
		credential := s.register(t, b, server.WithConveyancePreference(protocol.PreferDirectAttestation),
			server.WithAttestationFormats([]protocol.AttestationFormat{protocol.AttestationFormatPacked}))
		require.NotEmpty(t, credential.AttestationFormat)
		s.login(t, b)
	}
}

func TestServerAcceptsPasskeys(t *testing.T) {
	s, b := newSite(t, nil), newBrowser(t, withPIN)
	credential := s.register(t, b, server.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired),
		server.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			AuthenticatorAttachment: protocol.CrossPlatform,
			ResidentKey:             protocol.ResidentKeyRequirementRequired,
			RequireResidentKey:      protocol.ResidentKeyRequired(),
			UserVerification:        protocol.VerificationRequired,
		}), server.WithExtensions(server.WithExtensionCredProps()),
		server.WithPublicKeyCredentialHints([]protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintSecurityKey}))
	require.True(t, credential.Flags.UserVerified)
	got := s.discoverableLogin(t, b, server.WithUserVerification(protocol.VerificationRequired))
	require.Equal(t, credential.ID, got.ID)
	require.True(t, got.Flags.UserVerified)
	_, response := s.login(t, b, server.WithUserVerification(protocol.VerificationDiscouraged))
	data, err := webauthn.ParseAuthenticatorData(response.AuthenticatorData)
	require.NoError(t, err)
	require.False(t, data.Flags.Has(ctap2.FlagUV))
}

func TestServerAcceptsASecondCredential(t *testing.T) {
	s, first, second := newSite(t, nil), newBrowser(t, virtual.Config{}), newBrowser(t, virtual.Config{})
	s.register(t, first)
	descriptors := server.Credentials(s.credentials).CredentialDescriptors()
	credential := s.register(t, second, server.WithExclusions(descriptors),
		server.WithExtensions(server.WithExtensionAppIDExclude("https://example.org/u2f")))
	got, _ := s.login(t, second)
	require.Equal(t, credential.ID, got.ID)
	got, _ = s.login(t, first)
	require.NotEqual(t, credential.ID, got.ID)
}

func TestServerAcceptsFrames(t *testing.T) {
	s := newSite(t, func(c *server.Config) {
		c.RPAllowCrossOrigin = true
		c.RPTopOrigins = []string{topOrigin}
		c.RPTopOriginVerificationMode = protocol.TopOriginExplicitVerificationMode
	})
	b := newBrowser(t, virtual.Config{})
	b.topOrigin = topOrigin
	s.register(t, b)
	s.login(t, b)
}

func TestServerAcceptsExtensions(t *testing.T) {
	s, b := newSite(t, nil), newBrowser(t, withPIN)
	credential := s.register(t, b, server.WithExtensions(
		server.WithExtensionCredProps(), server.WithExtensionPRFSupport(), server.WithExtensionHMACCreateSecret(),
		server.WithExtensionCredentialProtectionPolicy(protocol.CredentialProtectionPolicyUserVerificationOptionalWithCredentialIDList, true),
	))
	_, byPRF := s.login(t, b, server.WithAssertionExtensions(
		server.WithExtensionPRF(protocol.PRFValues{First: []byte("first"), Second: []byte("second")}),
	))
	results := byPRF.ClientExtensionResults.PRF.Results
	require.Len(t, results.First, 32)
	require.Len(t, results.Second, 32)
	require.NotEmpty(t, credential.ID)

	first, second := webauthn.PRFSalt([]byte("first")), webauthn.PRFSalt([]byte("second"))
	_, byHMAC := s.login(t, b, server.WithAssertionExtensions(server.WithExtensionHMACGetSecret(first[:], second[:])))
	secrets := byHMAC.ClientExtensionResults.HMACGetSecret
	require.Equal(t, results.First, secrets.Output1, "prf is hmac-secret with other salts")
	require.Equal(t, results.Second, secrets.Output2)
}

// If a server took everything, the tests above would prove nothing.
func TestServerRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*browser, *webauthn.CreationOptions){
		"another origin":    func(b *browser, _ *webauthn.CreationOptions) { b.origin = "https://example.org" },
		"a frame":           func(b *browser, _ *webauthn.CreationOptions) { b.topOrigin = topOrigin },
		"another challenge": func(_ *browser, o *webauthn.CreationOptions) { o.Challenge = random(t, 32) },
		"another RP ID":     func(_ *browser, o *webauthn.CreationOptions) { o.RP.ID = "login.example.org" },
		"an algorithm that was not offered": func(_ *browser, o *webauthn.CreationOptions) {
			o.PubKeyCredParams = []cose.Algorithm{cose.EdDSA}
		},
		"an extension that nobody asked for": func(_ *browser, o *webauthn.CreationOptions) { o.Extensions.CredProps = true },
	} {
		t.Run(name, func(t *testing.T) {
			s, b := newSite(t, nil), newBrowser(t, virtual.Config{})
			creation, session, err := s.BeginRegistration(s, server.WithCredentialParameters([]protocol.CredentialParameter{
				{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
			}))
			require.NoError(t, err)
			var o webauthn.CreationOptions
			require.NoError(t, json.Unmarshal(toJSON(t, creation), &o))
			spoil(b, &o)
			_, err = s.FinishRegistration(s, *session, request(t, b.create(t, toJSON(t, o))))
			require.Error(t, err)
		})
	}
}

// What keyfob makes of go-webauthn's options is the same for go-webauthn, extensions and all.
func TestServersOptionsRoundTrip(t *testing.T) {
	s := newSite(t, nil)
	s.credentials = []server.Credential{{
		ID: []byte{0xff, 0xfe}, Transport: []protocol.AuthenticatorTransport{protocol.USB}, AttestationFormat: "fido-u2f",
	}}
	creation, _, err := s.BeginRegistration(s,
		server.WithExclusions(server.Credentials(s.credentials).CredentialDescriptors()),
		server.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			AuthenticatorAttachment: protocol.Platform, ResidentKey: protocol.ResidentKeyRequirementPreferred,
			UserVerification: protocol.VerificationDiscouraged,
		}),
		server.WithConveyancePreference(protocol.PreferEnterpriseAttestation),
		server.WithAttestationFormats([]protocol.AttestationFormat{"tpm", "packed"}),
		server.WithPublicKeyCredentialHints([]protocol.PublicKeyCredentialHints{"hybrid", "client-device"}),
		server.WithExtensions(
			server.WithExtensionAppIDExclude("https://example.org/u2f"), server.WithExtensionCredProps(),
			server.WithExtensionPRF(protocol.PRFValues{First: []byte{0xff}, Second: []byte{0xfe}}),
			server.WithExtensionLargeBlobSupport(protocol.LargeBlobSupportRequired),
			server.WithExtensionCredentialProtectionPolicy(protocol.CredentialProtectionPolicyUserVerificationRequired, true),
			server.WithExtensionMinPinLength(), server.WithExtensionCredBlob([]byte{0xfb}), server.WithExtensionHMACCreateSecret(),
		))
	require.NoError(t, err)
	var o webauthn.CreationOptions
	require.NoError(t, json.Unmarshal(toJSON(t, creation), &o))
	require.JSONEq(t, string(toJSON(t, creation.Response)), string(toJSON(t, o)))
	require.Empty(t, o.Extensions.Payment)

	for name, extension := range map[string][]server.ExtensionOption{
		"read":  {server.WithExtensionLargeBlobRead(), server.WithExtensionHMACGetSecret(random(t, 32), nil)},
		"write": {server.WithExtensionLargeBlobWrite([]byte{0xfb, 0xff}), server.WithExtensionGetCredBlob()},
		"two":   {server.WithExtensionHMACGetSecret(random(t, 32), random(t, 32))},
		"prf": {server.WithExtensionPRFByCredential(
			map[string]protocol.PRFValues{b64(s.credentials[0].ID): {First: []byte{1}}}, &protocol.PRFValues{First: []byte{2}},
		)},
		"appid": {server.WithExtensionAppID("https://example.org/u2f")},
	} {
		t.Run(name, func(t *testing.T) {
			assertion, _, err := s.BeginLogin(s, server.WithAssertionExtensions(extension...),
				server.WithUserVerification(protocol.VerificationRequired))
			require.NoError(t, err)
			var o webauthn.RequestOptions
			require.NoError(t, json.Unmarshal(toJSON(t, assertion), &o))
			require.JSONEq(t, string(toJSON(t, assertion.Response)), string(toJSON(t, o)))
		})
	}
}

// go-webauthn reads in a response what keyfob wrote, also what it does not need.
func TestServerReadsResponses(t *testing.T) {
	s, b := newSite(t, nil), newBrowser(t, virtual.Config{})
	creation, _, err := s.BeginRegistration(s)
	require.NoError(t, err)
	response := b.create(t, toJSON(t, creation))
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	require.NoError(t, explain(err))
	raw := parsed.Raw.AttestationResponse
	require.Equal(t, []byte(parsed.Response.AttestationObject.RawAuthData), []byte(raw.AuthenticatorData))
	require.Equal(t, int64(webauthncose.AlgES256), raw.PublicKeyAlgorithm)
	key, err := x509.ParsePKIXPublicKey(raw.PublicKey)
	require.NoError(t, err)
	stored, err := cose.ParseKey(parsed.Response.AttestationObject.AuthData.AttData.CredentialPublicKey)
	require.NoError(t, err)
	require.Equal(t, stored.Public, key)
	require.Equal(t, b64(parsed.RawID), parsed.ID)
	require.Equal(t, protocol.CrossPlatform, parsed.AuthenticatorAttachment)

	results := toJSON(t, webauthn.ExtensionResults{
		AppID: new(true), AppIDExclude: new(false), CredProps: &webauthn.CredentialProperties{ResidentKey: new(false)},
		HMACCreateSecret: new(true), HMACGetSecret: &webauthn.HMACSecrets{Output1: []byte{0xff}, Output2: []byte{0xfe}},
		PRF:       &webauthn.PRFResults{Enabled: new(true), Results: &webauthn.PRFValues{First: []byte{0xfb}}},
		LargeBlob: &webauthn.LargeBlobResults{Supported: new(true), Blob: []byte{0xfb, 0xff}, Written: new(false)},
	})
	var theirs protocol.AuthenticationExtensionsClientOutputs
	require.NoError(t, json.Unmarshal(results, &theirs))
	require.JSONEq(t, string(results), string(toJSON(t, theirs)))
	require.Empty(t, theirs.Extra)
}
