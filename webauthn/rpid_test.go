package webauthn

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolveAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ origin, rpID, wantOrigin, wantRPID string }{
		"the host":            {"https://example.org", "example.org", "https://example.org", "example.org"},
		"the host by default": {"https://login.example.org", "", "https://login.example.org", "login.example.org"},
		// WebAuthn Level 3, section 4, "RP ID".
		"with a port":         {"https://login.example.com:1337", "login.example.com", "https://login.example.com:1337", "login.example.com"},
		"the domain above it": {"https://login.example.com:1337", "example.com", "https://login.example.com:1337", "example.com"},
		// HTML Standard, section 7.1.1.2.
		"www":                       {"https://www.example.com", "example.com", "https://www.example.com", "example.com"},
		"above a suffix with rules": {"https://test.amazonaws.com", "amazonaws.com", "https://test.amazonaws.com", "amazonaws.com"},

		"two above":                  {"https://a.b.example.org", "example.org", "https://a.b.example.org", "example.org"},
		"below a suffix of two":      {"https://a.example.co.uk", "example.co.uk", "https://a.example.co.uk", "example.co.uk"},
		"below a private suffix":     {"https://a.jane.github.io", "jane.github.io", "https://a.jane.github.io", "jane.github.io"},
		"an exception of a wildcard": {"https://a.www.ck", "www.ck", "https://a.www.ck", "www.ck"},
		"below a wildcard":           {"https://a.jane.any.ck", "jane.any.ck", "https://a.jane.any.ck", "jane.any.ck"},
		"an unlisted suffix":         {"https://a.jane.corp", "jane.corp", "https://a.jane.corp", "jane.corp"},
		"upper case":                 {"HTTPS://A.Example.ORG:443", "EXAMPLE.org", "https://a.example.org", "example.org"},
		"IDNA":                       {"https://a.bücher.example", "BÜCHER.example", "https://a.xn--bcher-kva.example", "xn--bcher-kva.example"},
		"IDNA against ASCII":         {"https://a.xn--bcher-kva.example", "bücher.example", "https://a.xn--bcher-kva.example", "xn--bcher-kva.example"},
		"localhost":                  {"http://localhost:8080", "localhost", "http://localhost:8080", "localhost"},
		"localhost by default":       {"https://localhost", "", "https://localhost", "localhost"},
		"below localhost":            {"http://a.localhost", "a.localhost", "http://a.localhost", "a.localhost"},
		"two below localhost":        {"http://b.a.localhost", "a.localhost", "http://b.a.localhost", "a.localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			never := func(context.Context, string, string) error { return errors.New("must not be asked") }
			p := &OriginPolicy{Related: never, App: never}
			origin, rpID, err := p.Resolve(t.Context(), c.origin, c.rpID)
			require.NoError(t, err)
			require.Equal(t, c.wantOrigin, origin)
			require.Equal(t, c.wantRPID, rpID)
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ origin, rpID string }{
		// WebAuthn Level 3, section 4, "RP ID".
		"below the host":      {"https://login.example.com:1337", "m.login.example.com"},
		"a public suffix":     {"https://login.example.com:1337", "com"},
		"another domain":      {"https://example.org", "example.com"},
		"beside the host":     {"https://a.example.org", "b.example.org"},
		"a part of a label":   {"https://badexample.org", "example.org"},
		"a label of the host": {"https://example.org", "example"},
		// HTML Standard, section 7.1.1.2; but WebAuthn has no IP addresses.
		"IPv4":                    {"https://0.0.0.0", "0.0.0.0"},
		"other IPv4":              {"https://0.1.2.3", "0x10203"},
		"IPv6":                    {"https://[::1]", "[0::1]"},
		"a dot behind the host":   {"https://example.com.", "example.com"},
		"a dot behind the RP ID":  {"https://example.com", "example.com."},
		"a wildcard's suffix":     {"https://example.compute.amazonaws.com", "compute.amazonaws.com"},
		"a suffix of a suffix":    {"https://www.example.compute.amazonaws.com", "amazonaws.com"},
		"above a private suffix":  {"https://jane.github.io", "io"},
		"a private suffix":        {"https://jane.github.io", "github.io"},
		"above a wildcard suffix": {"https://jane.any.kawasaki.jp", "kawasaki.jp"},

		"a public suffix that asks":      {"https://github.io", "github.io"},
		"the same by default":            {"https://github.io", ""},
		"a suffix of two":                {"https://example.co.uk", "co.uk"},
		"what a wildcard makes a suffix": {"https://a.b.ck", "b.ck"},
		"a single label":                 {"https://intranet", "intranet"},
		"a single label by default":      {"https://intranet", ""},
		"localhost from below":           {"http://a.localhost", "localhost"},
		"localhost from elsewhere":       {"https://example.org", "localhost"},
		"elsewhere from localhost":       {"http://localhost", "example.org"},
		"a dot before":                   {"https://a.example.org", ".example.org"},
		"a port":                         {"https://example.org:8443", "example.org:8443"},
		"an origin":                      {"https://example.org", "https://example.org"},
		"white space":                    {"https://example.org", " example.org"},
		"a long one":                     {"https://example.org", strings.Repeat("a", 1<<20)},

		"http":                   {"http://example.org", "example.org"},
		"no origin":              {"", "example.org"},
		"nothing":                {"", ""},
		"an opaque origin":       {"null", "example.org"},
		"an app":                 {"android:apk-key-hash:AAAA", "example.org"},
		"an extension":           {"chrome-extension://abcdefgh", "abcdefgh"},
		"a path":                 {"https://example.org/a", "example.org"},
		"a path without slashes": {"https:example.org", "example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, rpID, err := new(OriginPolicy).Resolve(t.Context(), c.origin, c.rpID)
			require.ErrorIs(t, err, ErrSecurity)
			require.ErrorContains(t, err, "webauthn: security: RP ID ")
			require.Less(t, len(err.Error()), 1000)
			require.Empty(t, origin)
			require.Empty(t, rpID)
		})
	}
}

// What the list says about a suffix within a host counts, also where the suffix by itself is none: with the rules jp,
// *.kawasaki.jp and !city.kawasaki.jp, kawasaki.jp is a public suffix for those below it only.
func TestResolveKnowsSuffixesWithinTheHost(t *testing.T) {
	t.Parallel()
	require.False(t, isPublicSuffix("kawasaki.jp"))
	require.True(t, isPublicSuffix("any.kawasaki.jp"))
	for _, host := range []string{"jane.any.kawasaki.jp", "city.kawasaki.jp"} {
		_, _, err := new(OriginPolicy).Resolve(t.Context(), "https://"+host, "kawasaki.jp")
		require.ErrorIs(t, err, ErrSecurity)
		_, rpID, err := new(OriginPolicy).Resolve(t.Context(), "https://a."+host, host)
		require.NoError(t, err)
		require.Equal(t, host, rpID)
	}
}

type contextKey struct{}

func TestResolveAsksForRelatedOrigins(t *testing.T) {
	t.Parallel()
	ctx := context.WithValue(t.Context(), contextKey{}, true)
	boom := errors.New("boom")
	var asked []string
	p := &OriginPolicy{Related: func(ctx context.Context, origin, rpID string) error {
		asked = append(asked, origin, rpID)
		if ctx.Value(contextKey{}) == nil || rpID != "example.com" {
			return boom
		}
		return nil
	}}
	origin, rpID, err := p.Resolve(ctx, "https://Example.org:443", "Example.com")
	require.NoError(t, err)
	require.Equal(t, []string{"https://example.org", "example.com"}, []string{origin, rpID})

	_, _, err = p.Resolve(ctx, "https://example.org", "example.net")
	require.ErrorIs(t, err, boom)
	require.ErrorIs(t, err, ErrSecurity)

	for _, c := range [][2]string{
		{"https://example.org", "com"}, {"https://example.org", "localhost"}, {"http://example.org", "example.com"},
		{"android:x", "example.com"}, {"https://example.org", "127.0.0.1"},
	} {
		_, _, err = p.Resolve(ctx, c[0], c[1])
		require.ErrorIs(t, err, ErrSecurity, "%v", c)
	}
	require.Equal(t, []string{"https://example.org", "example.com", "https://example.org", "example.net"}, asked)
}

func TestResolveAsksForApps(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	var asked []string
	p := &OriginPolicy{App: func(_ context.Context, origin, rpID string) error {
		asked = append(asked, origin, rpID)
		if origin == "bad:app" {
			return boom
		}
		return nil
	}}
	const android = "android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0"
	origin, rpID, err := p.Resolve(t.Context(), android, "Example.org")
	require.NoError(t, err)
	require.Equal(t, []string{android, "example.org"}, []string{origin, rpID})

	_, rpID, err = p.Resolve(t.Context(), "chrome-extension://ABC", "abcdefgh")
	require.NoError(t, err)
	require.Equal(t, "abcdefgh", rpID)

	_, _, err = p.Resolve(t.Context(), "bad:app", "example.org")
	require.ErrorIs(t, err, boom)
	require.ErrorIs(t, err, ErrSecurity)
	require.Len(t, asked, 6)

	for _, c := range [][2]string{
		{"android:x", ""}, {"android:x", "127.0.0.1"}, {"http://example.org", "example.org"}, {"HTTP:x", "example.org"},
		{"null", "example.org"}, {":x", "example.org"}, {"x:", "example.org"}, {"x: y", "example.org"},
		{"x:\n", "example.org"}, {"x:é", "example.org"}, {"x:" + strings.Repeat("a", 2000), "example.org"},
	} {
		_, _, err = p.Resolve(t.Context(), c[0], c[1])
		require.ErrorIs(t, err, ErrSecurity, "%q", c)
	}
	require.Len(t, asked, 6, "only what has the form is asked about")
}

func FuzzResolve(f *testing.F) {
	for _, s := range [][2]string{
		{"https://a.example.org", "example.org"}, {"https://example.co.uk", "co.uk"}, {"http://a.localhost", ""},
		{"https://a.bücher.example", "xn--bcher-kva.example"}, {"android:x", "example.org"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, origin, rpID string) {
		p := new(OriginPolicy)
		canonical, effective, err := p.Resolve(t.Context(), origin, rpID)
		if err != nil {
			require.Empty(t, canonical+effective)
			return
		}
		o, err := parseOrigin(canonical)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix("."+o.host, "."+effective), "%s %s", canonical, effective)
		require.True(t, effective == "localhost" || strings.Contains(effective, "."), effective)
		again, same, err := p.Resolve(t.Context(), canonical, effective)
		require.NoError(t, err)
		require.Equal(t, []string{canonical, effective}, []string{again, same})
	})
}
