package webauthn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// vectors are the W3C's test vectors, WebAuthn Level 3 section 16, in JSON with binary in hexadecimal.
type vectors struct {
	RPID        string   `json:"rpId"`
	Origin      string   `json:"origin"`
	Vectors     []vector `json:"vectors"`
	Attestation struct {
		Certificate hexBytes `json:"attestation_ca_cert"`
	} `json:"attestation_root"`
}

type vector struct {
	Name          string             `json:"name"`
	Format        string             `json:"format"`
	CredentialAlg cose.Algorithm     `json:"credential_alg"`
	HasX5C        bool               `json:"has_x5c"`
	Registration  registrationVector `json:"registration"`
	Assertion     assertionVector    `json:"authentication"`
}

type registrationVector struct {
	Challenge         hexBytes `json:"challenge"`
	AAGUID            hexBytes `json:"aaguid"`
	CredentialID      hexBytes `json:"credential_id"`
	ClientDataJSON    hexBytes `json:"clientDataJSON"`
	AttestationObject hexBytes `json:"attestationObject"`
}

type assertionVector struct {
	Challenge         hexBytes `json:"challenge"`
	AuthenticatorData hexBytes `json:"authenticatorData"`
	ClientDataJSON    hexBytes `json:"clientDataJSON"`
	Signature         hexBytes `json:"signature"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// loadVectors skips the test where the W3C's file, which is not ours to distribute, is not beside the repository.
func loadVectors(t testing.TB) *vectors {
	t.Helper()
	path := filepath.Join(vectorsDir(t), "webauthn-l3.json")
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("the W3C test vectors are not at %s: set KEYFOB_VECTORS to the folder with webauthn-l3.json", path)
	}
	require.NoError(t, err)
	v := new(vectors)
	require.NoError(t, json.Unmarshal(b, v))
	require.Len(t, v.Vectors, 15)
	return v
}

func vectorsDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("KEYFOB_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	require.NoError(t, err)
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "..", "shared", "vectors")
}

func (v *vector) clientDataHash() []byte {
	h := ClientDataHash(v.Registration.ClientDataJSON)
	return h[:]
}

func (v *vector) parse(t testing.TB) (*AttestationObject, *AuthenticatorData) {
	t.Helper()
	o, err := ParseAttestationObject(v.Registration.AttestationObject)
	require.NoError(t, err)
	d, err := ParseAuthenticatorData(o.AuthData)
	require.NoError(t, err)
	return o, d
}

func TestVectorRegistrations(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	rpIDHash := sha256.Sum256([]byte(file.RPID))
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			o, d := v.parse(t)
			require.Equal(t, v.Format, o.Format)
			b, err := o.Marshal()
			require.NoError(t, err)
			require.Equal(t, []byte(v.Registration.AttestationObject), b)

			require.Equal(t, rpIDHash, d.RPIDHash)
			require.Equal(t, []byte(v.Registration.CredentialID), d.Credential.ID)
			require.Equal(t, []byte(v.Registration.AAGUID), d.Credential.AAGUID[:])
			b, err = d.Marshal()
			require.NoError(t, err)
			require.Equal(t, o.AuthData, b)
			requireVectorKey(t, v.CredentialAlg, d.Credential)

			requireVectorClientData(t, file.Origin, TypeCreate, v.Registration.Challenge, v.Registration.ClientDataJSON)
		})
	}
}

func requireVectorKey(t *testing.T, alg cose.Algorithm, c *ctap2.AttestedCredential) {
	t.Helper()
	const ed448 = -53
	if alg == ed448 {
		require.Nil(t, c.PublicKey)
		return
	}
	require.Equal(t, alg, c.PublicKey.Algorithm)
	b, err := c.PublicKey.MarshalCBOR()
	require.NoError(t, err)
	require.Equal(t, c.RawPublicKey, b)
}

func requireVectorClientData(t *testing.T, origin, typ string, challenge, clientDataJSON []byte) {
	t.Helper()
	c, err := ParseClientData(clientDataJSON)
	require.NoError(t, err)
	require.Equal(t, typ, c.Type)
	require.Equal(t, challenge, c.Challenge)
	require.Equal(t, origin, c.Origin)

	// Some vectors have an extra member at the end, which the specification tells verifiers to expect.
	without, _, extra := strings.Cut(string(clientDataJSON), `,"extraData":`)
	if extra {
		without += "}"
	}
	require.Equal(t, without, string(c.JSON()))
}

func TestVectorAttestations(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	root, err := x509.ParseCertificate(file.Attestation.Certificate)
	require.NoError(t, err)
	types := make(map[AttestationType]int)
	unsupported := 0
	for _, v := range file.Vectors {
		o, d := v.parse(t)
		a, err := o.Verify(v.clientDataHash())
		if v.Format != FormatNone && v.Format != FormatPacked {
			require.ErrorIs(t, err, ErrUnsupportedFormat, v.Name)
			require.Nil(t, a)
			unsupported++
			continue
		}
		require.NoError(t, err, v.Name)
		require.Equal(t, d.Credential.AAGUID, a.AAGUID)
		require.Equal(t, v.HasX5C, a.Type == AttestationBasic)
		if v.HasX5C {
			require.NoError(t, a.TrustPath[0].CheckSignatureFrom(root))
		} else {
			require.Empty(t, a.TrustPath)
		}
		types[a.Type]++
	}
	require.Equal(t, map[AttestationType]int{AttestationNone: 4, AttestationSelf: 1, AttestationBasic: 6}, types)
	require.Equal(t, 4, unsupported, "tpm, android-key, apple, fido-u2f")
}

func TestVectorAttestationsRefuseFlippedBits(t *testing.T) {
	t.Parallel()
	ran := 0
	for _, v := range loadVectors(t).Vectors {
		if v.Format != FormatPacked {
			continue
		}
		ran++
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			o, _ := v.parse(t)
			for _, b := range [][]byte{o.AuthData, statementSig(t, o), v.Registration.ClientDataJSON} {
				requireEveryFlipFails(t, b, func() error {
					_, err := o.Verify(v.clientDataHash())
					return err
				})
			}
		})
	}
	require.Equal(t, 7, ran)
}

// statementSig returns the signature within the statement, so that a test can spoil it in its place.
func statementSig(t *testing.T, o *AttestationObject) []byte {
	t.Helper()
	members, err := o.statementMembers()
	require.NoError(t, err)
	sig := members["sig"].([]byte)
	at := strings.Index(string(o.Statement), string(sig))
	require.Positive(t, at)
	return o.Statement[at:][:len(sig)]
}

// requireEveryFlipFails calls verify once for each byte of b, with one bit of it flipped.
func requireEveryFlipFails(t *testing.T, b []byte, verify func() error) {
	t.Helper()
	require.NoError(t, verify())
	for i := range b {
		b[i] ^= 1 << (i % 8)
		require.Error(t, verify(), "byte %d of %d", i, len(b))
		b[i] ^= 1 << (i % 8)
	}
	require.NoError(t, verify())
}

func TestVectorAssertions(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	verified := 0
	for _, v := range file.Vectors {
		_, d := v.parse(t)
		requireVectorClientData(t, file.Origin, TypeGet, v.Assertion.Challenge, v.Assertion.ClientDataJSON)
		assertion, err := ParseAuthenticatorData(v.Assertion.AuthenticatorData)
		require.NoError(t, err, v.Name)
		require.Equal(t, d.RPIDHash, assertion.RPIDHash)

		hash := ClientDataHash(v.Assertion.ClientDataJSON)
		err = VerifySignature(d.Credential.PublicKey, v.Assertion.AuthenticatorData, hash[:], v.Assertion.Signature)
		if d.Credential.PublicKey == nil {
			require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm, v.Name)
			continue
		}
		require.NoError(t, err, v.Name)
		verified++
	}
	require.Equal(t, 14, verified, "all but Ed448")
}

func TestVectorAssertionsRefuseFlippedBits(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors(t).Vectors {
		_, d := v.parse(t)
		key := d.Credential.PublicKey
		if key == nil {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			a := v.Assertion
			hash := ClientDataHash(a.ClientDataJSON)
			for _, b := range [][]byte{a.AuthenticatorData, a.Signature, hash[:]} {
				requireEveryFlipFails(t, b, func() error {
					return VerifySignature(key, a.AuthenticatorData, hash[:], a.Signature)
				})
			}
		})
	}
}
