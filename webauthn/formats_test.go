package webauthn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

var authority = sync.OnceValues(attest.NewAuthority)

func testAuthority(t testing.TB) *attest.Authority {
	t.Helper()
	ca, err := authority()
	require.NoError(t, err)
	return ca
}

// testKeys are credential keys that the tests share: RSA keys take a while to make.
var testKeys = struct {
	mu   sync.Mutex
	keys map[cose.Algorithm]crypto.Signer
}{keys: make(map[cose.Algorithm]crypto.Signer)}

func testKey(t testing.TB, alg cose.Algorithm) crypto.Signer {
	t.Helper()
	testKeys.mu.Lock()
	defer testKeys.mu.Unlock()
	if testKeys.keys[alg] == nil {
		key, err := attest.NewKey(alg)
		require.NoError(t, err)
		testKeys.keys[alg] = key
	}
	return testKeys.keys[alg]
}

// fixedKey is the same in every process, so that what one of them signed is good in the workers of a fuzz test too.
func fixedKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	return key
}

var testAAGUID = ctap2.AAGUID{1, 2, 3}

// attested returns a registration with a credential of an algorithm.
func attested(t testing.TB, alg cose.Algorithm) *attest.Registration {
	t.Helper()
	return attestedKey(t, alg, testKey(t, alg))
}

func attestedKey(t testing.TB, alg cose.Algorithm, key crypto.Signer) *attest.Registration {
	t.Helper()
	public, err := cose.NewKey(alg, key.Public())
	require.NoError(t, err)
	d := AuthenticatorData{
		RPIDHash:   sha256.Sum256([]byte("example.org")),
		Flags:      ctap2.FlagUP | ctap2.FlagAT,
		Credential: &ctap2.AttestedCredential{AAGUID: testAAGUID, ID: []byte("credential"), PublicKey: public},
	}
	authData, err := d.Marshal()
	require.NoError(t, err)
	hash := ClientDataHash([]byte("{}"))
	return &attest.Registration{AuthData: authData, ClientDataHash: hash[:], Algorithm: alg, Key: key}
}

// object returns the attestation object of a registration in a format of [attest.Formats].
func object(t testing.TB, format string, r *attest.Registration) *AttestationObject {
	t.Helper()
	statement, err := testAuthority(t).Statement(format, r)
	require.NoError(t, err)
	return encode(t, format, r, statement)
}

func encode(t testing.TB, format string, r *attest.Registration, statement any) *AttestationObject {
	t.Helper()
	raw, err := ctapcbor.Marshal(statement)
	require.NoError(t, err)
	return &AttestationObject{Format: attest.Name(format), Statement: raw, AuthData: r.AuthData}
}

func anchors(t testing.TB) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(testAuthority(t).Root())
	return pool
}

func TestVerifyEveryFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format     string
		credential cose.Algorithm
		attester   cose.Algorithm
		want       AttestationType
	}{
		{"none", cose.ES256, 0, AttestationNone},
		{"self", cose.ES256, 0, AttestationSelf},
		{"self", cose.PS256, 0, AttestationSelf},
		{"packed", cose.ES256, cose.ES256, AttestationBasic},
		{"packed", cose.RS256, cose.ES384, AttestationBasic},
		{"packed", cose.EdDSA, cose.RS512, AttestationBasic},
		{"packed", cose.EdDSA, cose.PS256, AttestationBasic},
		{"packed", cose.ES512, cose.EdDSA, AttestationBasic},
		{"fido-u2f", cose.ES256, 0, AttestationBasic},
		{"tpm", cose.ES256, cose.ES256, AttestationAttCA},
		{"tpm", cose.ES384, cose.RS256, AttestationAttCA},
		{"tpm", cose.RS256, cose.RS256, AttestationAttCA},
		{"tpm", cose.RS256, cose.RS1, AttestationAttCA},
		{"android-key", cose.ES256, 0, AttestationBasic},
		{"android-key", cose.RS256, 0, AttestationBasic},
		{"apple", cose.ES256, 0, AttestationAnonCA},
		{"android-safetynet", cose.ES256, 0, AttestationBasic},
	} {
		t.Run(c.format+" "+c.credential.String()+" "+c.attester.String(), func(t *testing.T) {
			t.Parallel()
			r := attested(t, c.credential)
			r.Attester = c.attester
			o := object(t, c.format, r)
			a, err := o.Verify(r.ClientDataHash)
			require.NoError(t, err)
			require.Equal(t, c.want, a.Type)
			require.Equal(t, attest.Name(c.format), a.Format)
			if c.format == "fido-u2f" {
				require.Zero(t, a.AAGUID, "not signed")
			} else {
				require.Equal(t, testAAGUID, a.AAGUID)
			}
			if c.want == AttestationNone || c.want == AttestationSelf {
				require.Empty(t, a.TrustPath)
				require.ErrorContains(t, a.VerifyTrust(anchors(t), time.Time{}), "webauthn: trust: no certificates")
				return
			}
			require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
			require.Equal(t, testAuthority(t).Root().Raw, a.Chain[len(a.Chain)-1].Raw)
		})
	}
}

func TestVerifySaysWhatItDidNotCheck(t *testing.T) {
	t.Parallel()
	for format, want := range map[string][]Unchecked{
		"none":              nil,
		"self":              nil,
		"packed":            {UncheckedTrustAnchor, UncheckedRevocation},
		"fido-u2f":          {UncheckedTrustAnchor, UncheckedRevocation},
		"tpm":               {UncheckedTrustAnchor, UncheckedRevocation, UncheckedManufacturer},
		"android-key":       {UncheckedTrustAnchor, UncheckedRevocation},
		"apple":             {UncheckedTrustAnchor, UncheckedRevocation},
		"android-safetynet": {UncheckedTrustAnchor, UncheckedRevocation, UncheckedHardware, UncheckedTime},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			a, err := object(t, format, r).Verify(r.ClientDataHash)
			require.NoError(t, err)
			require.Equal(t, want, a.NotChecked)
			if want != nil {
				require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
				require.Equal(t, want[1:], a.NotChecked)
			}
		})
	}
}

// What is about another credential, other authenticator data or other client data is refused in every format that
// signs something.
func TestVerifyEveryFormatRefusesAnotherRegistration(t *testing.T) {
	t.Parallel()
	for _, format := range attest.Formats {
		if format == "none" {
			continue
		}
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			o := object(t, format, r)
			_, err := o.Verify(r.ClientDataHash)
			require.NoError(t, err)

			hash := ClientDataHash([]byte("[]"))
			_, err = o.Verify(hash[:])
			require.Error(t, err, "other client data")

			o.AuthData = bytes.Clone(o.AuthData)
			o.AuthData[0] ^= 1
			_, err = o.Verify(r.ClientDataHash)
			require.Error(t, err, "another RP ID")

			other := *r
			other.Key, err = attest.NewKey(cose.ES256)
			require.NoError(t, err)
			_, err = object(t, format, &other).Verify(r.ClientDataHash)
			if format == "packed" || format == "android-safetynet" {
				require.NoError(t, err, "here the maker's key says so, and not the credential's")
			} else {
				require.Error(t, err, "another credential key")
			}
		})
	}
}

// Each format refuses statements without one of its members, with one more, or with one of another type.
func TestVerifyEveryFormatRefusesOtherMembers(t *testing.T) {
	t.Parallel()
	for _, format := range attest.Formats {
		if format == "compound" {
			continue
		}
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			statement, err := testAuthority(t).Statement(format, r)
			require.NoError(t, err)
			good := statement.(members)
			verify := func(statement any) error {
				_, err := encode(t, format, r, statement).Verify(r.ClientDataHash)
				return err
			}
			require.NoError(t, verify(good))
			require.ErrorContains(t, verify(changed(good, members{"more": 1})), "unknown member more")
			for name := range good {
				require.Error(t, verify(changed(good, members{name: nil})), "%s missing", name)
				for _, value := range []any{ctapcbor.RawMessage{0xf6}, 1, "x", []byte{1}, []any{}, members{}} {
					if name == "ver" && format == "android-safetynet" && value == "x" {
						continue // any version is fine
					}
					require.Error(t, verify(changed(good, members{name: value})), "%s is %v", name, value)
				}
			}
			for _, value := range []any{nil, 1, "x", []byte{1}, []any{}, map[int]int{1: 1}} {
				require.Error(t, verify(value))
			}
		})
	}
}

func TestVerifyAppleRefusesNonces(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){
		"missing":          func(c *x509.Certificate) { c.ExtraExtensions = nil },
		"of another":       func(c *x509.Certificate) { c.ExtraExtensions[0].Value[6] ^= 1 },
		"with more behind": func(c *x509.Certificate) { c.ExtraExtensions[0].Value = append(c.ExtraExtensions[0].Value, 0) },
		"empty":            func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte{0x30, 4, 0xa1, 2, 4, 0} },
		"bare":             func(c *x509.Certificate) { c.ExtraExtensions[0].Value = c.ExtraExtensions[0].Value[4:] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = change
			_, err := object(t, "apple", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: apple: the certificate ")
		})
	}
}

func TestVerifyFIDOU2FRefuses(t *testing.T) {
	t.Parallel()
	t.Run("two certificates", func(t *testing.T) {
		t.Parallel()
		r := attested(t, cose.ES256)
		statement, err := testAuthority(t).Statement("fido-u2f", r)
		require.NoError(t, err)
		m := statement.(members)
		m["x5c"] = append(m["x5c"].([]any), m["x5c"].([]any)...)
		_, err = encode(t, "fido-u2f", r, m).Verify(r.ClientDataHash)
		require.ErrorContains(t, err, "2 certificates, want 1")
	})
	for _, alg := range []cose.Algorithm{cose.ES384, cose.ESP256} {
		t.Run("a credential for "+alg.String(), func(t *testing.T) {
			t.Parallel()
			r := attested(t, alg)
			_, err := object(t, "fido-u2f", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "the credential's key is for "+alg.String()+", want ES256")
		})
	}
	t.Run("a certificate on another curve", func(t *testing.T) {
		t.Parallel()
		r := attested(t, cose.ES256)
		r.Attester = cose.ES384
		statement, err := testAuthority(t).Statement("packed", r)
		require.NoError(t, err)
		m := statement.(members)
		x5c := m["x5c"].([]any)[:1]
		_, err = encode(t, "fido-u2f", r, members{"sig": m["sig"], "x5c": x5c}).Verify(r.ClientDataHash)
		require.ErrorContains(t, err, "ES256 does not take this")
	})
}

func TestVerifyRefusesRS1OutsideOfTPMs(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	r.Attester = cose.RS1
	_, err := object(t, "packed", r).Verify(r.ClientDataHash)
	require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm)
	require.ErrorContains(t, err, "RS1 outside of TPMs")
}
