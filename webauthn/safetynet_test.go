package webauthn

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
)

func TestVerifySafetyNetRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload func(map[string]any)
		leaf    func(*x509.Certificate)
		want    string
	}{
		"another nonce":       {payload: func(p map[string]any) { p["nonce"] = "AAAA" }, want: "another authenticator data"},
		"no nonce":            {payload: func(p map[string]any) { delete(p, "nonce") }, want: "another authenticator data"},
		"another device":      {payload: func(p map[string]any) { p["ctsProfileMatch"] = false }, want: "certified"},
		"no word of a device": {payload: func(p map[string]any) { delete(p, "ctsProfileMatch") }, want: "certified"},
		"another type":        {payload: func(p map[string]any) { p["ctsProfileMatch"] = 1 }, want: "payload: "},
		"another host":        {leaf: func(c *x509.Certificate) { c.DNSNames[0] = "example.org" }, want: "attest.android.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Payload, r.Leaf = c.payload, c.leaf
			_, err := object(t, "android-safetynet", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: android-safetynet: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifySafetyNetRefusesJWS(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	statement, err := testAuthority(t).Statement("android-safetynet", r)
	require.NoError(t, err)
	parts := bytes.Split(statement.(members)["response"].([]byte), []byte("."))
	header, err := base64.RawURLEncoding.DecodeString(string(parts[0]))
	require.NoError(t, err)
	withHeader := func(name string, value any) []byte {
		var h map[string]any
		require.NoError(t, json.Unmarshal(header, &h))
		h[name] = value
		b, err := json.Marshal(h)
		require.NoError(t, err)
		return []byte(base64.RawURLEncoding.EncodeToString(b))
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, []byte(".")) }
	for name, c := range map[string]struct {
		response []byte
		want     string
	}{
		"empty":               {nil, "response: not a JWS"},
		"two parts":           {join(parts[:2]...), "response: not a JWS"},
		"four parts":          {join(append(parts, nil)...), "response: not a JWS"},
		"no algorithm":        {join(withHeader("alg", "none"), parts[1], parts[2]), `signed with "none"`},
		"a shared secret":     {join(withHeader("alg", "HS256"), parts[1], parts[2]), `signed with "HS256"`},
		"no certificates":     {join(withHeader("x5c", nil), parts[1], parts[2]), "no certificate"},
		"certificates no DER": {join(withHeader("x5c", []string{"AAAA"}), parts[1], parts[2]), "response: x5c: x509: "},
		"another header":      {join(withHeader("kid", "1"), parts[1], parts[2]), "signature does not verify"},
		"header no base64":    {join([]byte("="), parts[1], parts[2]), "response: header: "},
		"header no JSON":      {join([]byte("AAAA"), parts[1], parts[2]), "response: header: "},
		"payload no JSON":     {join(parts[0], []byte("AAAA"), parts[2]), "response: payload: "},
		"no signature":        {join(parts[0], parts[1], nil), "signature does not verify"},
		"signature no base64": {join(parts[0], parts[1], []byte("=")), "response: signature: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoiled := changed(statement.(members), members{"response": c.response})
			if c.response == nil {
				spoiled["response"] = []byte{}
			}
			_, err := encode(t, "android-safetynet", r, spoiled).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, c.want)
		})
	}
}
