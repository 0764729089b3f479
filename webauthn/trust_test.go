package webauthn

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/attest"
)

func TestVerifyTrustRefuses(t *testing.T) {
	t.Parallel()
	verified := func(t *testing.T, format string, leaf func(*x509.Certificate)) *Attestation {
		r := attested(t, cose.ES256)
		r.Leaf = leaf
		a, err := object(t, format, r).Verify(r.ClientDataHash)
		require.NoError(t, err)
		return a
	}
	other, err := attest.NewAuthority()
	require.NoError(t, err)
	others := x509.NewCertPool()
	others.AddCert(other.Root())
	for _, format := range attest.Formats {
		if format == "none" || format == "self" {
			continue
		}
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			a := verified(t, format, nil)
			require.ErrorContains(t, a.VerifyTrust(nil, time.Time{}), "webauthn: trust: no anchors")
			require.ErrorContains(t, a.VerifyTrust(x509.NewCertPool(), time.Time{}), "unknown authority")
			require.ErrorContains(t, a.VerifyTrust(others, time.Time{}), "unknown authority")
			long := time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC)
			require.ErrorContains(t, a.VerifyTrust(anchors(t), long), "expired")
			require.Empty(t, a.Chain)
			require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
		})
	}
	t.Run("a critical extension", func(t *testing.T) {
		t.Parallel()
		unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
		for _, format := range []string{"packed", "tpm"} {
			a := verified(t, format, func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, unknown) })
			require.ErrorContains(t, a.VerifyTrust(anchors(t), time.Time{}), "unhandled critical extension", format)
		}
	})
	t.Run("the name of a TPM elsewhere", func(t *testing.T) {
		t.Parallel()
		name, err := attest.TPMNameExtension("id:494E5443", "model", "id:1")
		require.NoError(t, err)
		a := verified(t, "packed", func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, name) })
		require.ErrorContains(t, a.VerifyTrust(anchors(t), time.Time{}), "unhandled critical extension")
	})
	t.Run("a compound statement without certificates", func(t *testing.T) {
		t.Parallel()
		a := &Attestation{Type: AttestationCompound, Parts: []*Attestation{{Type: AttestationSelf}, {Type: AttestationNone}}}
		require.ErrorContains(t, a.VerifyTrust(anchors(t), time.Time{}), "no certificates in any part")
	})
}

func TestVerifyTrustTakesTheLeafAsAnchor(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	a, err := object(t, "packed", r).Verify(r.ClientDataHash)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.TrustPath[0])
	require.NoError(t, a.VerifyTrust(pool, time.Time{}))
	require.Len(t, a.Chain, 1)
}

// A chain of 100 kB or a key that takes seconds must not hold up a server.
func TestVerifyBoundsCertificates(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	statement, err := testAuthority(t).Statement("packed", r)
	require.NoError(t, err)
	m := statement.(members)
	x5c := m["x5c"].([]any)
	m["x5c"] = append(slices.Clone(x5c), slices.Repeat(x5c[1:], 14)...)
	_, err = encode(t, "packed", r, m).Verify(r.ClientDataHash)
	require.NoError(t, err)
	m["x5c"] = append(slices.Clone(x5c), slices.Repeat(x5c[1:], 15)...)
	_, err = encode(t, "packed", r, m).Verify(r.ClientDataHash)
	require.ErrorContains(t, err, "17 certificates, want at most 16")

	m["x5c"] = append(slices.Clone(x5c), any(certificateOfBits(t, 8192)))
	_, err = encode(t, "packed", r, m).Verify(r.ClientDataHash)
	require.NoError(t, err)
	m["x5c"] = append(slices.Clone(x5c), any(certificateOfBits(t, 8193)))
	_, err = encode(t, "packed", r, m).Verify(r.ClientDataHash)
	require.ErrorContains(t, err, "certificate with an RSA key of 8193 bits, want at most 8192")
}

// certificateOfBits returns a certificate for an RSA key that nobody has.
func certificateOfBits(t testing.TB, bits int) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	pub := &rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 1<<31 - 1}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, testKey(t, cose.ES256))
	require.NoError(t, err)
	return der
}
