package webauthn

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	// leastCreation and leastRequest have what a server must send.
	leastCreation = `{"rp":{"name":""},"user":{"id":"dQ","name":"","displayName":""},"challenge":"Yw","pubKeyCredParams":[]}`
	leastRequest  = `{"challenge":"Yw"}`

	fullCreation = `{
		"rp": {"id": "example.org", "name": "Example"},
		"user": {"id": "-_8A", "name": "jane", "displayName": "Jane Doe"},
		"challenge": "AAECAwQFBgcICQoLDA0ODw",
		"pubKeyCredParams": [
			{"type": "public-key", "alg": -8}, {"type": "post-quantum-key", "alg": -7}, {"type": "public-key", "alg": -257}
		],
		"timeout": 60000,
		"excludeCredentials": [
			{"type": "public-key", "id": "AQ", "transports": ["usb", "telepathy"]}, {"type": "other", "id": "Ag"},
			{"type": "public-key", "id": "Aw"}
		],
		"authenticatorSelection": {
			"authenticatorAttachment": "cross-platform", "residentKey": "required", "requireResidentKey": true,
			"userVerification": "discouraged"
		},
		"hints": ["security-key", "crystal-ball"],
		"attestation": "enterprise",
		"attestationFormats": ["packed", "tpm"],
		"extensions": {
			"appidExclude": "https://example.org/u2f", "credProps": true, "hmacCreateSecret": true, "minPinLength": true,
			"credBlob": "YmxvYg", "credentialProtectionPolicy": "userVerificationOptionalWithCredentialIDList",
			"enforceCredentialProtectionPolicy": true, "prf": {"eval": {"first": "AQ", "second": "Ag"}},
			"largeBlob": {"support": "required"}, "payment": {"isPayment": true}, "uvm": true
		}
	}`
	fullRequest = `{
		"challenge": "AAECAwQFBgcICQoLDA0ODw",
		"timeout": 600000,
		"rpId": "example.org",
		"allowCredentials": [
			{"type": "public-key", "id": "AQ", "transports": ["usb", "nfc"]}, {"type": "other", "id": "Ag"}
		],
		"userVerification": "required",
		"hints": ["security-key"],
		"extensions": {
			"appid": "https://example.org/u2f", "getCredBlob": true, "largeBlob": {"write": "YmxvYg"},
			"hmacGetSecret": {
				"salt1": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "salt2": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
			},
			"prf": {"eval": {"first": ""}, "evalByCredential": {"AQ": {"first": "AQ", "second": "Ag"}}}
		}
	}`
)

func fullCreationOptions() *CreationOptions {
	return &CreationOptions{
		RP:               ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:             ctap2.User{ID: []byte{0xfb, 0xff, 0}, Name: "jane", DisplayName: "Jane Doe"},
		Challenge:        []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		PubKeyCredParams: []cose.Algorithm{cose.EdDSA, cose.RS256},
		Timeout:          time.Minute,
		ExcludeCredentials: []ctap2.CredentialDescriptor{
			{ID: []byte{1}, Type: "public-key", Transports: []string{"usb", "telepathy"}}, {ID: []byte{3}, Type: "public-key"},
		},
		AuthenticatorSelection: AuthenticatorSelection{
			Attachment: CrossPlatform, ResidentKey: Required, UserVerification: Discouraged,
		},
		Hints:              []string{"security-key", "crystal-ball"},
		Attestation:        ConveyEnterprise,
		AttestationFormats: []string{"packed", "tpm"},
		Extensions: Extensions{
			AppIDExclude: "https://example.org/u2f", CredProps: true, HMACCreateSecret: true, MinPINLength: true,
			CredBlob: []byte("blob"), CredentialProtectionPolicy: ctap2.CredProtectUVOptionalWithID,
			EnforceCredentialProtectionPolicy: true, PRF: &PRFInputs{Eval: &PRFValues{First: []byte{1}, Second: []byte{2}}},
			LargeBlob: &LargeBlobInputs{Support: Required}, Payment: json.RawMessage(`{"isPayment": true}`),
		},
	}
}

func fullRequestOptions() *RequestOptions {
	return &RequestOptions{
		Challenge: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		Timeout:   10 * time.Minute,
		RPID:      "example.org",
		AllowCredentials: []ctap2.CredentialDescriptor{
			{ID: []byte{1}, Type: "public-key", Transports: []string{"usb", "nfc"}},
		},
		UserVerification: Required,
		Hints:            []string{"security-key"},
		Extensions: Extensions{
			AppID: "https://example.org/u2f", GetCredBlob: true, LargeBlob: &LargeBlobInputs{Write: []byte("blob")},
			HMACGetSecret: &HMACSalts{Salt1: make([]byte, 32), Salt2: []byte(strings.Repeat("\x01", 32))},
			PRF: &PRFInputs{
				Eval:             &PRFValues{First: []byte{}},
				EvalByCredential: map[string]PRFValues{"\x01": {First: []byte{1}, Second: []byte{2}}},
			},
		},
	}
}

func wrapped(options string) string { return `{"publicKey":` + options + `,"mediation":"optional"}` }

func TestCreationOptionsFromJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{fullCreation, wrapped(fullCreation)} {
		var o CreationOptions
		require.NoError(t, json.Unmarshal([]byte(in), &o))
		require.Equal(t, fullCreationOptions(), &o)
	}
	for _, in := range []string{leastCreation, wrapped(leastCreation), `{"rp":{},"user":{"id":"dQ"},"challenge":"Yw"}`} {
		var o CreationOptions
		require.NoError(t, json.Unmarshal([]byte(in), &o))
		require.Equal(t, CreationOptions{User: ctap2.User{ID: []byte("u")}, Challenge: []byte("c")}, o)
	}
}

func TestRequestOptionsFromJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{fullRequest, wrapped(fullRequest)} {
		var o RequestOptions
		require.NoError(t, json.Unmarshal([]byte(in), &o))
		require.Equal(t, fullRequestOptions(), &o)
	}
	for _, in := range []string{leastRequest, wrapped(leastRequest)} {
		var o RequestOptions
		require.NoError(t, json.Unmarshal([]byte(in), &o))
		require.Equal(t, RequestOptions{Challenge: []byte("c")}, o)
	}
}

func TestCreationOptionsToJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(fullCreationOptions())
	require.NoError(t, err)
	require.JSONEq(t, `{
		"rp": {"id": "example.org", "name": "Example"},
		"user": {"id": "-_8A", "name": "jane", "displayName": "Jane Doe"},
		"challenge": "AAECAwQFBgcICQoLDA0ODw",
		"pubKeyCredParams": [{"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -257}],
		"timeout": 60000,
		"excludeCredentials": [
			{"type": "public-key", "id": "AQ", "transports": ["usb", "telepathy"]}, {"type": "public-key", "id": "Aw"}
		],
		"authenticatorSelection": {
			"authenticatorAttachment": "cross-platform", "residentKey": "required", "requireResidentKey": true,
			"userVerification": "discouraged"
		},
		"hints": ["security-key", "crystal-ball"],
		"attestation": "enterprise",
		"attestationFormats": ["packed", "tpm"],
		"extensions": {
			"appidExclude": "https://example.org/u2f", "credProps": true, "hmacCreateSecret": true, "minPinLength": true,
			"credBlob": "YmxvYg", "credentialProtectionPolicy": "userVerificationOptionalWithCredentialIDList",
			"enforceCredentialProtectionPolicy": true, "prf": {"eval": {"first": "AQ", "second": "Ag"}},
			"largeBlob": {"support": "required"}, "payment": {"isPayment": true}
		}
	}`, string(b))

	b, err = json.Marshal(CreationOptions{User: ctap2.User{ID: []byte("u")}, Challenge: []byte("c"), Timeout: -time.Hour})
	require.NoError(t, err)
	require.Equal(t, leastCreation, string(b))
	_, err = json.Marshal(CreationOptions{Challenge: []byte("c")})
	require.ErrorContains(t, err, "user.id: 0 bytes")
}

func TestRequestOptionsToJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(fullRequestOptions())
	require.NoError(t, err)
	require.JSONEq(t, strings.Replace(fullRequest, `, {"type": "other", "id": "Ag"}`, "", 1), string(b))

	b, err = json.Marshal(RequestOptions{Challenge: []byte("c")})
	require.NoError(t, err)
	require.Equal(t, leastRequest, string(b))
	_, err = json.Marshal(RequestOptions{})
	require.ErrorContains(t, err, "challenge: 0 bytes")
}

// with returns an object with one more member, or another value of one that it has.
func with(object, path, value string) string {
	var tree map[string]any
	if err := json.Unmarshal([]byte(object), &tree); err != nil {
		panic(err)
	}
	at, names := tree, strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		if _, ok := at[name].(map[string]any); !ok {
			at[name] = map[string]any{}
		}
		at = at[name].(map[string]any)
	}
	at[names[len(names)-1]] = json.RawMessage(value)
	b, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestCreationOptionsTolerate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, value string
		want        func(*CreationOptions)
	}{
		"unknown members":            {path: "x", value: `{"rp":[]}`},
		"names of other case":        {path: "Challenge", value: `1`},
		"padding":                    {"challenge", `"+/8A+w=="`, func(o *CreationOptions) { o.Challenge = []byte{0xfb, 0xff, 0, 0xfb} }},
		"null":                       {path: "excludeCredentials", value: `null`},
		"null for an object":         {path: "authenticatorSelection", value: `null`},
		"null for a number":          {path: "timeout", value: `null`},
		"null for an extension":      {path: "extensions.prf", value: `null`},
		"a null flag":                {path: "extensions.credProps", value: `null`},
		"no timeout":                 {path: "timeout", value: `0`},
		"a negative timeout":         {path: "timeout", value: `-1`},
		"a fraction":                 {"timeout", `1.9`, func(o *CreationOptions) { o.Timeout = time.Millisecond }},
		"a huge timeout":             {"timeout", `1e300`, func(o *CreationOptions) { o.Timeout = maxTimeout }},
		"a hugely negative timeout":  {path: "timeout", value: `-1e300`},
		"an unknown attestation":     {path: "attestation", value: `"sometimes"`},
		"attestation of other case":  {path: "attestation", value: `"Direct"`},
		"an unknown attachment":      {path: "authenticatorSelection.authenticatorAttachment", value: `"glue"`},
		"an unknown requirement":     {path: "authenticatorSelection.userVerification", value: `"maybe"`},
		"a policy that is not known": {path: "extensions.credentialProtectionPolicy", value: `"userVerificationDaily"`},
		"enforcement of no policy": {
			"extensions.enforceCredentialProtectionPolicy", `true`, func(o *CreationOptions) {
				o.Extensions.EnforceCredentialProtectionPolicy = true
			},
		},
		"Level 1's resident key": {"authenticatorSelection", `{"requireResidentKey":true}`, func(o *CreationOptions) {
			o.AuthenticatorSelection.ResidentKey = Required
		}},
		"Level 1's and an unknown one": {
			"authenticatorSelection", `{"residentKey":"maybe","requireResidentKey":true}`, func(o *CreationOptions) {
				o.AuthenticatorSelection.ResidentKey = Required
			},
		},
		"Level 2's resident key": {
			"authenticatorSelection", `{"residentKey":"preferred","requireResidentKey":true}`, func(o *CreationOptions) {
				o.AuthenticatorSelection.ResidentKey = Preferred
			},
		},
		"only unknown credentials": {path: "excludeCredentials", value: `[{"type":"x","id":"AQ"}]`},
		"an empty prf":             {"extensions.prf", `{}`, func(o *CreationOptions) { o.Extensions.PRF = new(PRFInputs) }},
		"an empty largeBlob": {"extensions.largeBlob", `{}`, func(o *CreationOptions) {
			o.Extensions.LargeBlob = new(LargeBlobInputs)
		}},
		"a largeBlob somehow": {"extensions.largeBlob", `{"support":"x"}`, func(o *CreationOptions) {
			o.Extensions.LargeBlob = new(LargeBlobInputs)
		}},
		"an unknown algorithm": {"pubKeyCredParams", `[{"type":"public-key","alg":-2147483648}]`, func(o *CreationOptions) {
			o.PubKeyCredParams = []cose.Algorithm{-1 << 31}
		}},
		"a long user ID": {
			"user.id", `"` + b64(64) + `"`, func(o *CreationOptions) { o.User.ID = make([]byte, 64) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := &CreationOptions{User: ctap2.User{ID: []byte("u")}, Challenge: []byte("c")}
			if c.want != nil {
				c.want(want)
			}
			var o CreationOptions
			require.NoError(t, json.Unmarshal([]byte(with(leastCreation, c.path, c.value)), &o))
			require.Equal(t, want, &o)
		})
	}
}

func b64(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }

func list(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }

func TestCreationOptionsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, value, want string }{
		"no relying party":       {"rp", `null`, "rp: missing"},
		"a relying party's name": {"rp", `"example.org"`, "rp: not a JSON object"},
		"a number as name":       {"rp.name", `1`, "rp.name: not a string"},
		"no user":                {"user", `null`, "user: missing"},
		"no user ID":             {"user.id", `null`, "user.id: missing"},
		"an empty user ID":       {"user.id", `""`, "user.id: 0 bytes, want 1 to 64"},
		"a long user ID":         {"user.id", `"` + b64(65) + `"`, "user.id: 65 bytes, want 1 to 64"},
		"an array as user ID":    {"user.id", `[1,2]`, "user.id: not a string"},
		"a user ID in clear":     {"user.id", `"jane@example.org"`, "user.id: not base64url"},
		"a line break":           {"user.id", `"AQ\n"`, "user.id: not base64url"},
		"unused bits":            {"user.id", `"AR"`, "user.id: not base64url"},
		"half the padding":       {"user.id", `"AQ="`, "user.id: not base64url"},
		"much padding":           {"user.id", `"AQ==="`, "user.id: not base64url"},
		"no challenge":           {"challenge", `null`, "challenge: missing"},
		"an empty challenge":     {"challenge", `""`, "challenge: 0 bytes"},
		"an object as list":      {"pubKeyCredParams", `{}`, "pubKeyCredParams: not a list"},
		"a number in a list":     {"pubKeyCredParams", `[{"type":"public-key","alg":-7},-7]`, "pubKeyCredParams[1]: not a JSON object"},
		"no algorithm":           {"pubKeyCredParams", `[{"type":"public-key"}]`, "pubKeyCredParams[0].alg: missing"},
		"no type":                {"pubKeyCredParams", `[{"alg":-7}]`, "pubKeyCredParams[0].type: missing"},
		"a name of an algorithm": {"pubKeyCredParams", `[{"type":"x","alg":"ES256"}]`, "pubKeyCredParams[0].alg: not a number"},
		"a quoted algorithm":     {"pubKeyCredParams", `[{"type":"x","alg":"-7"}]`, "pubKeyCredParams[0].alg: not a number"},
		"half an algorithm":      {"pubKeyCredParams", `[{"type":"x","alg":-7.5}]`, "pubKeyCredParams[0].alg: not an integer"},
		"a huge algorithm":       {"pubKeyCredParams", `[{"type":"x","alg":2147483648}]`, "pubKeyCredParams[0].alg: not an integer"},
		"only unknown types":     {"pubKeyCredParams", `[{"type":"x","alg":-7}]`, "pubKeyCredParams: all of an unknown type"},
		"a quoted timeout":       {"timeout", `"60000"`, "timeout: not a number"},
		"many algorithms":        {"pubKeyCredParams", list(`{"type":"x","alg":-7}`, 257), "pubKeyCredParams: 257 items"},
		"many credentials":       {"excludeCredentials", list(`{"type":"x","id":"AQ"}`, 257), "excludeCredentials: 257 items"},
		"many hints":             {"hints", list(`""`, 257), "hints: 257 items"},
		"many transports": {
			"excludeCredentials", `[{"type":"x","id":"AQ","transports":` + list(`""`, 257) + `}]`,
			"excludeCredentials[0].transports: 257 items",
		},
		"an empty credential ID": {"excludeCredentials", `[{"type":"public-key","id":""}]`, "excludeCredentials[0].id: 0 bytes"},
		"a long credential ID": {
			"excludeCredentials", `[{"type":"public-key","id":"` + b64(1024) + `"}]`, "excludeCredentials[0].id: 1024 bytes",
		},
		"no credential ID":     {"excludeCredentials", `[{"type":"public-key"}]`, "excludeCredentials[0].id: missing"},
		"no credential type":   {"excludeCredentials", `[{"id":"AQ"}]`, "excludeCredentials[0].type: missing"},
		"a number as hint":     {"hints", `["security-key",1]`, "hints[1]: not a string"},
		"null as hint":         {"hints", `[null]`, "hints[0]: not a string"},
		"a string as flag":     {"authenticatorSelection.requireResidentKey", `"true"`, "authenticatorSelection.requireResidentKey: not a boolean"},
		"extensions in a list": {"extensions", `["credProps"]`, "extensions: not a JSON object"},
		"a string as extension": {
			"extensions.credProps", `"true"`, "extensions.credProps: not a boolean",
		},
		"prf of nothing":         {"extensions.prf", `{"eval":{}}`, "extensions.prf.eval.first: missing"},
		"payment of nothing":     {"extensions.payment", `1`, "extensions.payment: not a JSON object"},
		"prf in other encodings": {"extensions.prf", `{"eval":{"first":"AQ","second":"?"}}`, "extensions.prf.eval.second: not base64url"},
		"a big document":         {"x", `"` + strings.Repeat("a", 1<<20) + `"`, "want 1048576 at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := with(leastCreation, c.path, c.value)
			for prefix, in := range map[string]string{"": in, "publicKey.": wrapped(in)} {
				if c.path == "x" {
					prefix = ""
				}
				o := *fullCreationOptions()
				err := json.Unmarshal([]byte(in), &o)
				require.ErrorContains(t, err, "webauthn: creation options: "+prefix)
				require.ErrorContains(t, err, prefix+c.want)
				require.Equal(t, *fullCreationOptions(), o, "it is left alone")
			}
		})
	}
}

func TestOptionsAreObjects(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty": ``, "null": `null`, "a list": `[]`, "a string": `"x"`, "truncated": leastCreation[:len(leastCreation)-1],
		"something behind": leastCreation + `{}`, "a wrapper of nothing": `{"publicKey":1}`,
		"a repeated member":       leastCreation[:len(leastCreation)-1] + `,"challenge":"AQ"}`,
		"a deep repeated member":  `{"rp":{"id":"a","id":"b"},"user":{"id":"dQ"},"challenge":"Yw"}`,
		"an escaped member":       leastCreation[:len(leastCreation)-1] + `,"ch\u0061llenge":"AQ"}`,
		"a repeated wrapper":      `{"publicKey":` + leastCreation + `,"publicKey":` + leastCreation + `}`,
		"a wrapper in a wrapper":  wrapped(wrapped(leastCreation)),
		"nested very deeply":      `{"x":` + strings.Repeat(`[`, 100_000),
		"options of another kind": `{"publicKey":{"challenge":"AQ","rpId":"example.org"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, new(CreationOptions).UnmarshalJSON([]byte(in)))
		})
	}
}

func TestOptionsThatBrowsersDoNotSupport(t *testing.T) {
	t.Parallel()
	const allow = `{"challenge":"Yw","allowCredentials":[{"type":"public-key","id":"AQ"}]}`
	const allowTwo = `{"challenge":"Yw","allowCredentials":[{"type":"public-key","id":"AQ"},{"type":"public-key","id":"Ag"}]}`
	for name, c := range map[string]struct{ options, path, value, want string }{
		"algorithms": {leastCreation, "pubKeyCredParams", `[{"type":"x","alg":-7}]`, "pubKeyCredParams: "},
		"a policy": {
			leastCreation, "extensions", `{"credentialProtectionPolicy":"x","enforceCredentialProtectionPolicy":true}`,
			"extensions.credentialProtectionPolicy: ",
		},
		"prf by credential": {
			leastCreation, "extensions.prf.evalByCredential", `{"AQ":{"first":"AQ"}}`, "extensions.prf.evalByCredential: ",
		},
		"no prf by credential": {leastCreation, "extensions.prf.evalByCredential", `{}`, "extensions.prf.evalByCredential: "},
		"reading a blob":       {leastCreation, "extensions.largeBlob.read", `true`, "extensions.largeBlob: "},
		"writing a blob":       {leastCreation, "extensions.largeBlob.write", `""`, "extensions.largeBlob: "},

		"credentials":       {leastRequest, "allowCredentials", `[{"type":"x","id":"AQ"}]`, "allowCredentials: all of an unknown type"},
		"prf by any":        {leastRequest, "extensions.prf.evalByCredential", `{"AQ":{"first":"AQ"}}`, "without allowCredentials"},
		"support of a blob": {leastRequest, "extensions.largeBlob.support", `"preferred"`, "extensions.largeBlob.support: "},
		"both of a blob":    {allow, "extensions.largeBlob", `{"read":true,"write":"AQ"}`, "both read and write"},
		"writing to any":    {leastRequest, "extensions.largeBlob.write", `"AQ"`, "with 0 credentials allowed"},
		"writing to two":    {allowTwo, "extensions.largeBlob.write", `"AQ"`, "with 2 credentials allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o json.Unmarshaler = new(RequestOptions)
			if c.options == leastCreation {
				o = new(CreationOptions)
			}
			err := json.Unmarshal([]byte(with(c.options, c.path, c.value)), o)
			require.ErrorIs(t, err, errors.ErrUnsupported)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestRequestOptionsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	const allow = `{"challenge":"Yw","allowCredentials":[{"type":"public-key","id":"AQ"}]}`
	for name, c := range map[string]struct{ path, value, want string }{
		"no challenge":         {"challenge", `null`, "challenge: missing"},
		"an empty challenge":   {"challenge", `""`, "challenge: 0 bytes"},
		"a number as RP ID":    {"rpId", `1`, "rpId: not a string"},
		"a credential's name":  {"allowCredentials", `["AQ"]`, "allowCredentials[0]: not a JSON object"},
		"no credential ID":     {"allowCredentials", `[{"type":"public-key","id":""}]`, "allowCredentials[0].id: 0 bytes"},
		"many credentials":     {"allowCredentials", list(`{"type":"public-key","id":"AQ"}`, 257), "allowCredentials: 257 items"},
		"no salt":              {"extensions.hmacGetSecret", `{}`, "extensions.hmacGetSecret.salt1: missing"},
		"a short salt":         {"extensions.hmacGetSecret.salt1", `"AQ"`, "extensions.hmacGetSecret.salt1: 1 bytes, want 32"},
		"a long salt":          {"extensions.hmacGetSecret.salt1", `"` + b64(33) + `"`, "extensions.hmacGetSecret.salt1: 33 bytes"},
		"an empty second salt": {"extensions.hmacGetSecret", `{"salt1":"` + b64(32) + `","salt2":""}`, "extensions.hmacGetSecret.salt2: 0 bytes"},
		"prf by another":       {"extensions.prf.evalByCredential", `{"Ag":{"first":"AQ"}}`, "extensions.prf.evalByCredential: a credential"},
		"prf by nobody":        {"extensions.prf.evalByCredential", `{"":{"first":"AQ"}}`, "extensions.prf.evalByCredential: a credential"},
		"prf by name":          {"extensions.prf.evalByCredential", `{"?":{"first":"AQ"}}`, "extensions.prf.evalByCredential.?: not base64url"},
		"prf by the same": {
			"extensions.prf.evalByCredential", `{"AQ":{"first":"AQ"},"AQ==":{"first":"AQ"}}`,
			"extensions.prf.evalByCredential.AQ==: repeats",
		},
		"prf of nothing": {"extensions.prf.evalByCredential", `{"AQ":{}}`, "extensions.prf.evalByCredential.AQ.first: missing"},
		"prf by many":    {"extensions.prf.evalByCredential", manyMembers(257), "extensions.prf.evalByCredential: 257 members"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := with(allow, c.path, c.value)
			for prefix, in := range map[string]string{"": in, "publicKey.": wrapped(in)} {
				o := *fullRequestOptions()
				err := json.Unmarshal([]byte(in), &o)
				require.ErrorContains(t, err, "webauthn: request options: "+prefix+c.want)
				require.NotErrorIs(t, err, errors.ErrUnsupported)
				require.Equal(t, *fullRequestOptions(), o, "it is left alone")
			}
		})
	}
}

func manyMembers(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf(`"%08d":{"first":"AQ"}`, i))
	}
	return "{" + strings.Join(names, ",") + "}"
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, fullCreationOptions().Validate())
	require.NoError(t, fullRequestOptions().Validate())
	creation, request := fullCreationOptions(), fullRequestOptions()
	creation.Extensions.CredentialProtectionPolicy, request.Extensions.CredentialProtectionPolicy = 4, 4
	for _, err := range []error{creation.Validate(), request.Validate()} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, " options: extensions.credentialProtectionPolicy: there is no level 4")
	}
	request.AllowCredentials = make([]ctap2.CredentialDescriptor, 257)
	require.ErrorContains(t, request.Validate(), "webauthn: request options: allowCredentials: 257 items")
}

func FuzzCreationOptions(f *testing.F) {
	f.Add([]byte(fullCreation))
	f.Add([]byte(wrapped(leastCreation)))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := new(CreationOptions)
		if o.UnmarshalJSON(b) != nil {
			require.Equal(t, new(CreationOptions), o)
			return
		}
		require.NoError(t, o.Validate())
		out, err := json.Marshal(o)
		require.NoError(t, err)
		again := new(CreationOptions)
		require.NoError(t, json.Unmarshal(out, again))
		requireSameJSON(t, again, out)
	})
}

func FuzzRequestOptions(f *testing.F) {
	f.Add([]byte(fullRequest))
	f.Add([]byte(wrapped(leastRequest)))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := new(RequestOptions)
		if o.UnmarshalJSON(b) != nil {
			require.Equal(t, new(RequestOptions), o)
			return
		}
		require.NoError(t, o.Validate())
		out, err := json.Marshal(o)
		require.NoError(t, err)
		again := new(RequestOptions)
		require.NoError(t, json.Unmarshal(out, again))
		requireSameJSON(t, again, out)
	})
}

// requireSameJSON is the round trip, up to what is the same to those who read it: nil and empty slices.
func requireSameJSON(t *testing.T, v any, want []byte) {
	t.Helper()
	got, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}
