package webauthn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrSecurity is wrapped by the errors about an origin that may not ask, or not for the RP ID: where browsers throw a
// SecurityError.
var ErrSecurity = errors.New("security")

// CanonicalOrigin returns a web origin in the form that client data has it in: in lower case, with the host in ASCII
// and without the usual port. The scheme must be https, or http on localhost and the names below it, and the host a
// domain. User names, paths, even "/", IP addresses and a dot at the end are errors; see [ErrSecurity].
func CanonicalOrigin(s string) (string, error) {
	o, err := parseOrigin(s)
	if err != nil {
		return "", fmt.Errorf("webauthn: %w: origin %.100q: %w", ErrSecurity, s, err)
	}
	return o.String(), nil
}

type webOrigin struct {
	scheme string
	host   string // a domain in its canonical form
	port   uint16 // 0 for the usual one
}

// String is the serialization of an origin that HTML defines.
func (o webOrigin) String() string {
	if o.port == 0 {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + strconv.Itoa(int(o.port))
}

var usualPorts = map[string]uint16{"https": 443, "http": 80}

func parseOrigin(s string) (o webOrigin, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	o.scheme = strings.ToLower(scheme)
	usual, known := usualPorts[o.scheme]
	if !ok || !known {
		return webOrigin{}, errors.New("not of the form https://host")
	}
	host, port, hasPort := strings.Cut(rest, ":")
	if o.host, err = canonicalDomain(host); err != nil {
		return webOrigin{}, err
	}
	if o.scheme == "http" && !isLocalhost(o.host) {
		return webOrigin{}, errors.New("http without TLS, and not on localhost")
	}
	if !hasPort {
		return o, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return webOrigin{}, errors.New("not a port")
	}
	if o.port = uint16(n); o.port == usual {
		o.port = 0
	}
	return o, nil
}

func isLocalhost(domain string) bool {
	return domain == "localhost" || strings.HasSuffix(domain, ".localhost")
}

// maxDomain is longer than any domain that is written with few escapes: DNS has room for 253 bytes of ASCII.
const maxDomain = 1024

// toASCII is the processing of the URL Standard, section 3.3, for a valid domain string, but for hyphens, which many
// names of servers have in the third and fourth place. It is made when it is needed, so that programs without ceremonies
// do not have its tables.
var toASCII = sync.OnceValue(func() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.VerifyDNSLength(true))
})

// canonicalDomain returns the form of a domain in ASCII and lower case.
func canonicalDomain(s string) (string, error) {
	if s == "" || len(s) > maxDomain {
		return "", fmt.Errorf("a domain of %d bytes", len(s))
	}
	if !utf8.ValidString(s) { // package idna leaves that as it is
		return "", errors.New("not a domain")
	}
	domain, err := toASCII().ToASCII(s)
	switch {
	case err != nil:
		return "", errors.New("not a domain")
	case strings.HasSuffix(domain, "."):
		return "", errors.New("a domain with a dot at the end")
	case endsInNumber(domain):
		return "", errors.New("an IP address is not a domain")
	}
	return domain, nil
}

// endsInNumber is how the URL Standard, section 3.5, tells IP addresses from domains: "127.1" and "0x7f000001" are some.
func endsInNumber(domain string) bool {
	const digits = "0123456789"
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, digits) == "" || isHex && strings.Trim(hex, digits+"abcdef") == ""
}
