package webauthn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"maps"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/internal/seeds"
)

// A registration is one that a test can spoil before it is signed.
type registration struct {
	credential *ecdsa.PrivateKey
	authData   *AuthenticatorData
	clientHash [32]byte

	attester *ecdsa.PrivateKey // signs packed statements; its certificate is made from cert
	cert     *x509.Certificate
}

func newRegistration(t testing.TB) *registration {
	t.Helper()
	r := &registration{credential: newKey(t), attester: newKey(t), clientHash: ClientDataHash([]byte("{}"))}
	aaguid := ctap2.AAGUID{1, 2, 3}
	key, err := cose.NewKey(cose.ES256, r.credential.Public())
	require.NoError(t, err)
	r.authData = &AuthenticatorData{
		Flags:      ctap2.FlagUP | ctap2.FlagAT,
		Credential: &ctap2.AttestedCredential{AAGUID: aaguid, ID: []byte("id"), PublicKey: key},
	}
	r.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject: pkix.Name{
			Country:            []string{"SE"},
			Organization:       []string{"Keys"},
			OrganizationalUnit: []string{"Authenticator Attestation"},
			CommonName:         "Key 1",
		},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{aaguidExtension(t, aaguid[:])},
	}
	return r
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func aaguidExtension(t testing.TB, aaguid []byte) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(aaguid)
	require.NoError(t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: value}
}

func (r *registration) certificate(t testing.TB) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, r.cert, r.cert, r.attester.Public(), r.attester)
	require.NoError(t, err)
	return der
}

// message returns the encoded authenticator data, and it with the client data hash behind it.
func (r *registration) message(t testing.TB) (authData, message []byte) {
	t.Helper()
	authData, err := r.authData.Marshal()
	require.NoError(t, err)
	return authData, append(bytes.Clone(authData), r.clientHash[:]...)
}

func signES256(t testing.TB, key crypto.Signer, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	return sig
}

type members = map[string]any

// self returns a statement signed by the credential's own key, basic one by the certificate's.
func (r *registration) self(t testing.TB) members {
	t.Helper()
	_, message := r.message(t)
	return members{"alg": cose.ES256, "sig": signES256(t, r.credential, message)}
}

func (r *registration) basic(t testing.TB) members {
	t.Helper()
	_, message := r.message(t)
	return members{"alg": cose.ES256, "sig": signES256(t, r.attester, message), "x5c": []any{r.certificate(t)}}
}

// verify encodes the attestation object and has it verified, as a relying party does.
func (r *registration) verify(t testing.TB, format string, statement any) (*Attestation, error) {
	t.Helper()
	authData, _ := r.message(t)
	encoded, err := ctapcbor.Marshal(statement)
	require.NoError(t, err)
	b, err := (&AttestationObject{Format: format, Statement: encoded, AuthData: authData}).Marshal()
	require.NoError(t, err)
	o, err := ParseAttestationObject(b)
	require.NoError(t, err)
	return o.Verify(r.clientHash[:])
}

func TestVerifyNone(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	a, err := r.verify(t, FormatNone, members{})
	require.NoError(t, err)
	require.Equal(t, &Attestation{Format: FormatNone, Type: AttestationNone, AAGUID: ctap2.AAGUID{1, 2, 3}}, a)

	for name, statement := range map[string]any{
		"not empty": members{"alg": -7},
		"null":      nil,
		"an array":  []int{},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			a, err := r.verify(t, FormatNone, statement)
			require.ErrorContains(t, err, "webauthn: attestation: ")
			require.Nil(t, a)
		})
	}
}

func TestVerifyPackedSelf(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	a, err := r.verify(t, FormatPacked, r.self(t))
	require.NoError(t, err)
	require.Equal(t, &Attestation{Format: FormatPacked, Type: AttestationSelf, AAGUID: ctap2.AAGUID{1, 2, 3}}, a)
}

func TestVerifyPackedSelfRefuses(t *testing.T) {
	t.Parallel()
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		r := newRegistration(t)
		_, message := r.message(t)
		_, err := r.verify(t, FormatPacked, members{"alg": -7, "sig": signES256(t, newKey(t), message)})
		require.ErrorIs(t, err, cose.ErrVerification)
	})
	t.Run("a key of an unknown algorithm", func(t *testing.T) {
		t.Parallel()
		r := newRegistration(t)
		r.authData.Credential.PublicKey = nil
		r.authData.Credential.RawPublicKey = []byte{0xa2, 0x01, 0x07, 0x03, 0x38, 0x2f}
		_, err := r.verify(t, FormatPacked, r.self(t))
		require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm)
	})
	t.Run("an algorithm other than the credential's", func(t *testing.T) {
		t.Parallel()
		r := newRegistration(t)
		_, err := r.verify(t, FormatPacked, changed(r.self(t), members{"alg": cose.ES384}))
		require.ErrorContains(t, err, "self attestation with ES384 by a key for ES256")
	})
}

func TestVerifyPackedBasic(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	other := newRegistration(t)
	statement := r.basic(t)
	statement["x5c"] = append(statement["x5c"].([]any), other.certificate(t))

	a, err := r.verify(t, FormatPacked, statement)
	require.NoError(t, err)
	require.Equal(t, AttestationBasic, a.Type)
	require.Equal(t, ctap2.AAGUID{1, 2, 3}, a.AAGUID)
	require.Len(t, a.TrustPath, 2)
	require.True(t, r.attester.PublicKey.Equal(a.TrustPath[0].PublicKey), "leaf first")
	require.True(t, other.attester.PublicKey.Equal(a.TrustPath[1].PublicKey))
}

func TestVerifyPackedBasicAcceptsCertificates(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){
		"without AAGUID": func(c *x509.Certificate) { c.ExtraExtensions = nil },
		"of a company's own keys": func(c *x509.Certificate) {
			serial := pkix.Extension{Id: oidSerialNumber, Value: []byte{4, 1, 1}}
			c.ExtraExtensions = append(c.ExtraExtensions, serial)
		},
		"with a small country code": func(c *x509.Certificate) { c.Subject.Country = []string{"se"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistration(t)
			change(r.cert)
			_, err := r.verify(t, FormatPacked, r.basic(t))
			require.NoError(t, err)
		})
	}
}

func TestVerifyPackedBasicRefusesCertificates(t *testing.T) {
	t.Parallel()
	extension := func(aaguid []byte) []pkix.Extension { return []pkix.Extension{aaguidExtension(t, aaguid)} }
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"no country":           {func(c *x509.Certificate) { c.Subject.Country = nil }, "country"},
		"country by name":      {func(c *x509.Certificate) { c.Subject.Country = []string{"Sweden"} }, "country"},
		"country with a digit": {func(c *x509.Certificate) { c.Subject.Country = []string{"S3"} }, "country"},
		"two countries":        {func(c *x509.Certificate) { c.Subject.Country = []string{"SE", "US"} }, "country"},
		"no organization":      {func(c *x509.Certificate) { c.Subject.Organization = nil }, "organization"},
		"empty organization":   {func(c *x509.Certificate) { c.Subject.Organization[0] = "" }, "organization"},
		"no unit":              {func(c *x509.Certificate) { c.Subject.OrganizationalUnit = nil }, "unit"},
		"another unit":         {func(c *x509.Certificate) { c.Subject.OrganizationalUnit[0] = "Attestation" }, "unit"},
		"no common name":       {func(c *x509.Certificate) { c.Subject.CommonName = "" }, "common name"},
		"no basic constraints": {func(c *x509.Certificate) { c.BasicConstraintsValid = false }, "basic constraints"},
		"a CA":                 {func(c *x509.Certificate) { c.IsCA = true }, "CA"},
		"critical serial number": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidSerialNumber, Critical: true, Value: []byte{4, 1, 1}}}
		}, "serial number extension is critical"},
		"critical AAGUID":       {func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = true }, "critical"},
		"AAGUID of another key": {func(c *x509.Certificate) { c.ExtraExtensions = extension(make([]byte, 16)) }, "AAGUID"},
		"longer AAGUID": {func(c *x509.Certificate) {
			c.ExtraExtensions = extension(append([]byte{1, 2, 3}, make([]byte, 14)...))
		}, "AAGUID"},
		"bare AAGUID": {func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = append([]byte{1, 2, 3}, make([]byte, 13)...)
		}, "AAGUID"},
		"AAGUID with more behind": {func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = append(c.ExtraExtensions[0].Value, 5, 0)
		}, "AAGUID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistration(t)
			c.change(r.cert)
			a, err := r.verify(t, FormatPacked, r.basic(t))
			require.ErrorContains(t, err, "webauthn: attestation: packed: attestation certificate: ")
			require.ErrorContains(t, err, c.want)
			require.Nil(t, a)
		})
	}
}

// crypto/x509 makes only version 3, so the test checks the function alone.
func TestCheckPackedCertificateRefusesVersion1(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	cert, err := x509.ParseCertificate(r.certificate(t))
	require.NoError(t, err)
	require.NoError(t, checkPackedCertificate(cert, ctap2.AAGUID{1, 2, 3}))
	cert.Version = 1
	require.ErrorContains(t, checkPackedCertificate(cert, ctap2.AAGUID{1, 2, 3}), "version 1, want 3")
}

func TestVerifyPackedRefusesStatements(t *testing.T) {
	t.Parallel()
	const notAlg, notSig = "alg is not a negative number of 32 bits", "sig is not a byte string"
	null := ctapcbor.RawMessage{0xf6}
	for name, c := range map[string]struct {
		change members
		want   string
	}{
		"alg missing":         {members{"alg": nil}, "member alg is missing"},
		"alg null":            {members{"alg": null}, notAlg},
		"alg as text":         {members{"alg": "ES256"}, notAlg},
		"alg positive":        {members{"alg": 7}, notAlg},
		"alg over 32 bits":    {members{"alg": int64(cose.ES256) - 1<<32}, notAlg},
		"alg of another key":  {members{"alg": cose.RS256}, "cose: RS256 does not take"},
		"sig missing":         {members{"sig": nil}, "member sig is missing"},
		"sig as text":         {members{"sig": "x"}, notSig},
		"sig null":            {members{"sig": null}, notSig},
		"sig empty":           {members{"sig": []byte{}}, "cose: ES256: signature does not verify"},
		"x5c null":            {members{"x5c": null}, "x5c is not a list of certificates"},
		"x5c empty":           {members{"x5c": []any{}}, "x5c is not a list of certificates"},
		"x5c one certificate": {members{"x5c": []byte{0x30, 0x00}}, "x5c is not a list of certificates"},
		"x5c with a number":   {members{"x5c": []any{1}}, "x5c is not a list of certificates"},
		"x5c without DER":     {members{"x5c": []any{[]byte{0x30, 0x00}}}, "x5c: x509: "},
		"x5c missing":         {members{"x5c": nil}, "cose: ES256: signature does not verify"},
		"ECDAA":               {members{"ecdaaKeyId": []byte{1}}, "unknown member ecdaaKeyId"},
		"an unknown member":   {members{"ver": "2.0"}, "unknown member ver"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistration(t)
			a, err := r.verify(t, FormatPacked, changed(r.basic(t), c.change))
			require.ErrorContains(t, err, "webauthn: attestation: packed: "+c.want)
			require.Nil(t, a)
		})
	}
}

// changed returns m with other members set, or removed where they are nil.
func changed(m, change members) members {
	m = maps.Clone(m)
	for name, value := range change {
		m[name] = value
		if value == nil {
			delete(m, name)
		}
	}
	return m
}

func TestVerifyPackedRefusesADuplicateMember(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	encoded, err := ctapcbor.Marshal(r.self(t))
	require.NoError(t, err)
	encoded[0]++ // one more pair
	encoded = append(encoded, 0x63, 'a', 'l', 'g', 0x26)
	_, err = r.verify(t, FormatPacked, ctapcbor.RawMessage(encoded))
	require.ErrorContains(t, err, "duplicate")
}

func TestVerifyPackedTellsUnknownAlgorithms(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	_, err := r.verify(t, FormatPacked, changed(r.basic(t), members{"alg": -999}))
	require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm)
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	authData, _ := r.message(t)
	o := AttestationObject{Format: FormatNone, AuthData: authData}
	_, err := o.Verify(r.clientHash[:])
	require.NoError(t, err, "no statement stands for an empty one")

	_, err = o.Verify(r.clientHash[:31])
	require.ErrorContains(t, err, "client data hash of 31 bytes, want 32")

	o.AuthData = authData[:37]
	_, err = o.Verify(r.clientHash[:])
	require.Error(t, err, "truncated authenticator data")

	o.AuthData = append(bytes.Clone(authData[:32]), 1, 0, 0, 0, 0)
	_, err = o.Verify(r.clientHash[:])
	require.ErrorContains(t, err, "no credential")

	o.AuthData = authData
	o.Format = "fido-u3f"
	a, err := o.Verify(r.clientHash[:])
	require.ErrorIs(t, err, ErrUnsupportedFormat)
	require.NotErrorIs(t, err, cose.ErrVerification)
	require.Nil(t, a)
}

func TestParseAttestationObjectRefuses(t *testing.T) {
	t.Parallel()
	good := members{"fmt": "none", "attStmt": members{}, "authData": []byte{1}}
	for name, change := range map[string]members{
		"no fmt":                       {"fmt": nil},
		"fmt in bytes":                 {"fmt": []byte("none")},
		"fmt null":                     {"fmt": ctapcbor.RawMessage{0xf6}},
		"no attStmt":                   {"attStmt": nil},
		"attStmt of another name":      {"attStmt": nil, "attstmt": members{}},
		"no authData":                  {"authData": nil},
		"authData as text":             {"authData": "x"},
		"authData null":                {"authData": ctapcbor.RawMessage{0xf6}},
		"authData an array of numbers": {"authData": []int{1}},
		"a fourth member":              {"epAtt": true},
		"fmt of another case":          {"fmt": nil, "Fmt": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := ctapcbor.Marshal(changed(good, change))
			require.NoError(t, err)
			o, err := ParseAttestationObject(b)
			require.ErrorContains(t, err, "webauthn: attestation object: ")
			require.Nil(t, o)
		})
	}
	b, err := ctapcbor.Marshal(good)
	require.NoError(t, err)
	_, err = ParseAttestationObject(b)
	require.NoError(t, err)
	for n := range b {
		_, err := ParseAttestationObject(b[:n])
		require.Error(t, err, "%d of %d bytes", n, len(b))
	}
	_, err = ParseAttestationObject(append(b, 0))
	require.Error(t, err, "trailing byte")
}

func TestAttestationObjectMarshal(t *testing.T) {
	t.Parallel()
	o := AttestationObject{Format: "none", AuthData: []byte{1}}
	b, err := o.Marshal()
	require.NoError(t, err)
	require.Equal(t, "\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x41\x01", string(b))

	for name, statement := range map[string]ctapcbor.RawMessage{
		"empty":     {},
		"truncated": {0xa1, 0x01},
		"two items": {0xa0, 0xa0},
	} {
		t.Run("refuses a statement that is "+name, func(t *testing.T) {
			t.Parallel()
			_, err := (&AttestationObject{Format: "x", Statement: statement}).Marshal()
			require.ErrorContains(t, err, "webauthn: attestation object: attStmt: ")
		})
	}
}

func TestAttestationTypeString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none", AttestationNone.String())
	require.Equal(t, "self", AttestationSelf.String())
	require.Equal(t, "basic", AttestationBasic.String())
	require.Equal(t, "attca", AttestationAttCA.String())
	require.Equal(t, "anonca", AttestationAnonCA.String())
	require.Equal(t, "compound", AttestationCompound.String())
	require.Equal(t, "unknown", AttestationUnknown.String())
	require.Equal(t, "AttestationType(0)", AttestationType(0).String())
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	r := newRegistration(t)
	authData, message := r.message(t)
	key := r.authData.Credential.PublicKey
	sig := signES256(t, r.credential, message)
	require.NoError(t, VerifySignature(key, authData, r.clientHash[:], sig))

	require.ErrorIs(t, VerifySignature(key, authData, r.clientHash[:], sig[:len(sig)-1]), cose.ErrVerification)
	require.ErrorIs(t, VerifySignature(nil, authData, r.clientHash[:], sig), cose.ErrUnsupportedAlgorithm)
	moved := append(bytes.Clone(authData), r.clientHash[0])
	require.ErrorContains(t, VerifySignature(key, moved, r.clientHash[1:], sig), "client data hash of 31 bytes")
}

func FuzzParseAttestationObject(f *testing.F) {
	seeds.Add(f, "attestation-objects")
	r := newRegistration(f)
	authData, _ := r.message(f)
	for _, statement := range []members{{}, r.self(f), r.basic(f)} {
		encoded, err := ctapcbor.Marshal(statement)
		require.NoError(f, err)
		o := AttestationObject{Format: FormatPacked, Statement: encoded, AuthData: authData}
		if len(statement) == 0 {
			o.Format = FormatNone
		}
		b, err := o.Marshal()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseAttestationObject(b)
		if err != nil {
			require.Nil(t, o)
			return
		}
		out, err := o.Marshal()
		require.NoError(t, err)
		again, err := ParseAttestationObject(out)
		require.NoError(t, err)
		require.Equal(t, o, again)

		a, err := o.Verify(r.clientHash[:])
		require.Equal(t, err == nil, a != nil)
	})
}

func BenchmarkVerifySignature(b *testing.B) {
	r := newRegistration(b)
	authData, message := r.message(b)
	key := r.authData.Credential.PublicKey
	sig := signES256(b, r.credential, message)

	b.Run("VerifySignature", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if VerifySignature(key, authData, r.clientHash[:], sig) != nil {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			digest := sha256.Sum256(message)
			if !ecdsa.VerifyASN1(&r.credential.PublicKey, digest[:], sig) {
				b.Fatal("does not verify")
			}
		}
	})
}
