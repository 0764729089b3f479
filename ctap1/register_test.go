package ctap1

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// encode is the inverse of parseRegistration.
func (r *Registration) encode(t testing.TB) []byte {
	t.Helper()
	return slices.Concat([]byte{0x05}, r.point(t), []byte{byte(len(r.KeyHandle))}, r.KeyHandle, r.Certificate, r.Signature)
}

// point returns the public key as U2F writes it: the last 65 bytes of its SubjectPublicKeyInfo.
func (r *Registration) point(t testing.TB) []byte {
	t.Helper()
	der, err := r.PublicKey.MarshalPKIX()
	require.NoError(t, err)
	return der[len(der)-pointSize:]
}

// verify checks the attestation signature.
func (r *Registration) verify(t *testing.T, challenge, application [32]byte) {
	t.Helper()
	cert, err := r.X509()
	require.NoError(t, err)
	signed := slices.Concat([]byte{0}, application[:], challenge[:], r.KeyHandle, r.point(t))
	require.NoError(t, cert.CheckSignature(x509.ECDSAWithSHA256, signed, r.Signature))
}

func TestRegisterExampleOfTheSpecification(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{ok(unhex(t, exampleRegistration))}}
	challenge, application := unhex32(t, exampleChallenge), unhex32(t, exampleApplication)
	require.Equal(t, application, sha256.Sum256([]byte("http://example.com")))
	r, err := (&Client{Transport: key}).Register(t.Context(), challenge, application)
	require.NoError(t, err)
	require.Equal(t, [][]byte{unhex(t, "00 01 00 00 00 00 40"+exampleChallenge+exampleApplication+"00 00")}, key.sent)
	require.Equal(t, unhex(t, examplePoint), r.point(t))
	require.Equal(t, cose.ES256, r.PublicKey.Algorithm)
	require.Equal(t, unhex(t, exampleKeyHandle), r.KeyHandle)
	require.Equal(t, unhex(t, exampleCertificate), r.Certificate)
	require.Equal(t, unhex(t, exampleAttestation), r.Signature)
	r.verify(t, challenge, application)
}

func TestAuthenticatorDataOfARegistration(t *testing.T) {
	t.Parallel()
	r, err := parseRegistration(unhex(t, exampleRegistration))
	require.NoError(t, err)
	b, err := r.AuthenticatorData(unhex32(t, exampleApplication))
	require.NoError(t, err)
	d, err := ctap2.ParseAuthenticatorData(b)
	require.NoError(t, err)
	require.Equal(t, unhex32(t, exampleApplication), d.RPIDHash)
	require.Equal(t, ctap2.FlagUP|ctap2.FlagAT, d.Flags)
	require.Zero(t, d.SignCount)
	require.Zero(t, d.Credential.AAGUID)
	require.Equal(t, unhex(t, exampleKeyHandle), d.Credential.ID)
	require.Equal(t, r.PublicKey, d.Credential.PublicKey)
}

func TestAuthenticatorDataOfTheLongestKeyHandle(t *testing.T) {
	t.Parallel()
	r, err := parseRegistration(registrationWith(t, make([]byte, maxKeyHandle)))
	require.NoError(t, err)
	b, err := r.AuthenticatorData([32]byte{})
	require.NoError(t, err)
	require.Equal(t, uint16(maxKeyHandle), binary.BigEndian.Uint16(b[53:]))
	_, err = ctap2.ParseAuthenticatorData(b)
	require.NoError(t, err)
}

// registrationWith is the example with another key handle.
func registrationWith(t testing.TB, keyHandle []byte) []byte {
	t.Helper()
	head, tail := unhex(t, "05"+examplePoint), unhex(t, exampleCertificate+exampleAttestation)
	return slices.Concat(head, []byte{byte(len(keyHandle))}, keyHandle, tail)
}

func TestMalformedRegistrationsAreRefused(t *testing.T) {
	t.Parallel()
	const offCurve = "04b174bc49c7ca254b70d2e5c207cee9cf174820ebd77ea3c65508c26da51b657c" +
		"1cc6b952f8621697936482da0a6d3d3826a59095daf6cd7c03e2e60385d2f6d8"
	const compressed = "02b174bc49c7ca254b70d2e5c207cee9cf174820ebd77ea3c65508c26da51b657c" +
		"0000000000000000000000000000000000000000000000000000000000000000"
	const handle, signature = "01 aa", exampleAttestation
	for name, answer := range map[string]string{
		"reserved byte":                    "04" + examplePoint + handle + exampleCertificate + signature,
		"point off the curve":              "05" + offCurve + handle + exampleCertificate + signature,
		"compressed point":                 "05" + compressed + handle + exampleCertificate + signature,
		"point at infinity":                "05" + "00" + examplePoint[2:] + handle + exampleCertificate + signature,
		"no key handle":                    "05" + examplePoint + "00" + exampleCertificate + signature,
		"key handle past the end":          "05" + examplePoint + "ff" + "aabb",
		"key handle up to the end":         "05" + examplePoint + "02" + "aabb",
		"certificate of a huge length":     "05" + examplePoint + handle + "3084ffffffff" + exampleCertificate[8:] + signature,
		"certificate of no length":         "05" + examplePoint + handle + "3080" + exampleCertificate[8:] + signature,
		"certificate one byte too long":    "05" + examplePoint + handle + "3082013d" + exampleCertificate[8:] + signature,
		"certificate one byte too short":   "05" + examplePoint + handle + "3082013b" + exampleCertificate[8:] + signature,
		"certificate is a set":             "05" + examplePoint + handle + "31" + exampleCertificate[2:] + signature,
		"certificate is a string":          "05" + examplePoint + handle + "04" + exampleCertificate[2:] + signature,
		"certificate is primitive":         "05" + examplePoint + handle + "10" + exampleCertificate[2:] + signature,
		"certificate of another class":     "05" + examplePoint + handle + "b0" + exampleCertificate[2:] + signature,
		"certificate up to the end":        "05" + examplePoint + handle + exampleCertificate,
		"bytes after the signature":        "05" + examplePoint + handle + exampleCertificate + signature + "00",
		"bytes within the signature":       "05" + examplePoint + handle + exampleCertificate + "3048" + signature[4:] + "020100",
		"signature shorter than it says":   "05" + examplePoint + handle + exampleCertificate + signature[:140],
		"signature of one integer":         "05" + examplePoint + handle + exampleCertificate + "3003020101",
		"signature with zero":              "05" + examplePoint + handle + exampleCertificate + "3006020101020100",
		"signature with a negative":        "05" + examplePoint + handle + exampleCertificate + "30060201ff020101",
		"signature with padded integer":    "05" + examplePoint + handle + exampleCertificate + "300702020001020101",
		"signature of a longer curve":      "05" + examplePoint + handle + exampleCertificate + "3026022101" + exampleApplication + "020101",
		"signature with a long-form count": "05" + examplePoint + handle + exampleCertificate + "308106020101020101",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Client{Transport: constant(ok(unhex(t, answer)))}
			_, err := c.Register(t.Context(), [32]byte{}, [32]byte{})
			require.ErrorIs(t, err, ErrInvalidResponse)
		})
	}
	_, err := parseRegistration(unhex(t, "05"+examplePoint+handle+exampleCertificate+"3006020101020101"))
	require.NoError(t, err, "what the cases above are made from")
}

func TestEveryTruncatedRegistrationIsRefused(t *testing.T) {
	t.Parallel()
	whole := unhex(t, exampleRegistration)
	for size := range whole {
		_, err := parseRegistration(whole[:size])
		require.Error(t, err, size)
	}
}

// What Yubico did wrong: a certificate whose signature has bits unused that are not zero.
func TestCertificateWithUnusedBitsIsRepaired(t *testing.T) {
	t.Parallel()
	good := unhex(t, exampleCertificate)
	const sizeOfSignature = 70
	wrong := slices.Clone(good)
	wrong[len(wrong)-sizeOfSignature-1] = 3
	_, err := x509.ParseCertificate(wrong)
	require.Error(t, err, "nothing to repair")

	r, err := parseRegistration(unhex(t, "05"+examplePoint+"01aa"+"3006020101020101"+exampleAttestation))
	require.NoError(t, err)
	r.Certificate = wrong
	before := slices.Clone(wrong)
	cert, err := r.X509()
	require.NoError(t, err)
	require.Equal(t, good, cert.Raw)
	require.Equal(t, before, r.Certificate)
}

func TestWhatIsNoCertificateStaysAndIsAnError(t *testing.T) {
	t.Parallel()
	for name, der := range map[string]string{
		"nothing":                   "",
		"empty sequence":            "3000",
		"truncated":                 "3007 3000 3000 0301",
		"signature without a count": "3006 3000 3000 0300",
		"signature is no bits":      "3007 3000 3000 040103",
		"signature is not the last": "300a 3000 3000 030103 0101ff",
		"bytes after the sequence":  "3007 3000 3000 030103 ff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, unhex(t, der), repairCertificate(unhex(t, der)))
			_, err := (&Registration{Certificate: unhex(t, der)}).X509()
			require.ErrorContains(t, err, "ctap1: attestation certificate: ")
		})
	}
	require.Equal(t, unhex(t, "3007 3000 3000 030100"), repairCertificate(unhex(t, "3007 3000 3000 030103")))
}
