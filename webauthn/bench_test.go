package webauthn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// BenchmarkVerifyAssertion compares all the checks with the mathematics alone.
func BenchmarkVerifyAssertion(b *testing.B) {
	r, record, o := newTestKeyfob(b, TypeGet).authenticate(b), testRecord(b), assertionOptions()
	b.Run("VerifyAssertion", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := VerifyAssertion(r, record, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		hash := ClientDataHash(r.ClientDataJSON)
		digest := sha256.Sum256(append(bytes.Clone(r.AuthenticatorData), hash[:]...))
		pub := record.PublicKey.Public.(*ecdsa.PublicKey)
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(pub, digest[:], r.Signature) {
				b.Fatal("does not verify")
			}
		}
	})
}

// What a hostile response can cost: as many and as large certificates as it may have, and CBOR that is deep or wide.
func BenchmarkVerifyHostileRegistrations(b *testing.B) {
	ca := testAuthority(b)
	r := attested(b, cose.ES256)
	statement, err := ca.Statement("packed", r)
	require.NoError(b, err)
	m := statement.(members)
	x5c := m["x5c"].([]any)
	long := append(x5c[:1:1], bigCertificates(b, 15, 7000)...)
	verify := func(statement any) func(b *testing.B) {
		o := encode(b, "packed", r, statement)
		return func(b *testing.B) {
			b.ReportMetric(float64(len(o.Statement)), "bytes")
			for b.Loop() {
				if a, err := o.Verify(r.ClientDataHash); err == nil {
					_ = a.VerifyTrust(anchors(b), time.Time{})
				}
			}
		}
	}
	b.Run("100 kB of certificates", verify(changed(m, members{"x5c": long})))
	b.Run("a leaf with 8192 bits", verify(members{
		"alg": cose.RS256, "sig": append([]byte{0, 1}, make([]byte, 1022)...), "x5c": []any{certificateOfBits(b, 8192)},
	}))
	b.Run("deep CBOR", verify(ctapcbor.RawMessage(append(bytes.Repeat([]byte{0x81}, 6), 0x01))))
	wide := append([]byte{0xb9, 0xc3, 0x50}, bytes.Repeat([]byte{0x19}, 3)...) // a map that promises 50,000 members
	b.Run("CBOR that promises much", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseAttestationObject(wide); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	deep := append(bytes.Repeat([]byte{0x81}, 100_000), 0x01)
	b.Run("100,000 levels of CBOR", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseAttestationObject(deep); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

// bigCertificates returns certificates that, as far as names go, may have issued the leaf and each other.
func bigCertificates(t testing.TB, n, size int) []any {
	t.Helper()
	var certs []any
	for range n {
		key := newKey(t)
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(1),
			Subject:               pkix.Name{CommonName: "keyfob test authority: Intermediate"},
			NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
			IsCA:                  true,
			BasicConstraintsValid: true,
			ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, size)}},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		certs = append(certs, any(der))
	}
	return certs
}
