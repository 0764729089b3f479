package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

func bytesOf(t *testing.T, v any) []byte {
	t.Helper()
	text, isText := v.(string)
	require.True(t, isText, "%v", v)
	b, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

func register(t *testing.T, device string, args ...string) map[string]any {
	t.Helper()
	args = append([]string{"register", "--device", device, "--rp", "example.org", "--user", "alice", "--json"}, args...)
	return keyfob(t, args...).members(t)
}

func authenticate(t *testing.T, device string, args ...string) []map[string]any {
	t.Helper()
	args = append([]string{"authenticate", "--device", device, "--rp", "example.org", "--json"}, args...)
	return assertionsOf(t, keyfob(t, args...).requireOK(t))
}

func assertionsOf(t *testing.T, r result) (list []map[string]any) {
	t.Helper()
	all := decodeObject(t, r.stdout)
	require.Len(t, all, 1)
	for _, a := range all["assertions"].([]any) {
		list = append(list, a.(map[string]any))
	}
	return list
}

// What register shows is what a relying party needs, by the names that are promised.
func TestRegisterShowsWhatARelyingPartyNeeds(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	cred := register(t, device)
	names := []string{"credentialId", "publicKey", "algorithm", "fmt", "aaguid", "flags", "signCount",
		"attestationObject", "clientDataJSON", "transports", "verified"}
	require.Len(t, cred, len(names))
	for _, name := range names {
		require.Contains(t, cred, name)
	}
	require.Equal(t, "packed", cred["fmt"])
	require.Equal(t, true, cred["verified"])
	require.Equal(t, []any{"usb"}, cred["transports"])
	require.EqualValues(t, cose.ES256, cred["algorithm"])

	clientData, err := webauthn.ParseClientData(bytesOf(t, cred["clientDataJSON"]))
	require.NoError(t, err)
	require.Equal(t, webauthn.TypeCreate, clientData.Type)
	require.Equal(t, "https://example.org", clientData.Origin)
	require.Len(t, clientData.Challenge, 32)

	attestation, err := webauthn.ParseAttestationObject(bytesOf(t, cred["attestationObject"]))
	require.NoError(t, err)
	hash := webauthn.ClientDataHash(bytesOf(t, cred["clientDataJSON"]))
	_, err = attestation.Verify(hash[:])
	require.NoError(t, err)
	data, err := webauthn.ParseAuthenticatorData(attestation.AuthData)
	require.NoError(t, err)
	require.Equal(t, data.Credential.ID, bytesOf(t, cred["credentialId"]))
	require.Equal(t, data.Credential.AAGUID.String(), cred["aaguid"])
	require.EqualValues(t, data.Flags, cred["flags"])
	require.EqualValues(t, data.SignCount, cred["signCount"])
	require.Equal(t, sha256.Sum256([]byte("example.org")), data.RPIDHash)

	key, err := cose.ParsePKIX(bytesOf(t, cred["publicKey"]))
	require.NoError(t, err)
	require.Equal(t, data.Credential.PublicKey, key)
}

// The assertion can be verified with nothing but what the two commands have shown.
func TestAuthenticateShowsWhatARelyingPartyNeeds(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	cred := register(t, device)
	list := authenticate(t, device, "--credential", cred["credentialId"].(string))
	require.Len(t, list, 1)
	assertion := list[0]
	names := []string{"credentialId", "authenticatorData", "clientDataJSON", "signature", "userHandle", "flags",
		"signCount", "hmacSecret", "verified"}
	require.Len(t, assertion, len(names))
	for _, name := range names {
		require.Contains(t, assertion, name)
	}
	require.Equal(t, cred["credentialId"], assertion["credentialId"])
	require.Nil(t, assertion["userHandle"])
	require.Nil(t, assertion["hmacSecret"])
	require.Nil(t, assertion["verified"])

	clientData, err := webauthn.ParseClientData(bytesOf(t, assertion["clientDataJSON"]))
	require.NoError(t, err)
	require.Equal(t, webauthn.TypeGet, clientData.Type)
	key, err := cose.ParsePKIX(bytesOf(t, cred["publicKey"]))
	require.NoError(t, err)
	authData := bytesOf(t, assertion["authenticatorData"])
	hash := webauthn.ClientDataHash(bytesOf(t, assertion["clientDataJSON"]))
	require.NoError(t, webauthn.VerifySignature(key, authData, hash[:], bytesOf(t, assertion["signature"])))
	data, err := webauthn.ParseAuthenticatorData(authData)
	require.NoError(t, err)
	require.EqualValues(t, data.Flags, assertion["flags"])
	require.EqualValues(t, data.SignCount, assertion["signCount"])
}

func TestCeremonyWithEachAlgorithm(t *testing.T) {
	t.Parallel()
	for name, algorithm := range algorithmNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			device, _ := plug(t, virtual.Config{})
			cred := register(t, device, "--alg", name)
			require.EqualValues(t, algorithm, cred["algorithm"])
			list := authenticate(t, device,
				"--credential", cred["credentialId"].(string), "--public-key", cred["publicKey"].(string))
			require.Equal(t, true, list[0]["verified"])
		})
	}
}

func TestRegisterVerifiesEachAttestation(t *testing.T) {
	t.Parallel()
	cases := []struct {
		attestation virtual.Attestation
		format      string
	}{
		{virtual.AttestationSelf, "packed"},
		{virtual.AttestationBasic, "packed"},
		{virtual.AttestationNone, "none"},
	}
	for _, c := range cases {
		device, _ := plug(t, virtual.Config{Attestation: c.attestation})
		cred := register(t, device)
		require.Equal(t, c.format, cred["fmt"])
		require.Equal(t, true, cred["verified"])
	}
}

func TestAttestedTellsUnknownFromWrong(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{Attestation: virtual.AttestationBasic})
	shown := register(t, device)
	attestation, err := webauthn.ParseAttestationObject(bytesOf(t, shown["attestationObject"]))
	require.NoError(t, err)
	cred := &authenticator.Credential{Attestation: attestation}

	_, err = attested(cred, make([]byte, 32)) // the hash of other client data
	require.ErrorIs(t, err, cose.ErrVerification)
	require.Equal(t, exitError, adviceOn(err).status)

	attestation.Format = "of-tomorrow"
	verified, err := attested(cred, make([]byte, 32))
	require.NoError(t, err)
	require.Nil(t, verified)

	attestation.Format = webauthn.FormatPacked
	attestation.Statement = bytes.Replace(attestation.Statement, []byte("alg\x26"), []byte("alg\x39\x03\xe6"), 1) // -999
	verified, err = attested(cred, make([]byte, 32))
	require.NoError(t, err)
	require.Nil(t, verified)
}

func TestResidentCredentialsComeAllWithTheirUsers(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	first := register(t, device, "--resident", "--user-id", "YWxpY2U")
	second := register(t, device, "--resident")
	list := authenticate(t, device)
	require.Len(t, list, 2)
	require.Equal(t, second["credentialId"], list[0]["credentialId"], "the newest comes first")
	require.Equal(t, first["credentialId"], list[1]["credentialId"])
	require.Equal(t, "YWxpY2U", list[1]["userHandle"])
	require.Len(t, bytesOf(t, list[0]["userHandle"]), userIDSize)
}

func TestAuthenticateNoTouchSaysSo(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	id := register(t, device)["credentialId"].(string)
	r := keyfob(t, "authenticate", "--device", device, "--rp", "example.org", "--json", "--no-touch", "--credential", id)
	require.EqualValues(t, 0, assertionsOf(t, r.requireOK(t))[0]["flags"])
	require.NotContains(t, r.stderr, "Touch")
}

func TestSaltsDeriveSecrets(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	cred := register(t, device, "--hmac-secret")
	require.NotZero(t, ctap2.Flags(cred["flags"].(float64))&ctap2.FlagED, "the credential says that it can")
	id := cred["credentialId"].(string)
	salts := [][]byte{bytes.Repeat([]byte{0xfb}, 32), bytes.Repeat([]byte{2}, 32)}
	one, two := binary(salts[0]).String(), binary(salts[1]).String()

	both := bytesOf(t, authenticate(t, device, "--credential", id, "--salt", one, "--salt", two)[0]["hmacSecret"])
	require.Len(t, both, 64)
	first := bytesOf(t, authenticate(t, device, "--credential", id, "--salt", one)[0]["hmacSecret"])
	standard := base64.StdEncoding.EncodeToString(salts[1])
	second := bytesOf(t, authenticate(t, device, "--credential", id, "--salt", standard)[0]["hmacSecret"])
	require.Equal(t, both, slices.Concat(first, second))
	require.NotEqual(t, first, second)
}

func TestWrongPublicKeyIsShownAndFails(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	id := register(t, device)["credentialId"].(string)
	other := register(t, device)["publicKey"].(string)
	r := keyfob(t, "authenticate", "--device", device, "--rp", "example.org", "--json",
		"--credential", id, "--public-key", other)
	require.Equal(t, exitError, r.status)
	require.Equal(t, false, assertionsOf(t, r)[0]["verified"])
	require.Contains(t, r.stderr, cose.ErrVerification.Error())
	require.Contains(t, r.stderr, id)
}

func TestEachWrongSignatureIsNamed(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	first := register(t, device, "--resident", "--user-id", "AAAA")
	register(t, device, "--resident", "--user-id", "BBBB")
	other := register(t, device)
	r := keyfob(t, "authenticate", "--device", device, "--rp", "example.org", "--public-key", other["publicKey"].(string))
	require.Equal(t, exitError, r.status)
	require.Contains(t, r.stderr, first["credentialId"].(string))
	require.Contains(t, r.stderr, "; credential ")
	require.NotContains(t, r.stderr, "\ufffd")
}

func TestExcludeAndNoMatch(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	id := register(t, device)["credentialId"].(string)
	base := []string{"--device", device, "--rp", "example.org"}

	other := binary(random(64)).String()
	keyfob(t, registering(device, "--exclude", other, "--exclude", id)...).requireFailure(t, exitNoMatch, "already")
	keyfob(t, slices.Concat([]string{"authenticate"}, base, []string{"--credential", other})...).
		requireFailure(t, exitNoMatch, "hint: check --rp")
	keyfob(t, slices.Concat([]string{"authenticate"}, base)...).requireFailure(t, exitNoMatch)
}

func TestTextShowsTheSameNames(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	r := keyfob(t, "register", "--device", device, "--rp", "example.org", "--user", "alice").requireOK(t)
	require.Regexp(t, `^credentialId:      [\w-]{86}
publicKey:         [\w-]{122}
algorithm:         -7
fmt:               packed
aaguid:            [0-9a-f-]{36}
flags:             65
signCount:         0
attestationObject: [\w-]+
clientDataJSON:    [\w-]+
transports:        usb
verified:          true
$`, r.stdout)
	require.Equal(t, "Touch "+device+" to register\n", r.stderr)

	register(t, device, "--resident")
	register(t, device, "--resident")
	r = keyfob(t, "authenticate", "--device", device, "--rp", "example.org").requireOK(t)
	one := `credentialId:      [\w-]+
authenticatorData: [\w-]{50}
clientDataJSON:    [\w-]+
signature:         [\w-]+
userHandle:        [\w-]{43}
flags:             1
signCount:         \d
hmacSecret:        -
verified:          -
`
	require.Regexp(t, "^"+one+"\n"+one+"$", r.stdout)
}

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	sys, stderr := keys(), &console{}
	sys.stdout, sys.stderr = brokenPipe{}, stderr
	require.Equal(t, exitError, run(t.Context(), []string{"info", "--device", device}, sys))
	require.Contains(t, stderr.String(), "broken")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken") }
