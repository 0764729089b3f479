// Package extra_test tests the packages of this module together: they differ in nothing but the mathematics.
package extra_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	_ "github.com/keyfob-go/keyfob/cose/extra/ed448"
	_ "github.com/keyfob-go/keyfob/cose/extra/es256k"
	_ "github.com/keyfob-go/keyfob/cose/extra/mldsa"
)

// A signer is a key pair of one algorithm.
type signer struct {
	public crypto.PublicKey
	sign   func(message []byte) []byte
}

func newSigner(t testing.TB, alg cose.Algorithm) signer {
	t.Helper()
	switch alg {
	case cose.ES256K:
		key, err := secp256k1.GeneratePrivateKey()
		require.NoError(t, err)
		return signer{key.PubKey(), func(message []byte) []byte {
			digest := sha256.Sum256(message)
			return ecdsa.Sign(key, digest[:]).Serialize()
		}}
	case cose.Ed448:
		public, key, err := ed448.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return signer{public, func(message []byte) []byte { return ed448.Sign(key, message, "") }}
	case cose.MLDSA44:
		_, key, err := mldsa44.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return withoutHash(t, key)
	case cose.MLDSA65:
		_, key, err := mldsa65.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return withoutHash(t, key)
	default:
		_, key, err := mldsa87.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return withoutHash(t, key)
	}
}

func withoutHash(t testing.TB, key crypto.Signer) signer {
	return signer{key.Public(), func(message []byte) []byte {
		sig, err := key.Sign(rand.Reader, message, crypto.Hash(0))
		require.NoError(t, err)
		return sig
	}}
}

var algorithms = []cose.Algorithm{cose.ES256K, cose.Ed448, cose.MLDSA44, cose.MLDSA65, cose.MLDSA87}

func TestKeysRoundTripAndVerify(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg.String(), func(t *testing.T) {
			t.Parallel()
			message := []byte("authenticator data and the hash of the client data")
			s := newSigner(t, alg)
			key, err := cose.NewKey(alg, s.public)
			require.NoError(t, err)

			encoded, err := key.MarshalCBOR()
			require.NoError(t, err)
			fromCBOR, err := cose.ParseKey(encoded)
			require.NoError(t, err)
			der, err := key.MarshalPKIX()
			require.NoError(t, err)
			fromDER, err := cose.ParsePKIX(der)
			require.NoError(t, err)
			require.Equal(t, alg, fromDER.Algorithm, "the DER says which algorithm it is for")

			sig := s.sign(message)
			for _, k := range []*cose.Key{key, fromCBOR, fromDER} {
				require.NoError(t, k.Verify(message, sig))
			}
			requireFlipsFail(t, key, message, sig)
		})
	}
}

func requireFlipsFail(t *testing.T, key *cose.Key, message, sig []byte) {
	t.Helper()
	for _, b := range [][]byte{message, sig} {
		step := 1 + len(b)/500 // not every byte of the 4627 of ML-DSA-87
		for i := 0; i < len(b); i += step {
			b[i] ^= 1 << (i % 8)
			require.ErrorIs(t, key.Verify(message, sig), cose.ErrVerification, "byte %d of %d", i, len(b))
			b[i] ^= 1 << (i % 8)
		}
	}
	require.ErrorIs(t, key.Verify(message, append(sig, 0)), cose.ErrVerification)
	require.ErrorIs(t, key.Verify(message, sig[:len(sig)-1]), cose.ErrVerification)
	require.ErrorIs(t, key.Verify(message, nil), cose.ErrVerification)
}

func TestKeysOfAnotherAlgorithmAreRefused(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		for _, other := range append([]cose.Algorithm{cose.ES256}, algorithms...) {
			_, err := cose.NewKey(other, newSigner(t, alg).public)
			require.Equal(t, alg == other, err == nil, "%v as %v: %v", alg, other, err)
		}
	}
	for _, nothing := range []crypto.PublicKey{(*secp256k1.PublicKey)(nil), (*mldsa44.PublicKey)(nil), nil} {
		for _, alg := range algorithms {
			_, err := cose.NewKey(alg, nothing)
			require.ErrorContains(t, err, "does not take this")
		}
	}
	_, err := cose.NewKey(cose.Ed448, ed448.PublicKey(make([]byte, 56)))
	require.ErrorContains(t, err, "does not take this")
}

// The public key of TEST 1 of RFC 8032, section 7.4: the blank message.
func TestEd448RFC8032(t *testing.T) {
	t.Parallel()
	public := unhex(t, "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6c"+
		"d1fa1abeafe8256180")
	sig := unhex(t, "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828"+
		"c59bd0a21bfd3980ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a73632"+
		"68c71d95808ff2e652600")
	key, err := cose.ParseKey(append(unhex(t, "a4010103383420072158"+"39"), public...))
	require.NoError(t, err)
	require.NoError(t, key.Verify(nil, sig))
	require.ErrorIs(t, key.Verify([]byte{0}, sig), cose.ErrVerification)
}

func TestES256KKeysMustBeOnTheCurve(t *testing.T) {
	t.Parallel()
	s := newSigner(t, cose.ES256K)
	key, err := cose.NewKey(cose.ES256K, s.public)
	require.NoError(t, err)
	encoded, err := key.MarshalCBOR()
	require.NoError(t, err)
	encoded[len(encoded)-1] ^= 1
	_, err = cose.ParseKey(encoded)
	require.ErrorContains(t, err, "cose: ES256K: ")

	der, err := key.MarshalPKIX()
	require.NoError(t, err)
	der[len(der)-1] ^= 1
	_, err = cose.ParsePKIX(der)
	require.ErrorContains(t, err, "cose: ES256K: ")
}

func TestES256KSignaturesMustBeMinimalDER(t *testing.T) {
	t.Parallel()
	s := newSigner(t, cose.ES256K)
	key, err := cose.NewKey(cose.ES256K, s.public)
	require.NoError(t, err)
	sig := s.sign([]byte("m"))
	require.NoError(t, key.Verify([]byte("m"), sig))

	// 30 len 02 len r...: one more zero before r.
	long := append([]byte{0x30, sig[1] + 1, 0x02, sig[3] + 1, 0x00}, sig[4:]...)
	err = key.Verify([]byte("m"), long)
	require.ErrorIs(t, err, cose.ErrVerification)
	require.ErrorContains(t, err, "not minimal DER")
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}
