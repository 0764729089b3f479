package difftest_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/webauthn"
)

// vectors are the W3C's test vectors, WebAuthn Level 3 section 16, in JSON with binary in hexadecimal.
type vectors struct {
	Vectors []vector `json:"vectors"`
	Root    struct {
		Certificate hexBytes `json:"attestation_ca_cert"`
	} `json:"attestation_root"`
}

type vector struct {
	Name         string         `json:"name"`
	Format       string         `json:"format"`
	Algorithm    cose.Algorithm `json:"credential_alg"`
	Registration struct {
		Challenge         hexBytes `json:"challenge"`
		CredentialID      hexBytes `json:"credential_id"`
		ClientDataJSON    hexBytes `json:"clientDataJSON"`
		AttestationObject hexBytes `json:"attestationObject"`
	} `json:"registration"`
	Assertion struct {
		Challenge         hexBytes `json:"challenge"`
		AuthenticatorData hexBytes `json:"authenticatorData"`
		ClientDataJSON    hexBytes `json:"clientDataJSON"`
		Signature         hexBytes `json:"signature"`
	} `json:"authentication"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func vectorsPath() string {
	dir := os.Getenv("KEYFOB_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors") // beside the repository
	}
	return filepath.Join(dir, "webauthn-l3.json")
}

// readVectors returns nil where the W3C's file, which is not ours to distribute, is not there.
func readVectors() (*vectors, error) {
	b, err := os.ReadFile(vectorsPath())
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(vectors)
	return v, json.Unmarshal(b, v)
}

func loadVectors(t testing.TB) *vectors {
	t.Helper()
	v, err := readVectors()
	require.NoError(t, err)
	if v == nil {
		t.Skipf("the W3C test vectors are not at %s: set KEYFOB_VECTORS to the folder with webauthn-l3.json", vectorsPath())
	}
	require.Len(t, v.Vectors, 15)
	return v
}

func (v *vector) ceremony() *ceremony {
	return &ceremony{
		name: v.Name, format: v.Format, alg: v.Algorithm,
		createChallenge: v.Registration.Challenge,
		registration: webauthn.RegistrationResponse{
			RawID:             v.Registration.CredentialID,
			ClientDataJSON:    v.Registration.ClientDataJSON,
			AttestationObject: v.Registration.AttestationObject,
		},
		getChallenge: v.Assertion.Challenge,
		assertion: webauthn.AuthenticationResponse{
			RawID:             v.Registration.CredentialID,
			ClientDataJSON:    v.Assertion.ClientDataJSON,
			AuthenticatorData: v.Assertion.AuthenticatorData,
			Signature:         v.Assertion.Signature,
		},
		allowCrossOrigin: true,
	}
}

// With all of cose/extra imported, keyfob accepts 15 of 15 registrations and assertions.
func TestVectors(t *testing.T) {
	theirs := map[string]string{
		"packed.Ed448": "go-webauthn does not know Ed448",
		"tpm.ES256":    "go-webauthn knows only registered manufacturers of TPMs, and the vector's is id:00000000",
		"android-key.ES256": "go-webauthn wants a purpose and an origin in the authorization lists, " +
			"and the vector's lists are empty",
	}
	file := loadVectors(t)
	root, err := x509.ParseCertificate(file.Root.Certificate)
	require.NoError(t, err)
	anchors := x509.NewCertPool()
	anchors.AddCert(root)
	for _, v := range file.Vectors {
		c := v.ceremony()
		registered, err := oursRegistration(c)
		require.NoError(t, err, v.Name)
		if len(registered.Attestation.TrustPath) > 0 {
			require.NoError(t, registered.Attestation.VerifyTrust(anchors, registered.Attestation.TrustPath[0].NotBefore))
		}
		require.NoError(t, oursAssertion(c, &registered.Credential), v.Name)

		key, err := theirsRegistration(c)
		if err == nil {
			err = theirsAssertion(c, &registered.Credential, key)
		}
		require.Equal(t, theirs[v.Name] != "", err != nil, "%s: %v", v.Name, err)
		if err != nil {
			t.Logf("%s: %s: %v", v.Name, theirs[v.Name], err)
		}
	}
}

// Package webauthn's own tests do the same for the other fourteen.
func TestVectorEd448RefusesFlippedBits(t *testing.T) {
	file := loadVectors(t)
	i := slices.IndexFunc(file.Vectors, func(v vector) bool { return v.Algorithm == cose.Ed448 })
	c := file.Vectors[i].ceremony()
	registered, err := oursRegistration(c)
	require.NoError(t, err)
	registration := func() error {
		got, err := oursRegistration(c)
		if err == nil { // nobody but VerifyTrust looks at the certificate's own signature
			err = got.Attestation.VerifyTrust(trusted, time.Time{})
		}
		return err
	}
	requireFlipsFail(t, c.registration.AttestationObject, registration)
	requireFlipsFail(t, c.registration.ClientDataJSON, registration)
	assertion := func() error { return oursAssertion(c, &registered.Credential) }
	requireFlipsFail(t, c.assertion.AuthenticatorData, assertion)
	requireFlipsFail(t, c.assertion.ClientDataJSON, assertion)
	requireFlipsFail(t, c.assertion.Signature, assertion)
}

func requireFlipsFail(t *testing.T, b []byte, verify func() error) {
	t.Helper()
	require.NoError(t, verify())
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		require.Error(t, verify(), "bit %d of byte %d", i%8, i/8)
		b[i/8] ^= 1 << (i % 8)
	}
}
