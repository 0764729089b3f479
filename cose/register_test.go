package cose

import (
	"bytes"
	"crypto"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A fakeKey signs by repeating the message, and is on the curve unless it ends with a zero.
type fakeKey []byte

var fakeScheme = Scheme{
	Parse: func(b []byte) (crypto.PublicKey, error) {
		if b[len(b)-1] == 0 {
			return nil, errors.New("off the curve")
		}
		return fakeKey(bytes.Clone(b)), nil
	},
	Bytes: func(pub crypto.PublicKey) ([]byte, bool) {
		k, ok := pub.(fakeKey)
		return k, ok
	},
	Verify: func(pub crypto.PublicKey, message, sig []byte) bool { return bytes.Equal(message, sig) },
}

// Two kinds of keys are registered for the tests; Ed448, ML-DSA-44 and ML-DSA-65 are not.
func init() {
	Register(ES256K, fakeScheme)
	Register(MLDSA87, fakeScheme)
}

func TestRegisteredAlgorithms(t *testing.T) {
	t.Parallel()
	point := append([]byte{4}, allOnes(64)...)
	for name, c := range map[string]struct {
		alg     Algorithm
		encoded []byte
		cose    map[any]any
		der     string // what comes before the key
	}{
		"ES256K": {
			ES256K, point, map[any]any{1: 2, 3: -47, -1: 8, -2: allOnes(32), -3: allOnes(32)},
			"3056301006072a8648ce3d020106052b8104000a034200",
		},
		"ML-DSA-87": {
			MLDSA87, allOnes(2592), map[any]any{1: 7, 3: -50, -1: allOnes(2592)},
			"30820a32300b060960864801650304031303820a2100",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := NewKey(c.alg, fakeKey(c.encoded))
			require.NoError(t, err)

			b, err := k.MarshalCBOR()
			require.NoError(t, err)
			require.Equal(t, must(ctapcbor.Marshal(c.cose)), b)
			fromCBOR, err := ParseKey(b)
			require.NoError(t, err)
			require.Equal(t, k, fromCBOR)

			der, err := k.MarshalPKIX()
			require.NoError(t, err)
			require.Equal(t, append(unhex(t, c.der), c.encoded...), der)
			fromDER, err := ParsePKIX(der)
			require.NoError(t, err)
			require.Equal(t, k, fromDER)

			require.NoError(t, k.Verify([]byte("m"), []byte("m")))
			require.ErrorIs(t, k.Verify([]byte("m"), []byte("n")), ErrVerification)
		})
	}
}

func TestRegisteredAlgorithmsRefuse(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]map[any]any{
		"a short point":              {1: 2, 3: -47, -1: 8, -2: allOnes(31), -3: allOnes(32)},
		"a point of another curve":   {1: 2, 3: -47, -1: 1, -2: allOnes(32), -3: allOnes(32)},
		"a compressed point":         {1: 2, 3: -47, -1: 8, -2: allOnes(32), -3: true},
		"a point off the curve":      {1: 2, 3: -47, -1: 8, -2: allOnes(32), -3: make([]byte, 32)},
		"a short key":                {1: 7, 3: -50, -1: allOnes(2591)},
		"a private key":              {1: 7, 3: -50, -1: allOnes(2592), -2: make([]byte, 32)},
		"a key of another type":      {1: 1, 3: -50, -1: allOnes(2592)},
		"a key of another parameter": {1: 7, 3: -50, -2: allOnes(2592)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(must(ctapcbor.Marshal(in)))
			require.ErrorContains(t, err, "cose: ")
			require.NotErrorIs(t, err, ErrUnsupportedAlgorithm)
		})
	}
	for name, pub := range map[string]crypto.PublicKey{
		"nothing":           nil,
		"a short key":       fakeKey(allOnes(64)),
		"a key of another":  newEd25519().Public(),
		"a type of another": allOnes(65),
	} {
		t.Run("NewKey of "+name, func(t *testing.T) {
			t.Parallel()
			_, err := NewKey(ES256K, pub)
			require.ErrorContains(t, err, "cose: ES256K does not take this")
		})
	}
	prefix := unhex(t, "3056301006072a8648ce3d020106052b8104000a0342")
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"bits that are no bytes":   {append(append(prefix, 1, 4), append(allOnes(63), 0xfe)...), "of 519 bits, want 520"},
		"a point off the curve":    {append(append(prefix, 0, 4), make([]byte, 64)...), "off the curve"},
		"something behind the DER": {append(append(prefix, 0, 4), allOnes(65)...), "cose: x509: "},
	} {
		t.Run("ParsePKIX of "+name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePKIX(c.der)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAlgorithmsThatAreNotRegistered(t *testing.T) {
	t.Parallel()
	_, err := NewKey(Ed448, fakeKey(allOnes(57)))
	require.ErrorIs(t, err, ErrUnsupportedAlgorithm)
	require.ErrorContains(t, err, "Ed448: no package that implements it is imported")
	_, err = ParsePKIX(append(unhex(t, "3043300506032b6571033a00"), allOnes(57)...))
	require.ErrorIs(t, err, ErrUnsupportedAlgorithm)
}

func TestRegisterPanics(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "cose: ES256 is not an algorithm to register", func() { Register(ES256, fakeScheme) })
	require.PanicsWithValue(t, "cose: COSE(-999) is not an algorithm to register", func() { Register(-999, fakeScheme) })
	require.PanicsWithValue(t, "cose: ES256K is registered twice", func() { Register(ES256K, fakeScheme) })
	require.PanicsWithValue(t, "cose: the scheme of Ed448 is not complete", func() { Register(Ed448, Scheme{}) })
}
