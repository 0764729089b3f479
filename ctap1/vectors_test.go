package ctap1

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// vector is one of the W3C's test vectors, WebAuthn Level 3 section 16, with binary in hexadecimal.
type vector struct {
	Format       string `json:"format"`
	Registration struct {
		CredentialID hexBytes `json:"credential_id"`
	} `json:"registration"`
	Authentication struct {
		AuthenticatorData hexBytes `json:"authenticatorData"`
		Signature         hexBytes `json:"signature"`
	} `json:"authentication"`
	Derived struct {
		Statement struct {
			Signature   hexBytes   `json:"sig"`
			Certificate []hexBytes `json:"x5c"`
		} `json:"attStmt"`
		AuthData         hexBytes `json:"authData"`
		RegisterHash     hexBytes `json:"registrationClientDataHash"`
		AuthenticateHash hexBytes `json:"authenticationClientDataHash"`
	} `json:"derived"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// loadVector returns the vector of the format fido-u2f. It skips the test where the W3C's file, which is not ours to
// distribute, is not beside the repository.
func loadVector(t *testing.T) *vector {
	t.Helper()
	path := "../../shared/vectors/webauthn-l3.json"
	if dir := os.Getenv("KEYFOB_VECTORS"); dir != "" {
		path = filepath.Join(dir, "webauthn-l3.json")
	}
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("the W3C test vectors are not at %s: set KEYFOB_VECTORS to the folder with webauthn-l3.json", path)
	}
	require.NoError(t, err)
	var file struct {
		Vectors []json.RawMessage `json:"vectors"`
	}
	require.NoError(t, json.Unmarshal(b, &file))
	for _, raw := range file.Vectors {
		var head struct{ Format string }
		require.NoError(t, json.Unmarshal(raw, &head))
		if head.Format == "fido-u2f" {
			v := new(vector)
			require.NoError(t, json.Unmarshal(raw, v))
			return v
		}
	}
	require.Fail(t, "no vector has the format fido-u2f")
	return nil
}

// The U2F answers that the vector must have come from give back all of its parts.
func TestW3CVector(t *testing.T) {
	t.Parallel()
	v := loadVector(t)
	d, err := ctap2.ParseAuthenticatorData(v.Derived.AuthData)
	require.NoError(t, err)
	want := &Registration{
		PublicKey:   d.Credential.PublicKey,
		KeyHandle:   v.Registration.CredentialID,
		Certificate: v.Derived.Statement.Certificate[0],
		Signature:   v.Derived.Statement.Signature,
	}
	challenge := [32]byte(v.Derived.RegisterHash)
	c := &Client{Transport: constant(ok(want.encode(t)))}
	r, err := c.Register(t.Context(), challenge, d.RPIDHash)
	require.NoError(t, err)
	require.Equal(t, want, r)
	r.verify(t, challenge, d.RPIDHash)

	authData, err := r.AuthenticatorData(d.RPIDHash)
	require.NoError(t, err)
	clear(v.Derived.AuthData[37:53]) // the vector has an AAGUID, which no U2F key has
	require.Equal(t, []byte(v.Derived.AuthData), authData)

	c.Transport = constant(ok(slices.Concat(v.Authentication.AuthenticatorData[32:], v.Authentication.Signature)))
	challenge = [32]byte(v.Derived.AuthenticateHash)
	a, err := c.Authenticate(t.Context(), EnforceUserPresence, challenge, d.RPIDHash, r.KeyHandle)
	require.NoError(t, err)
	require.Equal(t, []byte(v.Authentication.AuthenticatorData), a.AuthenticatorData(d.RPIDHash))
	require.NoError(t, r.PublicKey.Verify(append(a.AuthenticatorData(d.RPIDHash), challenge[:]...), a.Signature))
}
