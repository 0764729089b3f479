package cose

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerifyRefusesECDSASignaturesThatAreNotMinimalDER(t *testing.T) {
	t.Parallel()
	message := []byte("m")
	priv := newECDSA(elliptic.P256())
	key := must(NewKey(ES256, priv.Public()))
	sig := signer{alg: ES256, priv: priv, hash: crypto.SHA256}.sign(t, message)
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(sig, &numbers)
	require.NoError(t, err)
	require.Empty(t, rest)
	r, s := must(asn1.Marshal(numbers.R)), must(asn1.Marshal(numbers.S))
	join := func(prefix []byte, parts ...[]byte) []byte {
		for _, p := range parts {
			prefix = append(prefix, p...)
		}
		return prefix
	}
	size := byte(len(r) + len(s))
	require.NoError(t, key.Verify(message, join([]byte{0x30, size}, r, s)), "the same by hand")

	for name, sig := range map[string][]byte{
		"a zero before r":           join([]byte{0x30, size + 1, 2, r[1] + 1, 0}, r[2:], s),
		"a zero before s":           join([]byte{0x30, size + 1}, r, []byte{2, s[1] + 1, 0}, s[2:]),
		"a long form of the length": join([]byte{0x30, 0x81, size}, r, s),
		"a long form of r's length": join([]byte{0x30, size + 1, 2, 0x81, r[1]}, r[2:], s),
		"an indefinite length":      join([]byte{0x30, 0x80}, r, s, []byte{0, 0}),
		"bytes behind it":           join([]byte{0x30, size}, r, s, []byte{0}),
		"a third number":            join([]byte{0x30, size + 3}, r, s, []byte{2, 1, 1}),
		"one number":                join([]byte{0x30, byte(len(r))}, r),
		"the bare numbers":          join(nil, numbers.R.FillBytes(make([]byte, 32)), numbers.S.FillBytes(make([]byte, 32))),
		"nothing":                   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := key.Verify(message, sig)
			require.ErrorIs(t, err, ErrVerification)
			if name != "a third number" { // encoding/asn1 leaves out what it was not asked for
				require.ErrorContains(t, err, "it is not minimal DER: ")
			}
		})
	}
	numbers.R, numbers.S = numbers.S, numbers.R
	require.NotContains(t, key.Verify(message, must(asn1.Marshal(numbers))).Error(), "DER", "the form is right")
}

func TestVerifyAcceptsBothValuesOfS(t *testing.T) {
	t.Parallel()
	message := []byte("m")
	priv := newECDSA(elliptic.P256())
	key := must(NewKey(ES256, priv.Public()))
	var numbers struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(signer{alg: ES256, priv: priv, hash: crypto.SHA256}.sign(t, message), &numbers)
	require.NoError(t, err)
	numbers.S.Sub(priv.Params().N, numbers.S)
	require.NoError(t, key.Verify(message, must(asn1.Marshal(numbers))), "WebAuthn does not forbid the higher one")
}

func TestVerifyPSSWantsASaltAsLongAsTheHash(t *testing.T) {
	t.Parallel()
	priv := newRSA(2048)
	key := must(NewKey(PS256, priv.Public()))
	digest := sha256.Sum256([]byte("m"))
	for salt, ok := range map[int]bool{32: true, 31: false, 33: false, 20: false, 222: false} {
		sig, err := rsa.SignPSS(rand.Reader, priv, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		require.NoError(t, err)
		require.Equal(t, ok, key.Verify([]byte("m"), sig) == nil, "salt of %d bytes", salt)
	}
}

func TestRS1VerifiesButIsNoCredential(t *testing.T) {
	t.Parallel()
	priv := newRSA(2048)
	key, err := NewKey(RS1, priv.Public())
	require.NoError(t, err)
	digest := sha1.Sum([]byte("m"))
	sig, err := rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA1, digest[:])
	require.NoError(t, err)
	require.NoError(t, key.Verify([]byte("m"), sig))
	require.ErrorIs(t, key.Verify([]byte("n"), sig), ErrVerification)

	_, err = key.MarshalCBOR()
	require.ErrorContains(t, err, "RS1 outside of attestation statements")
}

// The signature is made by hand because crypto/rsa would take half a minute to make the key.
func TestVerifyRSAOf8192Bits(t *testing.T) {
	t.Parallel()
	n, phi, e, one := big.NewInt(1), big.NewInt(1), big.NewInt(65537), big.NewInt(1)
	for n.BitLen() < 8180 {
		p := must(rand.Prime(rand.Reader, 512))
		order := new(big.Int).Sub(p, one)
		if new(big.Int).GCD(nil, nil, order, e).Cmp(one) == 0 {
			n.Mul(n, p)
			phi.Mul(phi, order)
		}
	}
	pub := &rsa.PublicKey{N: n, E: 65537}
	require.LessOrEqual(t, n.BitLen(), 8192)

	const prefix = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20" // DigestInfo of SHA-256
	digest := sha256.Sum256([]byte("m"))
	padded := append(append([]byte{0, 1}, allOnes(pub.Size()-3-len(prefix)-32)...), 0)
	padded = append(append(padded, prefix...), digest[:]...)
	d := new(big.Int).ModInverse(e, phi)
	sig := new(big.Int).Exp(new(big.Int).SetBytes(padded), d, n).FillBytes(make([]byte, pub.Size()))

	key := must(ParseKey(must(must(NewKey(RS256, pub)).MarshalCBOR())))
	require.NoError(t, key.Verify([]byte("m"), sig))
	sig[100] ^= 1
	require.ErrorIs(t, key.Verify([]byte("m"), sig), ErrVerification)
}

// The largest key with the largest exponent that ParseKey takes.
func BenchmarkVerifyLargestRSA(b *testing.B) {
	n := new(big.Int).SetBytes(allOnes(1024))
	k := must(NewKey(RS256, &rsa.PublicKey{N: n, E: 1<<31 - 1}))
	sig := make([]byte, 1024)
	sig[1] = 1
	for b.Loop() {
		if k.Verify([]byte("m"), sig) == nil {
			b.Fatal("verifies")
		}
	}
}

func BenchmarkParseKeyES256(b *testing.B) {
	encoded := must(must(NewKey(ES256, newECDSA(elliptic.P256()).Public())).MarshalCBOR())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseKey(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
