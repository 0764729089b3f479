package webauthn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"slices"
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
		"subject":             {func(c *x509.Certificate) { c.Subject.CommonName = "TPM" }, "subject CN=TPM is not empty"},
		"no key usage":        {func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }, "attestation identity key"},
		"another key usage":   {func(c *x509.Certificate) { c.UnknownExtKeyUsage[0][4] = 1 }, "attestation identity key"},
		"a CA":                {func(c *x509.Certificate) { c.IsCA = true }, "it is for a CA"},
		"no constraints":      {func(c *x509.Certificate) { c.BasicConstraintsValid = false }, "no basic constraints"},
		"no name":             {func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[1:] }, "not a list of names"},
		"a DNS name":          {func(c *x509.Certificate) { c.ExtraExtensions, c.DNSNames = nil, []string{"a"} }, "no directory name"},
		"no manufacturer":     {name("", "model", "id:1"), `TPM manufacturer ""`},
		"manufacturer's name": {name("INTC", "model", "id:1"), `TPM manufacturer "INTC"`},
		"long manufacturer":   {name("id:494E544300", "model", "id:1"), "TPM manufacturer"},
		"no model":            {name("id:494E5443", "", "id:1"), "no TPM model"},
		"no version":          {name("id:494E5443", "model", ""), "no TPM version"},
		"another AAGUID": {func(c *x509.Certificate) {
			c.ExtraExtensions[1] = attest.AAGUIDExtension(ctap2.AAGUID{9})
		}, "AAGUID"},
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

func TestVerifyAndroidKeyDescriptions(t *testing.T) {
	t.Parallel()
	none := attest.AuthorizationList{}
	sign := attest.AuthorizationList{Purpose: []int{2}}
	forAll := asn1.RawValue{FullBytes: []byte{0xbf, 0x84, 0x58, 0x02, 0x05, 0x00}} // [600] EXPLICIT NULL
	for name, c := range map[string]struct {
		software, hardware attest.AuthorizationList
		want               string // "" is accepted, "?" with UncheckedHardware
	}{
		"by hardware":              {none, sign, ""},
		"by both":                  {sign, sign, ""},
		"for two purposes":         {none, attest.AuthorizationList{Purpose: []int{2, 3}}, ""},
		"by software":              {sign, none, "?"},
		"by nobody":                {none, none, "?"},
		"not for signing":          {none, attest.AuthorizationList{Purpose: []int{0, 1}}, "not for signing"},
		"imported":                 {none, attest.AuthorizationList{Purpose: []int{2}, Origin: 2}, "not generated"},
		"imported, says software":  {attest.AuthorizationList{Purpose: []int{2}, Origin: 2}, sign, "not generated"},
		"for all applications":     {none, attest.AuthorizationList{Purpose: []int{2}, AllApplications: forAll}, "all applications"},
		"for all, says software":   {attest.AuthorizationList{AllApplications: forAll}, sign, "all applications"},
		"for all, says an old one": {none, attest.AuthorizationList{AllApplications: forAll}, "all applications"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = func(cert *x509.Certificate) {
				extension, err := attest.KeyDescription(r.ClientDataHash, c.software, c.hardware)
				require.NoError(t, err)
				cert.ExtraExtensions = []pkix.Extension{extension}
			}
			a, err := object(t, "android-key", r).Verify(r.ClientDataHash)
			if c.want == "" || c.want == "?" {
				require.NoError(t, err)
				require.Equal(t, c.want == "?", slices.Contains(a.NotChecked, UncheckedHardware))
				return
			}
			require.ErrorContains(t, err, "webauthn: attestation: android-key: attestation certificate: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifyAndroidKeyRefusesDescriptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(value []byte) []byte
		want   string
	}{
		"of another client data":   {func(b []byte) []byte { b[21] ^= 1; return b }, "another client data hash"},
		"with more behind":         {func(b []byte) []byte { return append(b, 0) }, "no description"},
		"that are empty":           {func([]byte) []byte { return []byte{0x30, 0} }, "no description"},
		"with a list that is none": {func(b []byte) []byte { b[len(b)-16] = 0x31; return b }, "not a sequence"},
		"with a bare field":        {func(b []byte) []byte { b[len(b)-14] = 0x21; return b }, "without a tag"},
		"with half a field":        {func(b []byte) []byte { b[len(b)-13] = 0x70; return b }, "authorization list: "},
		"with a wrong purpose":     {func(b []byte) []byte { b[len(b)-10] = 0x30; return b }, "field 1: "},
		"with a wrong origin":      {func(b []byte) []byte { b[len(b)-3] = 0x04; return b }, "field 702: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = func(cert *x509.Certificate) {
				cert.ExtraExtensions[0].Value = c.change(cert.ExtraExtensions[0].Value)
			}
			_, err := object(t, "android-key", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("that are missing", func(t *testing.T) {
		t.Parallel()
		r := attested(t, cose.ES256)
		r.Leaf = func(cert *x509.Certificate) { cert.ExtraExtensions = nil }
		_, err := object(t, "android-key", r).Verify(r.ClientDataHash)
		require.ErrorContains(t, err, "no description")
	})
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

func TestVerifySafetyNetRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload func(map[string]any)
		leaf    func(*x509.Certificate)
		want    string
	}{
		"another nonce":       {payload: func(p map[string]any) { p["nonce"] = "AAAA" }, want: "another authenticator data"},
		"no nonce":            {payload: func(p map[string]any) { delete(p, "nonce") }, want: "another authenticator data"},
		"another device":      {payload: func(p map[string]any) { p["ctsProfileMatch"] = false }, want: "certified"},
		"no word of a device": {payload: func(p map[string]any) { delete(p, "ctsProfileMatch") }, want: "certified"},
		"another type":        {payload: func(p map[string]any) { p["ctsProfileMatch"] = 1 }, want: "payload: "},
		"another host":        {leaf: func(c *x509.Certificate) { c.DNSNames[0] = "example.org" }, want: "attest.android.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Payload, r.Leaf = c.payload, c.leaf
			_, err := object(t, "android-safetynet", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: android-safetynet: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifySafetyNetRefusesJWS(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	statement, err := testAuthority(t).Statement("android-safetynet", r)
	require.NoError(t, err)
	parts := bytes.Split(statement.(members)["response"].([]byte), []byte("."))
	header, err := base64.RawURLEncoding.DecodeString(string(parts[0]))
	require.NoError(t, err)
	withHeader := func(name string, value any) []byte {
		var h map[string]any
		require.NoError(t, json.Unmarshal(header, &h))
		h[name] = value
		b, err := json.Marshal(h)
		require.NoError(t, err)
		return []byte(base64.RawURLEncoding.EncodeToString(b))
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, []byte(".")) }
	for name, c := range map[string]struct {
		response []byte
		want     string
	}{
		"empty":               {nil, "response: not a JWS"},
		"two parts":           {join(parts[:2]...), "response: not a JWS"},
		"four parts":          {join(append(parts, nil)...), "response: not a JWS"},
		"no algorithm":        {join(withHeader("alg", "none"), parts[1], parts[2]), `signed with "none"`},
		"a shared secret":     {join(withHeader("alg", "HS256"), parts[1], parts[2]), `signed with "HS256"`},
		"no certificates":     {join(withHeader("x5c", nil), parts[1], parts[2]), "no certificate"},
		"certificates no DER": {join(withHeader("x5c", []string{"AAAA"}), parts[1], parts[2]), "response: x5c: x509: "},
		"another header":      {join(withHeader("kid", "1"), parts[1], parts[2]), "signature does not verify"},
		"header no base64":    {join([]byte("="), parts[1], parts[2]), "response: header: "},
		"header no JSON":      {join([]byte("AAAA"), parts[1], parts[2]), "response: header: "},
		"payload no JSON":     {join(parts[0], []byte("AAAA"), parts[2]), "response: payload: "},
		"no signature":        {join(parts[0], parts[1], nil), "signature does not verify"},
		"signature no base64": {join(parts[0], parts[1], []byte("=")), "response: signature: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoiled := changed(statement.(members), members{"response": c.response})
			if c.response == nil {
				spoiled["response"] = []byte{}
			}
			_, err := encode(t, "android-safetynet", r, spoiled).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, c.want)
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

func TestVerifyCompound(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	r.Parts = []string{"packed", "fido-u2f", "tpm", "android-key", "apple", "android-safetynet", "self", "none"}
	a, err := object(t, "compound", r).Verify(r.ClientDataHash)
	require.NoError(t, err)
	require.Equal(t, AttestationCompound, a.Type)
	require.Zero(t, a.AAGUID)
	require.Empty(t, a.TrustPath)
	var types []AttestationType
	for _, part := range a.Parts {
		types = append(types, part.Type)
		require.NotEqual(t, FormatCompound, part.Format)
	}
	require.Equal(t, []AttestationType{
		AttestationBasic, AttestationBasic, AttestationAttCA, AttestationBasic, AttestationAnonCA, AttestationBasic,
		AttestationSelf, AttestationNone,
	}, types)

	require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
	for _, part := range a.Parts[:6] {
		require.NotEmpty(t, part.Chain)
	}
}

func TestVerifyCompoundRefuses(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	r.Parts = []string{"packed", "self"}
	statement, err := testAuthority(t).Statement("compound", r)
	require.NoError(t, err)
	good := statement.([]any)
	packed := good[0].(members)
	spoiled := changed(packed["attStmt"].(members), members{"sig": []byte{1}})
	for name, c := range map[string]struct {
		statement any
		want      string
	}{
		"one part":                 {good[:1], "1 parts, want 2 to 8"},
		"no part":                  {[]any{}, "0 parts, want 2 to 8"},
		"nine parts":               {slices.Repeat(good[:1], 9), "9 parts, want 2 to 8"},
		"a map":                    {packed, "want a []interface {}"},
		"null":                     {nil, "want a []interface {}"},
		"a part that is wrong":     {[]any{packed, changed(packed, members{"attStmt": spoiled})}, "part 1: packed: "},
		"a part with more":         {[]any{changed(packed, members{"x": 1}), packed}, "part 0: the members are not"},
		"a part without statement": {[]any{changed(packed, members{"attStmt": nil}), packed}, "part 0: the members are not"},
		"a part without format":    {[]any{members{"x": "packed", "attStmt": packed["attStmt"]}, packed}, "part 0: fmt: "},
		"a part that is none":      {[]any{1, packed}, "part 0: "},
		"a part that is null":      {[]any{nil, packed}, "part 0: "},
		"a compound part": {
			[]any{packed, members{"fmt": "compound", "attStmt": good}}, "part 1: a compound statement within another",
		},
		"only unknown parts": {
			slices.Repeat([]any{members{"fmt": "x", "attStmt": members{}}}, 2), "unsupported attestation statement format",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := encode(t, "compound", r, c.statement).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: compound: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifyCompoundKeepsUnknownParts(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	statement, err := testAuthority(t).Statement("compound", r)
	require.NoError(t, err)
	parts := append(statement.([]any), members{"fmt": "x", "attStmt": members{"a": 1}})
	a, err := encode(t, "compound", r, parts).Verify(r.ClientDataHash)
	require.NoError(t, err)
	require.Equal(t, &Attestation{
		Format:     "x",
		Type:       AttestationUnknown,
		AAGUID:     testAAGUID,
		Statement:  ctapcbor.RawMessage{0xa1, 0x61, 'a', 0x01},
		NotChecked: []Unchecked{UncheckedStatement},
	}, a.Parts[2])
	require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
}

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

// fuzzStatement checks that whatever is accepted makes sense, and that the same statement is refused for other client
// data, unless it stands on nothing.
func fuzzStatement(t *testing.T, r *attest.Registration, format string, raw []byte) {
	t.Helper()
	o := &AttestationObject{Format: attest.Name(format), Statement: raw, AuthData: r.AuthData}
	a, err := o.Verify(r.ClientDataHash)
	if err != nil {
		require.Nil(t, a)
		return
	}
	require.Equal(t, a.hasCertificates(), slices.Contains(uncheckedOf(a), UncheckedTrustAnchor))
	if a.Type == AttestationNone || a.Type == AttestationCompound {
		return
	}
	other := ClientDataHash([]byte("[]"))
	_, err = o.Verify(other[:])
	require.Error(t, err)
}

func uncheckedOf(a *Attestation) []Unchecked {
	all := slices.Clone(a.NotChecked)
	for _, part := range a.Parts {
		all = append(all, uncheckedOf(part)...)
	}
	return all
}

func fuzzFormat(f *testing.F, format string) {
	r := attestedKey(f, cose.ES256, fixedKey(f))
	f.Add([]byte(object(f, format, r).Statement))
	f.Fuzz(func(t *testing.T, raw []byte) { fuzzStatement(t, r, format, raw) })
}

func FuzzVerifyPacked(f *testing.F)     { fuzzFormat(f, "packed") }
func FuzzVerifyFIDOU2F(f *testing.F)    { fuzzFormat(f, "fido-u2f") }
func FuzzVerifyTPM(f *testing.F)        { fuzzFormat(f, "tpm") }
func FuzzVerifyAndroidKey(f *testing.F) { fuzzFormat(f, "android-key") }
func FuzzVerifyApple(f *testing.F)      { fuzzFormat(f, "apple") }
func FuzzVerifySafetyNet(f *testing.F)  { fuzzFormat(f, "android-safetynet") }
func FuzzVerifyCompound(f *testing.F)   { fuzzFormat(f, "compound") }

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

// FuzzKeyDescription reaches behind the signatures.
func FuzzKeyDescription(f *testing.F) {
	hash := ClientDataHash([]byte("{}"))
	extension, err := attest.KeyDescription(hash[:], attest.AuthorizationList{}, attest.AuthorizationList{Purpose: []int{2}})
	require.NoError(f, err)
	f.Add(extension.Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidKeyDescription, Value: value}}}
		if _, err := checkKeyDescription(cert, hash[:]); err == nil {
			require.True(t, bytes.Contains(value, hash[:]))
		}
	})
}
