package webauthn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// vectors are the W3C's test vectors, WebAuthn Level 3 section 16, in JSON with binary in hexadecimal.
type vectors struct {
	RPID        string   `json:"rpId"`
	Origin      string   `json:"origin"`
	TopOrigin   string   `json:"topOrigin"`
	Vectors     []vector `json:"vectors"`
	Attestation struct {
		Certificate hexBytes `json:"attestation_ca_cert"`
	} `json:"attestation_root"`
	PRF prfVectors `json:"prf_hmac_secret"`
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
	if alg == cose.Ed448 {
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
	types := make(map[AttestationType]int)
	for _, v := range file.Vectors {
		o, d := v.parse(t)
		a, err := o.Verify(v.clientDataHash())
		require.NoError(t, err, v.Name)
		if v.Format == FormatFIDOU2F {
			require.Zero(t, a.AAGUID, "the vector has one, but it is not signed")
		} else {
			require.Equal(t, d.Credential.AAGUID, a.AAGUID)
		}
		require.Equal(t, v.HasX5C, len(a.TrustPath) > 0)
		if v.HasX5C {
			require.Contains(t, a.NotChecked, UncheckedTrustAnchor)
			require.NoError(t, a.VerifyTrust(file.anchors(t), time.Time{}))
			require.NotContains(t, a.NotChecked, UncheckedTrustAnchor)
			require.Len(t, a.Chain, 2)
		}
		require.Equal(t, v.Format == FormatAndroidKey, slices.Contains(a.NotChecked, UncheckedHardware),
			"its authorization lists are empty")
		types[a.Type]++
	}
	require.Equal(t, map[AttestationType]int{
		AttestationNone: 4, AttestationSelf: 1, AttestationBasic: 8, AttestationAttCA: 1, AttestationAnonCA: 1,
	}, types)
}

func (v *vectors) anchors(t testing.TB) *x509.CertPool {
	t.Helper()
	root, err := x509.ParseCertificate(v.Attestation.Certificate)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool
}

// A ceremonies has both ceremonies of a vector as a relying party sees them.
type ceremonies struct {
	registration        RegistrationResponse
	registrationOptions RegistrationOptions
	assertion           AuthenticationResponse
	assertionOptions    AssertionOptions
}

func (v *vector) ceremonies(t testing.TB, file *vectors) *ceremonies {
	t.Helper()
	expected := Ceremony{
		RPID:       file.RPID,
		Origins:    []string{file.Origin},
		TopOrigins: []string{file.TopOrigin},
	}
	expected.AllowCrossOrigin = strings.Contains(v.Name, "rossOrigin") || strings.Contains(v.Name, "topOrigin")
	c := &ceremonies{
		registration: RegistrationResponse{
			RawID:             v.Registration.CredentialID,
			ClientDataJSON:    v.Registration.ClientDataJSON,
			AttestationObject: v.Registration.AttestationObject,
		},
		registrationOptions: RegistrationOptions{
			Ceremony:         expected,
			PubKeyCredParams: []cose.Algorithm{v.CredentialAlg},
			TrustAnchors:     func(*Attestation) (*x509.CertPool, error) { return file.anchors(t), nil },
		},
		assertion: AuthenticationResponse{
			RawID:             v.Registration.CredentialID,
			ClientDataJSON:    v.Assertion.ClientDataJSON,
			AuthenticatorData: v.Assertion.AuthenticatorData,
			Signature:         v.Assertion.Signature,
		},
		assertionOptions: AssertionOptions{Ceremony: expected},
	}
	c.registrationOptions.Challenge = v.Registration.Challenge
	c.assertionOptions.Challenge = v.Assertion.Challenge
	return c
}

// withoutEd448 says which vector needs a package that this module does not import; the module difftest does.
func withoutEd448(v *vector) bool { return v.CredentialAlg == cose.Ed448 }

func TestVectorCeremonies(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := v.ceremonies(t, file)
			registered, err := VerifyRegistration(&c.registration, &c.registrationOptions)
			if withoutEd448(&v) {
				require.ErrorIs(t, err, StepAlgorithm)
				require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []byte(v.Registration.CredentialID), registered.Credential.ID)

			v, err := VerifyAssertion(&c.assertion, &registered.Credential, &c.assertionOptions)
			require.NoError(t, err)
			require.False(t, v.SignCountRegressed)
		})
	}
}

// Whoever changes one bit of what was signed is found out. The name of the format is not signed: with another one, the
// attestation is of an unknown format, and no more than that.
func TestVectorsRefuseFlippedBitsOfRegistrations(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	for _, v := range file.Vectors {
		if withoutEd448(&v) || v.Format == FormatNone {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := v.ceremonies(t, file)
			unknown := 0
			verify := func() error {
				registered, err := VerifyRegistration(&c.registration, &c.registrationOptions)
				if err == nil && registered.Attestation.Type == AttestationUnknown {
					unknown++
					return StepAttestation
				}
				return err
			}
			accepted := acceptedFlips(t, c.registration.AttestationObject, verify)
			require.Zero(t, acceptedFlips(t, c.registration.ClientDataJSON, verify))
			if raceEnabled {
				return
			}
			require.Equal(t, 8*len(v.Format), unknown)
			outside := 0
			if v.Format == FormatFIDOU2F { // signs neither AAGUID nor counter, nor the flags UV, BE and the reserved ones
				outside = 128 + 32 + 4
			}
			require.Equal(t, outside, accepted)
		})
	}
}

// What nobody signed of a registration without attestation is its AAGUID, UV and BS, and the client data's members that
// nobody asks for.
func TestVectorsAcceptFlippedBitsThatNobodySigns(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	for _, v := range file.Vectors {
		if v.Format != FormatNone {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := v.ceremonies(t, file)
			want, err := VerifyRegistration(&c.registration, &c.registrationOptions)
			require.NoError(t, err)
			acceptedFlips(t, c.registration.AttestationObject, func() error {
				got, err := VerifyRegistration(&c.registration, &c.registrationOptions)
				if err != nil {
					return err
				}
				if _, err := VerifyAssertion(&c.assertion, &got.Credential, &c.assertionOptions); err != nil {
					return err
				}
				require.Equal(t, want.Credential.ID, got.Credential.ID)
				require.Equal(t, want.Credential.PublicKey, got.Credential.PublicKey)
				require.Equal(t, want.Credential.BackupEligible, got.Credential.BackupEligible)
				return nil
			})
			acceptedFlips(t, c.registration.ClientDataJSON, func() error {
				got, err := VerifyRegistration(&c.registration, &c.registrationOptions)
				if err == nil {
					require.Equal(t, want.ClientData.Challenge, got.ClientData.Challenge)
					require.Equal(t, want.ClientData.Origin, got.ClientData.Origin)
				}
				return err
			})
		})
	}
}

func TestVectorsRefuseFlippedBitsOfAssertions(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	for _, v := range file.Vectors {
		if withoutEd448(&v) {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := v.ceremonies(t, file)
			registered, err := VerifyRegistration(&c.registration, &c.registrationOptions)
			require.NoError(t, err)
			for _, b := range [][]byte{c.assertion.AuthenticatorData, c.assertion.ClientDataJSON, c.assertion.Signature} {
				require.Zero(t, acceptedFlips(t, b, func() error {
					_, err := VerifyAssertion(&c.assertion, &registered.Credential, &c.assertionOptions)
					return err
				}))
			}
		})
	}
}

// acceptedFlips calls verify once for each bit of b, with that bit flipped, and returns how often it was fine. The race
// detector makes the mathematics slow, so with it one bit of each byte has to do.
func acceptedFlips(t *testing.T, b []byte, verify func() error) (accepted int) {
	t.Helper()
	require.NoError(t, verify())
	for i := range b {
		for bit := range 8 {
			if raceEnabled && bit != i%8 {
				continue
			}
			b[i] ^= 1 << bit
			if verify() == nil {
				accepted++
			}
			b[i] ^= 1 << bit
		}
	}
	require.NoError(t, verify())
	return accepted
}
