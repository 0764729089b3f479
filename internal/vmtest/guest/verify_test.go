package guest

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestToolsNoticeChangedBytes shows that what the other tests have fido2-cred -V and fido2-assert -V accept says
// something.
func TestToolsNoticeChangedBytes(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	for _, kind := range toolTypes {
		c := keyfobRegister(t, key, "--alg", kind.name)
		made := c.forTool(t)
		public := requireToolAccepts(t, made, kind.name)
		requireEachByteCounts(t, func() toolResult { return toolVerify(t, made, kind.name) },
			made.clientDataHash, made.authData, made.sig)

		used := keyfobAuthenticate(t, key, "--credential", c.CredentialID.String()).forTool()
		requireToolAcceptsAssertion(t, used, public, kind.name)
		requireEachByteCounts(t, func() toolResult { return toolVerifyAssertion(t, used, public, kind.name) },
			used.clientDataHash, used.authData, used.sig)
	}
}

// requireEachByteCounts changes the last byte of each field, one after the other, which must be rejected.
func requireEachByteCounts(t *testing.T, verify func() toolResult, fields ...[]byte) {
	t.Helper()
	for _, field := range fields {
		original := bytes.Clone(field)
		field[len(field)-1] ^= 1
		require.Equal(t, 1, verify().status, "accepted %x instead of %x", field, original)
		copy(field, original)
	}
}

// requireToolAccepts has fido2-cred -V verify a credential, and returns the public key that it found.
func requireToolAccepts(t *testing.T, c *toolCredential, typeName string, options ...string) *cose.Key {
	t.Helper()
	accepted := toolVerify(t, c, typeName, options...)
	require.Zero(t, accepted.status, accepted.stderr)
	id, text, _ := strings.Cut(accepted.stdout, "\n")
	require.Equal(t, c.id, base64Line(t, id))
	return keyFromPEM(t, text)
}

func toolVerify(t *testing.T, c *toolCredential, typeName string, options ...string) toolResult {
	t.Helper()
	return runTool(t, "", "fido2-cred", append(append([]string{"-V", "-i", c.file(t)}, options...), typeName)...)
}

// requireToolAcceptsAssertion has fido2-assert -V verify a signature.
func requireToolAcceptsAssertion(t *testing.T, a *toolAssertion, key *cose.Key, typeName string, options ...string) {
	t.Helper()
	require.Equal(t, toolResult{}, toolVerifyAssertion(t, a, key, typeName, options...))
}

func toolVerifyAssertion(
	t *testing.T, a *toolAssertion, key *cose.Key, typeName string, options ...string,
) toolResult {
	t.Helper()
	keyFile := toolFile(t, strings.TrimSuffix(pemOf(t, key), "\n"))
	args := append([]string{"-V", "-i", a.file(t)}, options...)
	return runTool(t, "", "fido2-assert", append(args, keyFile, typeName)...)
}

// pemOf returns a key as fido2-cred -V prints it and fido2-assert -V reads it.
func pemOf(t *testing.T, key *cose.Key) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: marshalPKIX(t, key)}))
}

func marshalPKIX(t *testing.T, key *cose.Key) base64URL {
	t.Helper()
	der, err := key.MarshalPKIX()
	require.NoError(t, err)
	return der
}

func keyFromPEM(t *testing.T, text string) *cose.Key {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	require.NotNil(t, block, "%q", text)
	require.Empty(t, rest)
	key, err := cose.ParsePKIX(block.Bytes)
	require.NoError(t, err)
	return key
}

func (c *toolCredential) file(t *testing.T) string {
	t.Helper()
	lines := []string{
		base64Of(c.clientDataHash), c.rp, c.format, base64Of(byteStringOf(t, c.authData)), base64Of(c.id), base64Of(c.sig),
	}
	if c.x5c != nil {
		lines = append(lines, base64Of(c.x5c))
	}
	return toolFile(t, lines...)
}

func (a *toolAssertion) file(t *testing.T) string {
	t.Helper()
	return toolFile(t, base64Of(a.clientDataHash), a.rp, base64Of(byteStringOf(t, a.authData)), base64Of(a.sig))
}

// byteStringOf wraps authenticator data as the tools do: in a CBOR byte string.
func byteStringOf(t *testing.T, b []byte) []byte {
	t.Helper()
	encoded, err := ctapcbor.Marshal(b)
	require.NoError(t, err)
	return encoded
}
