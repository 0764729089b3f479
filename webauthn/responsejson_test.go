package webauthn

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// The bytes do not matter to those who only decode.
const (
	plainRegistration = `{
		"id": "-_8A", "rawId": "-_8A", "type": "public-key", "authenticatorAttachment": "cross-platform",
		"response": {
			"clientDataJSON": "e30", "attestationObject": "oA", "transports": ["usb", "nfc"], "authenticatorData": "?",
			"publicKey": null, "publicKeyAlgorithm": "ignored"
		},
		"clientExtensionResults": {"credProps": {"rk": true}}
	}`
	plainAuthentication = `{
		"id": "-_8A", "rawId": "-_8A", "type": "public-key", "authenticatorAttachment": "platform",
		"response": {"clientDataJSON": "e30", "authenticatorData": "AQ", "signature": "Ag", "userHandle": "dXNlcg"},
		"clientExtensionResults": {"appid": true}
	}`
)

func TestRegistrationResponseFromJSON(t *testing.T) {
	t.Parallel()
	want := RegistrationResponse{
		RawID: []byte{0xfb, 0xff, 0}, ClientDataJSON: []byte("{}"), AttestationObject: []byte{0xa0},
		Transports: []string{"usb", "nfc"}, AuthenticatorAttachment: CrossPlatform,
		ClientExtensionResults: ExtensionResults{CredProps: &CredentialProperties{ResidentKey: new(true)}},
	}
	var r RegistrationResponse
	require.NoError(t, json.Unmarshal([]byte(plainRegistration), &r))
	require.Equal(t, want, r)

	require.NoError(t, json.Unmarshal([]byte(`{
		"id": "+/8A", "rawId": "-_8A", "type": "public-key", "authenticatorAttachment": null,
		"response": {"clientDataJSON": "e30=", "attestationObject": "oA=="}
	}`), &r), "as old browsers make it, and servers' libraries")
	want.Transports, want.AuthenticatorAttachment, want.ClientExtensionResults = nil, "", ExtensionResults{}
	require.Equal(t, want, r)
}

func TestAuthenticationResponseFromJSON(t *testing.T) {
	t.Parallel()
	want := AuthenticationResponse{
		RawID: []byte{0xfb, 0xff, 0}, ClientDataJSON: []byte("{}"), AuthenticatorData: []byte{1}, Signature: []byte{2},
		UserHandle: []byte("user"), AuthenticatorAttachment: Platform,
		ClientExtensionResults: ExtensionResults{AppID: new(true)},
	}
	var r AuthenticationResponse
	require.NoError(t, json.Unmarshal([]byte(plainAuthentication), &r))
	require.Equal(t, want, r)

	require.NoError(t, json.Unmarshal([]byte(with(plainAuthentication, "response.userHandle", "null")), &r))
	want.UserHandle = nil
	require.Equal(t, want, r)
	require.NoError(t, json.Unmarshal([]byte(with(plainAuthentication, "authenticatorAttachment", `"glue"`)), &r))
	require.Empty(t, r.AuthenticatorAttachment)
}

func TestResponsesNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	both := []string{plainRegistration, plainAuthentication}
	for name, c := range map[string]struct {
		in                []string
		path, value, want string
	}{
		"no ID":                   {both, "id", `null`, "id: missing"},
		"no raw ID":               {both, "rawId", `null`, "rawId: missing"},
		"an empty raw ID":         {both, "rawId", `""`, "rawId: 0 bytes, want 1 to 1023"},
		"a long raw ID":           {both, "rawId", `"` + b64(1024) + `"`, "rawId: 1024 bytes, want 1 to 1023"},
		"two IDs":                 {both, "id", `"AQ"`, "id: not that of rawId"},
		"no type":                 {both, "type", `null`, "type: missing"},
		"another type":            {both, "type", `"password"`, `type: "password", want "public-key"`},
		"no response":             {both, "response", `null`, "response: missing"},
		"a response in a string":  {both, "response", `"{}"`, "response: not a JSON object"},
		"no client data":          {both, "response.clientDataJSON", `null`, "response.clientDataJSON: missing"},
		"client data as it is":    {both, "response.clientDataJSON", `"{}"`, "response.clientDataJSON: not base64url"},
		"an attachment":           {both, "authenticatorAttachment", `1`, "authenticatorAttachment: not a string"},
		"a list of results":       {both, "clientExtensionResults", `[]`, "clientExtensionResults: not a JSON object"},
		"no attestation object":   {both[:1], "response.attestationObject", `null`, "response.attestationObject: missing"},
		"a transport":             {both[:1], "response.transports", `"usb"`, "response.transports: not a list"},
		"a number as a transport": {both[:1], "response.transports", `[1]`, "response.transports[0]: not a string"},
		"no authenticator data":   {both[1:], "response.authenticatorData", `null`, "response.authenticatorData: missing"},
		"no signature":            {both[1:], "response.signature", `null`, "response.signature: missing"},
		"a user handle as it is":  {both[1:], "response.userHandle", `"jane@example.org"`, "response.userHandle: not base64url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range c.in {
				prefix, r := "webauthn: registration response: ", json.Unmarshaler(new(RegistrationResponse))
				if in == plainAuthentication {
					prefix, r = "webauthn: authentication response: ", new(AuthenticationResponse)
				}
				err := json.Unmarshal([]byte(with(in, c.path, c.value)), r)
				require.ErrorContains(t, err, prefix+c.want)
			}
		})
	}
	require.Error(t, new(RegistrationResponse).UnmarshalJSON([]byte("null")))
	require.Error(t, new(AuthenticationResponse).UnmarshalJSON([]byte("null")))
}

// A server gets the response that the client had, and verifies it.
func TestRegistrationResponseToJSON(t *testing.T) {
	t.Parallel()
	k := newTestKeyfob(t, TypeCreate)
	k.results = ExtensionResults{CredProps: &CredentialProperties{ResidentKey: new(true)}}
	r := k.register(t)
	r.AuthenticatorAttachment = CrossPlatform
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var received RegistrationResponse
	require.NoError(t, json.Unmarshal(b, &received))
	require.Equal(t, *r, received)
	_, err = VerifyRegistration(&received, registrationOptions())
	require.NoError(t, err)

	var wire struct {
		ID, RawID, Type string
		Response        struct {
			AuthenticatorData, PublicKey base64Text
			PublicKeyAlgorithm           cose.Algorithm
		}
	}
	require.NoError(t, json.Unmarshal(b, &wire))
	require.Equal(t, []string{"Y3JlZGVudGlhbA", "Y3JlZGVudGlhbA", "public-key"}, []string{wire.ID, wire.RawID, wire.Type})
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	require.Equal(t, authData, []byte(wire.Response.AuthenticatorData))
	require.Equal(t, cose.ES256, wire.Response.PublicKeyAlgorithm)
	public, err := x509.ParsePKIXPublicKey(wire.Response.PublicKey)
	require.NoError(t, err)
	require.Equal(t, testKey(t, cose.ES256).Public(), public)
}

type base64Text []byte

func (b *base64Text) UnmarshalText(text []byte) (err error) {
	*b, err = strictjson.Base64(string(text))
	return err
}

func TestRegistrationResponseOfAnUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	k := newTestKeyfob(t, TypeCreate)
	k.authData.Credential.PublicKey = nil
	k.authData.Credential.RawPublicKey = []byte{0xa2, 0x01, 0x07, 0x03, 0x38, 0x2f} // {1: 7, 3: -48}
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	object, err := (&AttestationObject{Format: "none", AuthData: authData}).Marshal()
	require.NoError(t, err)
	b, err := json.Marshal(&RegistrationResponse{RawID: []byte("credential"), AttestationObject: object})
	require.NoError(t, err)
	require.Contains(t, string(b), `"transports":[],"publicKeyAlgorithm":-48,`)
	require.NotContains(t, string(b), `"publicKey":`)
	require.Contains(t, string(b), `"clientExtensionResults":{}`)
}

func TestRegistrationResponseThatHasNoJSON(t *testing.T) {
	t.Parallel()
	good := newTestKeyfob(t, TypeCreate).register(t)
	assertion, err := (&AttestationObject{Format: "none", AuthData: make([]byte, 37)}).Marshal()
	require.NoError(t, err)
	short, err := (&AttestationObject{Format: "none", AuthData: make([]byte, 36)}).Marshal()
	require.NoError(t, err)
	for name, spoil := range map[string]func(*RegistrationResponse){
		"another ID":            func(r *RegistrationResponse) { r.RawID = []byte("x") },
		"no ID":                 func(r *RegistrationResponse) { r.RawID = nil },
		"no attestation object": func(r *RegistrationResponse) { r.AttestationObject = nil },
		"no credential":         func(r *RegistrationResponse) { r.AttestationObject = assertion },
		"authenticator data":    func(r *RegistrationResponse) { r.AttestationObject = short },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := *good
			spoil(&r)
			_, err := json.Marshal(r)
			require.ErrorContains(t, err, "webauthn: registration response: ")
		})
	}
}

func TestAuthenticationResponseToJSON(t *testing.T) {
	t.Parallel()
	k := newTestKeyfob(t, TypeGet)
	k.results = ExtensionResults{AppID: new(false)}
	r := k.authenticate(t)
	r.AuthenticatorAttachment = CrossPlatform
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var received AuthenticationResponse
	require.NoError(t, json.Unmarshal(b, &received))
	require.Equal(t, *r, received)
	_, err = VerifyAssertion(&received, testRecord(t), assertionOptions())
	require.NoError(t, err)
	require.Contains(t, string(b), `{"id":"Y3JlZGVudGlhbA","rawId":"Y3JlZGVudGlhbA","type":"public-key","response":{`)

	r.UserHandle = nil
	b, err = json.Marshal(*r)
	require.NoError(t, err)
	require.NotContains(t, string(b), "userHandle")
	_, err = json.Marshal(AuthenticationResponse{})
	require.ErrorContains(t, err, "webauthn: authentication response: no credential ID")
}

func TestVectorsAsJSON(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := v.ceremonies(t, file)
			var registration RegistrationResponse
			b, err := json.Marshal(c.registration)
			require.NoError(t, err)
			require.Contains(t, string(b), fmt.Sprintf(`"publicKeyAlgorithm":%d,`, v.CredentialAlg))
			require.Equal(t, withoutEd448(&v), !strings.Contains(string(b), `"publicKey":`))
			require.NoError(t, json.Unmarshal(b, &registration))
			require.Equal(t, c.registration.AttestationObject, registration.AttestationObject)
			require.Equal(t, c.registration.ClientDataJSON, registration.ClientDataJSON)

			var assertion AuthenticationResponse
			b, err = json.Marshal(c.assertion)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &assertion))
			require.Equal(t, c.assertion, assertion)
		})
	}
}

func FuzzRegistrationResponse(f *testing.F) {
	r := newTestKeyfob(f, TypeCreate).register(f)
	b, err := json.Marshal(r)
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(plainRegistration))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r RegistrationResponse
		if r.UnmarshalJSON(b) != nil {
			require.Equal(t, RegistrationResponse{}, r)
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			return // the attestation object is none, or of another credential
		}
		var again RegistrationResponse
		require.NoError(t, json.Unmarshal(out, &again))
		requireSameJSON(t, again, out)
	})
}

func FuzzAuthenticationResponse(f *testing.F) {
	b, err := json.Marshal(newTestKeyfob(f, TypeGet).authenticate(f))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(plainAuthentication))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r AuthenticationResponse
		if r.UnmarshalJSON(b) != nil {
			require.Equal(t, AuthenticationResponse{}, r)
			return
		}
		out, err := json.Marshal(r)
		require.NoError(t, err)
		var again AuthenticationResponse
		require.NoError(t, json.Unmarshal(out, &again))
		requireSameJSON(t, again, out)
	})
}
