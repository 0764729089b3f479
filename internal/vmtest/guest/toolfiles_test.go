package guest

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/webauthn"
)

const (
	rpID = "example.org"
	pin  = "guest pin"
)

// toolCredential is what fido2-cred -M writes and fido2-cred -V reads.
type toolCredential struct {
	clientDataHash []byte
	rp, format     string
	authData       []byte
	id             []byte
	sig            []byte
	x5c            []byte // nil for self attestation
	largeBlobKey   []byte // with -b
}

// toolAssertion is what fido2-assert -G writes and, but for the last three, fido2-assert -V reads.
type toolAssertion struct {
	clientDataHash []byte
	rp             string
	authData       []byte
	sig            []byte
	userID         []byte // with -r
	secret         []byte // with -h
	largeBlobKey   []byte // with -b
}

// packedStatement is the attestation statement of format packed. WebAuthn Level 3, section 8.2.
type packedStatement struct {
	Algorithm    cose.Algorithm `cbor:"alg"`
	Signature    []byte         `cbor:"sig"`
	Certificates [][]byte       `cbor:"x5c,omitempty"`
}

// newHash makes up a client data hash.
func newHash() []byte {
	hash := make([]byte, 32)
	rand.Read(hash)
	return hash
}

// toolFile writes lines to a file, for the option -i.
func toolFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func base64Line(t *testing.T, line string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(line)
	require.NoError(t, err, "%q", line)
	return b
}

func byteStringLine(t *testing.T, line string) (b []byte) {
	t.Helper()
	require.NoError(t, ctapcbor.Unmarshal(base64Line(t, line), &b))
	return b
}

// parseToolCredential reads what fido2-cred -M wrote with -b or without.
func parseToolCredential(t *testing.T, stdout string, blob bool) *toolCredential {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	var largeBlobKey []byte
	if blob { // in the last line, which is the one of the certificate when there is none
		largeBlobKey = base64Line(t, lines[len(lines)-1])
		lines = lines[:len(lines)-1]
	}
	require.GreaterOrEqual(t, len(lines), 6, "%q", stdout)
	c := &toolCredential{
		clientDataHash: base64Line(t, lines[0]), rp: lines[1], format: lines[2],
		authData: byteStringLine(t, lines[3]), id: base64Line(t, lines[4]), sig: base64Line(t, lines[5]),
		largeBlobKey: largeBlobKey,
	}
	if len(lines) > 6 {
		c.x5c = base64Line(t, lines[6])
	}
	return c
}

// object returns the attestation object that the tool took apart.
func (c *toolCredential) object(t *testing.T, alg cose.Algorithm) *webauthn.AttestationObject {
	t.Helper()
	statement := packedStatement{Algorithm: alg, Signature: c.sig}
	if c.x5c != nil {
		statement.Algorithm, statement.Certificates = cose.ES256, [][]byte{c.x5c}
	}
	encoded, err := ctapcbor.Marshal(statement)
	if c.format == "fido-u2f" {
		encoded, err = ctapcbor.Marshal(map[string]any{"sig": c.sig, "x5c": statement.Certificates})
	}
	require.NoError(t, err)
	return &webauthn.AttestationObject{Format: c.format, Statement: encoded, AuthData: c.authData}
}

// parseToolAssertions reads what fido2-assert -G wrote with -r, -h and -b or without.
func parseToolAssertions(t *testing.T, stdout string, resident, secret, blob bool) []*toolAssertion {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	next := func() string {
		require.NotEmpty(t, lines, "%q", stdout)
		line := lines[0]
		lines = lines[1:]
		return line
	}
	var list []*toolAssertion
	for len(lines) > 0 {
		a := &toolAssertion{
			clientDataHash: base64Line(t, next()), rp: next(), authData: byteStringLine(t, next()), sig: base64Line(t, next()),
		}
		if resident {
			a.userID = base64Line(t, next())
		}
		if secret {
			a.secret = base64Line(t, next())
		}
		if blob {
			a.largeBlobKey = base64Line(t, next())
		}
		list = append(list, a)
	}
	return list
}
