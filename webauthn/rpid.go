package webauthn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// OriginPolicy says which origins may use which RP IDs. The zero value has the rules of WebAuthn Level 3, sections 5.1.3
// and 5.1.4.1, and nothing else. It is safe for concurrent use if its callbacks are.
type OriginPolicy struct {
	// Related, unless nil, is asked about web origins that may not use the RP ID by themselves. It returns nil if the
	// relying party lists them as related: the document https://RPID/.well-known/webauthn of WebAuthn Level 3, section
	// 5.11. Origin and RP ID are canonical.
	Related func(ctx context.Context, origin, rpID string) error

	// App, unless nil, is asked about origins that are not of the web, such as "android:apk-key-hash:...". It returns
	// nil if they may use the RP ID. The origin is as given, in printable ASCII, and the RP ID canonical, but it
	// may be a public suffix or a single label. Without App such origins are refused.
	App func(ctx context.Context, origin, rpID string) error
}

// Resolve returns the origin for the client data, as by [CanonicalOrigin], and the RP ID that it may use: rpID in ASCII
// and lower case, which is that of the server if that was careful, or for an empty one the origin's host. The host must
// be the RP ID or end in it behind a dot, and the RP ID must not be a public suffix such as "com", "co.uk" or
// "github.io", nor a single label, save localhost for itself.
//
// Errors wrap [ErrSecurity], and that of the callback. The public suffixes are those of golang.org/x/net/publicsuffix,
// as old as the version that the program is built with.
func (p *OriginPolicy) Resolve(ctx context.Context, origin, rpID string) (canonical, effective string, err error) {
	canonical, effective, err = p.resolve(ctx, origin, rpID)
	if err != nil {
		return "", "", fmt.Errorf("webauthn: %w: RP ID %.100q, origin %.100q: %w", ErrSecurity, rpID, origin, err)
	}
	return canonical, effective, nil
}

func (p *OriginPolicy) resolve(ctx context.Context, origin, rpID string) (canonical, effective string, err error) {
	if rpID != "" {
		if effective, err = canonicalDomain(rpID); err != nil {
			return "", "", err
		}
	}
	if !isWeb(origin) {
		return origin, effective, p.app(ctx, origin, effective)
	}
	o, err := parseOrigin(origin)
	if err != nil {
		return "", "", err
	}
	if effective == "" {
		effective = o.host
	}
	return o.String(), effective, p.web(ctx, o, effective)
}

// isWeb says whether the rules of the web apply, and no others.
func isWeb(origin string) bool {
	scheme, _, _ := strings.Cut(origin, ":")
	_, ok := usualPorts[strings.ToLower(scheme)]
	return ok
}

func (p *OriginPolicy) web(ctx context.Context, o webOrigin, rpID string) error {
	switch {
	case o.host == "localhost" && rpID == "localhost":
		return nil
	case isPublicSuffix(rpID):
		return errors.New("the RP ID is a public suffix")
	case isRegistrableSuffix(rpID, o.host):
		return nil
	case p.Related == nil:
		return errors.New("the host of the origin is neither the RP ID nor below it")
	}
	return p.Related(ctx, o.String(), rpID)
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain) // which is the last label where the list has nothing
	return domain == suffix
}

// isRegistrableSuffix is "is a registrable domain suffix of or is equal to" of the HTML Standard, section 7.1.1.2, for
// a suffix that is not public by itself: it might be as part of the host, where the list has exceptions and wildcards.
func isRegistrableSuffix(suffix, host string) bool {
	public, _ := publicsuffix.PublicSuffix(host)
	return suffix == host || strings.HasSuffix(host, "."+suffix) && len(suffix) > len(public)
}

func (p *OriginPolicy) app(ctx context.Context, origin, rpID string) error {
	scheme, rest, _ := strings.Cut(origin, ":")
	switch {
	case scheme == "" || rest == "" || len(origin) > maxDomain || !isPrintable(origin):
		return errors.New("not an origin")
	case p.App == nil:
		return fmt.Errorf("no origin of scheme %q is allowed", scheme)
	case rpID == "":
		return errors.New("an RP ID is required")
	}
	return p.App(ctx, origin, rpID)
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
