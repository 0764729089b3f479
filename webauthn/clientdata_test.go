package webauthn

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientDataJSON(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   ClientData
		want string
	}{
		"assertion": {
			ClientData{Type: TypeGet, Challenge: []byte{0xfb, 0xff, 0x00}, Origin: "https://example.org"},
			`{"type":"webauthn.get","challenge":"-_8A","origin":"https://example.org","crossOrigin":false}`,
		},
		"registration in a frame": {
			ClientData{Type: TypeCreate, Challenge: []byte{1}, Origin: "https://a", CrossOrigin: true, TopOrigin: "https://b"},
			`{"type":"webauthn.create","challenge":"AQ","origin":"https://a","crossOrigin":true,"topOrigin":"https://b"}`,
		},
		"zero value": {
			ClientData{},
			`{"type":"","challenge":"","origin":"","crossOrigin":false}`,
		},
		"escapes": {
			ClientData{Origin: "\x00\t\n\x1f \"\\/<>&'\x7f\u0080é\u2028\U0001f511", TopOrigin: `"`},
			`{"type":"","challenge":"","origin":"\u0000\u0009\u000a\u001f \"\\/<>&'` + "\x7f\u0080é\u2028\U0001f511" +
				`","crossOrigin":false,"topOrigin":"\""}`,
		},
		"invalid UTF-8": {
			ClientData{Origin: "a\xffb"},
			`{"type":"","challenge":"","origin":"a` + "\ufffd" + `b","crossOrigin":false}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := c.in.JSON()
			require.Equal(t, c.want, string(b))
			require.True(t, json.Valid(b))
		})
	}
}

func TestClientDataRoundTrips(t *testing.T) {
	t.Parallel()
	c := &ClientData{
		Type:        TypeGet,
		Challenge:   []byte("challenge"),
		Origin:      "\"\\\x01\u2028",
		CrossOrigin: true,
		TopOrigin:   "https://é.example",
	}
	got, err := ParseClientData(c.JSON())
	require.NoError(t, err)
	require.Equal(t, c, got)
}

func TestClientDataHash(t *testing.T) {
	t.Parallel()
	h := ClientDataHash([]byte("abc")) // FIPS 180-2, appendix B.1
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex.EncodeToString(h[:]))
}

func TestParseClientDataAccepts(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"the least":           `{"type":"webauthn.get","challenge":"AQ","origin":"o"}`,
		"another order":       `{"origin":"o","crossOrigin":false,"challenge":"AQ","type":"webauthn.get"}`,
		"white space":         " {\n\"type\" : \"webauthn.get\", \"challenge\":\"AQ\",\t\"origin\":\"o\" } ",
		"byte order mark":     "\ufeff" + `{"type":"webauthn.get","challenge":"AQ","origin":"o"}`,
		"escapes":             `{"\u0074ype":"webauthn\u002eget","challenge":"A\u0051","origin":"o"}`,
		"unknown members":     `{"a":null,"b":{"type":"x"},"type":"webauthn.get","challenge":"AQ","origin":"o","c":[1,{}]}`,
		"names in other case": `{"Type":"webauthn.create","type":"webauthn.get","challenge":"AQ","origin":"o","ORIGIN":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseClientData([]byte(in))
			require.NoError(t, err)
			require.Equal(t, &ClientData{Type: TypeGet, Challenge: []byte{1}, Origin: "o"}, c)
		})
	}
}

func TestParseClientDataRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"type":"webauthn.get","challenge":"AQ","origin":"o","crossOrigin":true,"topOrigin":"t"}`
	_, err := ParseClientData([]byte(good))
	require.NoError(t, err)
	replace := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for name, in := range map[string]string{
		"empty":                        ``,
		"null":                         `null`,
		"an array":                     `[` + good + `]`,
		"a string":                     `"x"`,
		"two byte order marks":         "\ufeff\ufeff" + good,
		"something behind":             good + `{}`,
		"garbage behind":               good + `x`,
		"truncated":                    good[:len(good)-1],
		"truncated in a value":         good[:20],
		"truncated in a name":          `{"typ`,
		"trailing comma":               replace(`}`, `,}`),
		"no comma":                     replace(`",`, `"`),
		"name without quotes":          replace(`"type"`, `type`),
		"a number as name":             replace(`"type"`, `1`),
		"no type":                      replace(`"type"`, `"typ"`),
		"type of another case":         replace(`"type"`, `"Type"`),
		"type twice":                   replace(`}`, `,"type":"webauthn.get"}`),
		"type twice, once escaped":     replace(`}`, `,"typ\u0065":"webauthn.get"}`),
		"unknown member twice":         replace(`}`, `,"x":1,"x":1}`),
		"type null":                    replace(`"webauthn.get"`, `null`),
		"type a number":                replace(`"webauthn.get"`, `1`),
		"no challenge":                 replace(`"challenge"`, `"x"`),
		"challenge null":               replace(`"AQ"`, `null`),
		"challenge with padding":       replace(`AQ`, `AQ==`),
		"challenge in plain base64":    replace(`AQ`, `+/8A`),
		"challenge with a line break":  replace(`AQ`, `A\nQ`),
		"challenge with unused bits":   replace(`AQ`, `AR`),
		"challenge of half a byte":     replace(`AQ`, `A`),
		"no origin":                    replace(`"origin"`, `"x"`),
		"origin null":                  replace(`"o"`, `null`),
		"crossOrigin null":             replace(`true`, `null`),
		"crossOrigin a string":         replace(`true`, `"true"`),
		"topOrigin null":               replace(`"t"`, `null`),
		"topOrigin a number":           replace(`"t"`, `1`),
		"nested without end":           `{"x":` + strings.Repeat(`[`, 100_000),
		"nested deeper than is decent": `{"x":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + good[1:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseClientData([]byte(in))
			require.ErrorContains(t, err, "webauthn: client data: ")
			require.Nil(t, c)
		})
	}
}

func FuzzParseClientData(f *testing.F) {
	f.Add((&ClientData{Type: TypeGet, Challenge: []byte("challenge"), Origin: "https://example.org"}).JSON())
	f.Add((&ClientData{Type: TypeCreate, Origin: "\"\\\x01\u2028", CrossOrigin: true, TopOrigin: "https://b"}).JSON())
	f.Add([]byte(`{"x":[null,{"type":1}],"type":"","challenge":"AQ","origin":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseClientData(b)
		if err != nil {
			require.Nil(t, c)
			return
		}
		out := c.JSON()
		require.True(t, json.Valid(out))
		again, err := ParseClientData(out)
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
