package webauthn

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonicalOrigin(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://example.org":                        "https://example.org",
		"HTTPS://Login.Example.ORG":                  "https://login.example.org",
		"https://example.org:443":                    "https://example.org",
		"https://example.org:0443":                   "https://example.org",
		"https://example.org:80":                     "https://example.org:80",
		"https://example.org:8443":                   "https://example.org:8443",
		"https://example.org:65535":                  "https://example.org:65535",
		"https://localhost":                          "https://localhost",
		"http://localhost":                           "http://localhost",
		"http://localhost:80":                        "http://localhost",
		"http://localhost:443":                       "http://localhost:443",
		"http://a.b.LOCALHOST:8080":                  "http://a.b.localhost:8080",
		"https://intranet":                           "https://intranet",
		"https://bücher.example":                     "https://xn--bcher-kva.example",
		"https://BÜCHER.example":                     "https://xn--bcher-kva.example",
		"https://xn--bcher-kva.example":              "https://xn--bcher-kva.example",
		"https://faß.example":                        "https://xn--fa-hia.example", // not "fass": UTS 46 without transition
		"https://r3---sn-4g5e.example.org":           "https://r3---sn-4g5e.example.org",
		"https://example。org":                        "https://example.org",
		"https://1.example.org":                      "https://1.example.org",
		"https://0xg.0xg":                            "https://0xg.0xg",
		"https://" + strings.Repeat("a.", 126) + "b": "https://" + strings.Repeat("a.", 126) + "b",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := CanonicalOrigin(in)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestCanonicalOriginRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":                      "",
		"no scheme":                  "example.org",
		"an opaque origin":           "null",
		"no host":                    "https://",
		"no slashes":                 "https:example.org",
		"another scheme":             "ftp://example.org",
		"web sockets":                "wss://example.org",
		"an app":                     "android:apk-key-hash:AAAA",
		"http":                       "http://example.org",
		"http, like localhost":       "http://localhost.example.org",
		"http, like localhost too":   "http://notlocalhost",
		"a slash":                    "https://example.org/",
		"a path":                     "https://example.org/login",
		"a query":                    "https://example.org?a",
		"a fragment":                 "https://example.org#a",
		"a user":                     "https://jane@example.org",
		"a user and a password":      "https://jane:secret@example.org",
		"a backslash":                `https://example.org\`,
		"white space":                " https://example.org",
		"white space inside":         "https://example .org",
		"a line break":               "https://example.org\n",
		"a NUL":                      "https://example.org\x00",
		"an escape":                  "https://ex%61mple.org",
		"an underscore":              "https://a_b.example.org",
		"invalid UTF-8":              "https://ex\xffmple.org",
		"an empty port":              "https://example.org:",
		"port zero":                  "https://example.org:0",
		"a port of 17 bits":          "https://example.org:65536",
		"a negative port":            "https://example.org:-1",
		"a port with a sign":         "https://example.org:+443",
		"a port with a name":         "https://example.org:https",
		"a second port":              "https://example.org:1:2",
		"IPv4":                       "https://127.0.0.1",
		"http to IPv4":               "http://127.0.0.1:8080",
		"short IPv4":                 "https://127.1",
		"one number":                 "https://2130706433",
		"hexadecimal IPv4":           "https://0x7f000001",
		"hexadecimal nothing":        "https://example.0x",
		"octal IPv4":                 "https://0177.0.0.01",
		"fullwidth IPv4":             "https://１２７.0.0.１",
		"ends in a number":           "https://example.1",
		"IPv6":                       "https://[::1]",
		"IPv6 with a port":           "https://[::1]:8443",
		"a dot at the end":           "https://example.org.",
		"an ideographic dot, too":    "https://example.org。",
		"a dot at the start":         "https://.example.org",
		"two dots":                   "https://example..org",
		"a label of 64 bytes":        "https://" + strings.Repeat("a", 64) + ".org",
		"a domain of 254 bytes":      "https://" + strings.Repeat("a.", 126) + "bc",
		"a domain of a megabyte":     "https://" + strings.Repeat("a", 1<<20),
		"wrong Punycode":             "https://xn--a.example.org",
		"Punycode of nothing":        "https://xn--.example.org",
		"a joiner out of place":      "https://a\u200db.example.org",
		"right to left out of place": "https://א1a.example.org",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := CanonicalOrigin(in)
			require.ErrorIs(t, err, ErrSecurity)
			require.ErrorContains(t, err, "webauthn: security: origin ")
			require.Less(t, len(err.Error()), 1000)
			require.Empty(t, got)
		})
	}
}

func FuzzCanonicalOrigin(f *testing.F) {
	for _, s := range []string{
		"https://example.org", "http://a.localhost:8080", "https://bücher.example:443", "https://127.1", "https://a。b.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		origin, err := CanonicalOrigin(s)
		if err != nil {
			require.Empty(t, origin)
			return
		}
		again, err := CanonicalOrigin(origin)
		require.NoError(t, err)
		require.Equal(t, origin, again)
		require.Equal(t, strings.ToLower(origin), origin)
		require.Regexp(t, `^https?://[a-z0-9.-]+(:[1-9][0-9]*)?$`, origin)
	})
}
