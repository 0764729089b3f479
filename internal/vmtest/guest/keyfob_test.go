package guest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/webauthn"
)

// keyfobCredential is what keyfob register --json writes.
type keyfobCredential struct {
	CredentialID      base64URL      `json:"credentialId"`
	PublicKey         base64URL      `json:"publicKey"`
	Algorithm         cose.Algorithm `json:"algorithm"`
	Flags             ctap2.Flags    `json:"flags"`
	AttestationObject base64URL      `json:"attestationObject"`
	ClientDataJSON    base64URL      `json:"clientDataJSON"`
	Verified          *bool          `json:"verified"`
}

// keyfobAssertion is one of what keyfob authenticate --json writes.
type keyfobAssertion struct {
	CredentialID      base64URL   `json:"credentialId"`
	AuthenticatorData base64URL   `json:"authenticatorData"`
	ClientDataJSON    base64URL   `json:"clientDataJSON"`
	Signature         base64URL   `json:"signature"`
	UserHandle        base64URL   `json:"userHandle"`
	Flags             ctap2.Flags `json:"flags"`
	HMACSecret        base64URL   `json:"hmacSecret"`
	Verified          *bool       `json:"verified"`
}

// base64URL is a binary value in the JSON and in the flags of the keyfob command.
type base64URL []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *base64URL) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

func (b base64URL) String() string { return base64.RawURLEncoding.EncodeToString(b) }

// runKeyfob runs a command on a key, with its result in JSON. It has no terminal.
func runKeyfob(t *testing.T, key *softKey, command string, args ...string) toolResult {
	t.Helper()
	result := runTool(t, "", "keyfob", keyfobArguments(key, command, args...)...)
	if result.status != 0 {
		require.Empty(t, result.stdout, "a command that fails has no result")
	}
	return result
}

func keyfobArguments(key *softKey, command string, args ...string) []string {
	return append(append(strings.Fields(command), "--device", key.Path, "--json"), args...)
}

// mustRunKeyfob runs a command that must succeed, and decodes its result.
func mustRunKeyfob(t *testing.T, result any, key *softKey, command string, args ...string) {
	t.Helper()
	r := runKeyfob(t, key, command, args...)
	require.Zero(t, r.status, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), result), r.stdout)
}

func keyfobRegister(t *testing.T, key *softKey, args ...string) *keyfobCredential {
	t.Helper()
	c := &keyfobCredential{}
	mustRunKeyfob(t, c, key, "register", append([]string{"--rp", rpID, "--user", "Ada"}, args...)...)
	require.NotNil(t, c.Verified)
	require.True(t, *c.Verified)
	return c
}

func keyfobAuthenticate(t *testing.T, key *softKey, args ...string) *keyfobAssertion {
	t.Helper()
	var result struct{ Assertions []*keyfobAssertion }
	mustRunKeyfob(t, &result, key, "authenticate", append([]string{"--rp", rpID}, args...)...)
	require.Len(t, result.Assertions, 1)
	return result.Assertions[0]
}

// pinFile writes a PIN to a file, for the option --pin-file.
func pinFile(t *testing.T, pin string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(path, []byte(pin+"\n"), 0o600))
	return path
}

// forTool turns a credential into what fido2-cred -V reads.
func (c *keyfobCredential) forTool(t *testing.T) *toolCredential {
	t.Helper()
	object, err := webauthn.ParseAttestationObject(c.AttestationObject)
	require.NoError(t, err)
	var statement packedStatement
	require.NoError(t, ctapcbor.Unmarshal(object.Statement, &statement))
	hash := webauthn.ClientDataHash(c.ClientDataJSON)
	tool := &toolCredential{
		clientDataHash: hash[:], rp: rpID, format: object.Format,
		authData: object.AuthData, id: c.CredentialID, sig: statement.Signature,
	}
	if len(statement.Certificates) > 0 {
		tool.x5c = statement.Certificates[0]
	}
	return tool
}

// forTool turns an assertion into what fido2-assert -V reads.
func (a *keyfobAssertion) forTool() *toolAssertion {
	hash := webauthn.ClientDataHash(a.ClientDataJSON)
	return &toolAssertion{clientDataHash: hash[:], rp: rpID, authData: a.AuthenticatorData, sig: a.Signature}
}
