package webauthn

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
)

func TestVerifyTPMRefuses(t *testing.T) {
	t.Parallel()
	set := func(at int, value ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return append(append(bytes.Clone(b[:at]), value...), b[at+len(value):]...) }
	}
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	extend := func(b []byte) []byte { return append(b, 0) }
	for name, c := range map[string]struct {
		certInfo, pubArea func([]byte) []byte
		want              string
	}{
		"certInfo that no TPM made":        {certInfo: set(0, 0), want: "magic"},
		"certInfo of another kind":         {certInfo: set(4, 0x80, 0x18), want: "type 0x8018 is not that"},
		"certInfo for other data":          {certInfo: set(50, 0xff, 0xff), want: "another authenticator data"},
		"certInfo about another key":       {certInfo: set(115, 0xff, 0xff, 0xff), want: "another pubArea"},
		"certInfo truncated":               {certInfo: cut, want: "certInfo: truncated"},
		"certInfo with more":               {certInfo: extend, want: "certInfo: 1 bytes too many"},
		"certInfo with nothing":            {certInfo: func([]byte) []byte { return []byte{} }, want: "magic"},
		"pubArea with another point":       {pubArea: set(30, 0xff, 0xff), want: "pubArea: "},
		"pubArea of another type":          {pubArea: set(0, 0, 8), want: "type 0x8 is neither"},
		"pubArea with another name":        {pubArea: set(2, 0, 0x12), want: "name algorithm 0x12 is not known"},
		"pubArea named by SHA-384":         {pubArea: set(2, 0, 0x0c), want: "another pubArea"},
		"pubArea on another curve":         {pubArea: set(14, 0, 0x10), want: "curve 0x10 is not known"},
		"pubArea on a longer curve":        {pubArea: set(14, 0, 4), want: "pubArea: "},
		"pubArea of a key that decrypts":   {pubArea: set(10, 0, 6), want: "cipher 0x6 does not sign"},
		"pubArea truncated":                {pubArea: cut, want: "pubArea: "},
		"pubArea with more":                {pubArea: extend, want: "pubArea: 1 bytes too many"},
		"pubArea with nothing":             {pubArea: func([]byte) []byte { return []byte{} }, want: "pubArea: "},
		"pubArea with a coordinate to big": {pubArea: set(18, 0, 33), want: "pubArea: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.CertInfo, r.PubArea = c.certInfo, c.pubArea
			_, err := object(t, "tpm", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: tpm: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifyTPMRSAParametersAreTheKey(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.RS256)
	pub := r.Key.Public().(*rsa.PublicKey)
	require.Equal(t, 65537, pub.E)
	for name, c := range map[string]struct {
		at    int
		value []byte
		want  string
	}{
		"the same exponent spelled out": {16, []byte{0, 1, 0, 1}, ""},
		"another exponent":              {16, []byte{0, 0, 0, 3}, "another key"},
		"an exponent over 31 bits":      {16, []byte{0xff, 0, 0, 3}, "RSA key of 2048 bits"},
		"other bits":                    {14, []byte{4, 0}, "RSA key of 2048 bits"},
		"a scheme with a hash":          {12, []byte{0, 0x14}, "pubArea: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := *r
			r.Attester = cose.RS256
			r.PubArea = func(b []byte) []byte { copy(b[c.at:], c.value); return b }
			_, err := object(t, "tpm", &r).Verify(r.ClientDataHash)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
	t.Run("a scheme", func(t *testing.T) {
		t.Parallel()
		r := *r
		r.PubArea = func(b []byte) []byte { return slices.Concat(b[:12], []byte{0, 0x14, 0, 0x0b}, b[14:]) }
		_, err := object(t, "tpm", &r).Verify(r.ClientDataHash)
		require.NoError(t, err)
	})
}

// A TPM leaves out zeros at the front of a coordinate, or not.
func TestVerifyTPMTakesShortCoordinates(t *testing.T) {
	t.Parallel()
	r := tpmReader{rest: slices.Concat(
		[]byte{0, 0x10, 0, 0x10, 0, 3, 0, 0x10}, []byte{0, 1, 5}, []byte{0, 32}, make([]byte, 32),
	)}
	_, err := r.ecc()
	require.Error(t, err, "(5, 0) is not on P-256")
	require.NoError(t, r.end())

	base := []byte{0, 0x10, 0, 0x1a, 0, 0xb, 0, 1, 0, 3, 0, 0x14, 0, 0xb} // ECDAA with a count, kdf with a hash
	x := []byte{0, 32}
	x = append(x, make([]byte, 32)...)
	// x = 0 has the point (0, sqrt(b)) on P-256.
	p, _ := new(big.Int).SetString("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16)
	b, _ := new(big.Int).SetString("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16)
	y := new(big.Int).ModSqrt(b, p).Bytes()
	y = append(binary.BigEndian.AppendUint16(nil, uint16(len(y))), y...)
	long := tpmReader{rest: slices.Concat(base, x, y)}
	want, err := long.ecc()
	require.NoError(t, err)
	short := tpmReader{rest: slices.Concat(base, []byte{0, 0}, y)}
	got, err := short.ecc()
	require.NoError(t, err)
	require.True(t, want.Equal(got))
}

func TestVerifyTPMRefusesCertificates(t *testing.T) {
	t.Parallel()
	name := func(manufacturer, model, version string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			extension, err := attest.TPMNameExtension(manufacturer, model, version)
			require.NoError(t, err)
			c.ExtraExtensions[0] = extension
		}
	}
	for what, c := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"subject":           {func(c *x509.Certificate) { c.Subject.CommonName = "TPM" }, "subject CN=TPM is not empty"},
		"no key usage":      {func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }, "attestation identity key"},
		"another key usage": {func(c *x509.Certificate) { c.UnknownExtKeyUsage[0][4] = 1 }, "attestation identity key"},
		"a CA":              {func(c *x509.Certificate) { c.IsCA = true }, "it is for a CA"},
		"no constraints":    {func(c *x509.Certificate) { c.BasicConstraintsValid = false }, "no basic constraints"},
		"no name": {func(c *x509.Certificate) {
			c.ExtraExtensions = c.ExtraExtensions[1:]
		}, "not a list of names"},
		"a DNS name": {func(c *x509.Certificate) {
			c.ExtraExtensions, c.DNSNames = nil, []string{"a"}
		}, "no directory name"},
		"no manufacturer":     {name("", "model", "id:1"), `TPM manufacturer ""`},
		"manufacturer's name": {name("INTC", "model", "id:1"), `TPM manufacturer "INTC"`},
		"long manufacturer":   {name("id:494E544300", "model", "id:1"), "TPM manufacturer"},
		"no model":            {name("id:494E5443", "", "id:1"), "no TPM model"},
		"no version":          {name("id:494E5443", "model", ""), "no TPM version"},
		"another AAGUID": {func(c *x509.Certificate) {
			c.ExtraExtensions[1] = attest.AAGUIDExtension(ctap2.AAGUID{9})
		}, "AAGUID"},
		"more behind the names": {func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = append(c.ExtraExtensions[0].Value, 5, 0)
		}, "not a list of names"},
		"something for a name": {func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = []byte{0x30, 0x04, 0xa4, 0x02, 0x30, 0x05}
		}, "not a directory name"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = c.change
			_, err := object(t, "tpm", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: tpm: attestation certificate: ")
			require.ErrorContains(t, err, c.want)
		})
	}
	cert := &x509.Certificate{Version: 1}
	require.ErrorContains(t, checkTPMCertificate(cert, testAAGUID), "version 1, want 3")
}

// FuzzParseTPM reaches behind the signatures.
func FuzzParseTPM(f *testing.F) {
	for _, alg := range []cose.Algorithm{cose.ES256, cose.RS256} {
		r := attested(f, alg)
		statement, err := testAuthority(f).Statement("tpm", r)
		require.NoError(f, err)
		f.Add(statement.(members)["pubArea"].([]byte))
		f.Add(statement.(members)["certInfo"].([]byte))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if public, err := parseTPMPublic(b); err == nil {
			require.NotNil(t, public.key)
			require.Greater(t, len(public.name), 2)
		}
		if info, err := parseTPMCertifyInfo(b); err == nil {
			require.LessOrEqual(t, len(info.name)+len(info.extraData), len(b))
		}
	})
}
