package ctap1

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// encode is the inverse of parseAssertion.
func (a *Assertion) encode() []byte {
	return slices.Concat(a.AuthenticatorData([32]byte{})[32:], a.Signature)
}

func TestAuthenticateExampleOfTheSpecification(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{ok(unhex(t, exampleAssertion))}}
	challenge, application := unhex32(t, exampleSignChallenge), unhex32(t, exampleSignApplication)
	c := &Client{Transport: key}
	a, err := c.Authenticate(t.Context(), EnforceUserPresence, challenge, application, unhex(t, exampleKeyHandle))
	require.NoError(t, err)
	request := exampleSignChallenge + exampleSignApplication + "40" + exampleKeyHandle
	require.Equal(t, [][]byte{unhex(t, "00 02 03 00 00 00 81"+request+"00 00")}, key.sent)
	require.Equal(t, &Assertion{UserPresent: true, Counter: 1, Signature: unhex(t, exampleSignature)}, a)

	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unhex(t, exampleSignPoint))
	require.NoError(t, err)
	public, err := cose.NewKey(cose.ES256, pub)
	require.NoError(t, err)
	signed := append(a.AuthenticatorData(application), challenge[:]...)
	require.NoError(t, public.Verify(signed, a.Signature))
}

func TestAuthenticatorDataOfAnAssertion(t *testing.T) {
	t.Parallel()
	for _, a := range []Assertion{{UserPresent: true, Counter: 0xfedcba98}, {Counter: 1}} {
		d, err := ctap2.ParseAuthenticatorData(a.AuthenticatorData(unhex32(t, exampleApplication)))
		require.NoError(t, err)
		require.Equal(t, unhex32(t, exampleApplication), d.RPIDHash)
		require.Equal(t, a.UserPresent, d.Flags == ctap2.FlagUP)
		require.Equal(t, a.Counter, d.SignCount)
	}
}

func TestSilentAuthentication(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{ok(unhex(t, "00 00000007"+exampleSignature))}}
	c := &Client{Transport: key}
	a, err := c.Authenticate(t.Context(), DontEnforceUserPresence, [32]byte{}, [32]byte{}, []byte("handle"))
	require.NoError(t, err)
	require.False(t, a.UserPresent)
	require.Equal(t, uint32(7), a.Counter)
	require.Equal(t, byte(0x08), key.sent[0][2])
}

// Only who asks for a touch waits for one.
func TestOtherControlsDoNotWait(t *testing.T) {
	t.Parallel()
	for _, control := range []Control{CheckOnly, DontEnforceUserPresence} {
		key := &script{answers: [][]byte{status(ErrConditionsNotSatisfied)}}
		c := &Client{Transport: key, Keepalive: func(byte) { t.Error("told") }}
		_, err := c.Authenticate(t.Context(), control, [32]byte{}, [32]byte{}, []byte("handle"))
		require.ErrorIs(t, err, ErrConditionsNotSatisfied)
		require.Len(t, key.sent, 1)
		require.Equal(t, byte(control), key.sent[0][2])
	}
}

func TestMalformedAssertionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no touch":                  "00 00000001" + exampleSignature,
		"flag UV":                   "05 00000001" + exampleSignature,
		"flag AT":                   "41 00000001" + exampleSignature,
		"reserved bit alone":        "02 00000001" + exampleSignature,
		"no signature":              "01 00000001",
		"no whole counter":          "01 000000",
		"bytes after the signature": "01 00000001" + exampleSignature + "00",
		"no DER":                    "01 00000001" + exampleApplication + exampleChallenge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Client{Transport: constant(ok(unhex(t, answer)))}
			_, err := c.Authenticate(t.Context(), EnforceUserPresence, [32]byte{}, [32]byte{}, []byte("handle"))
			require.ErrorIs(t, err, ErrInvalidResponse)
		})
	}
}

func TestEveryTruncatedAssertionIsRefused(t *testing.T) {
	t.Parallel()
	whole := unhex(t, exampleAssertion)
	for size := range whole {
		_, err := parseAssertion(whole[:size])
		require.Error(t, err, size)
	}
}

func TestImpossibleKeyHandlesAreNotSent(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{status(ErrConditionsNotSatisfied)}}
	c := &Client{Transport: key}
	for _, size := range []int{0, maxKeyHandle + 1, 1023, 1 << 16} {
		_, err := c.Authenticate(t.Context(), EnforceUserPresence, [32]byte{}, [32]byte{}, make([]byte, size))
		require.ErrorIs(t, err, ErrWrongLength)
		yes, err := c.Check(t.Context(), [32]byte{}, make([]byte, size))
		require.NoError(t, err)
		require.False(t, yes)
	}
	require.Empty(t, key.sent)
	yes, err := c.Check(t.Context(), [32]byte{}, make([]byte, maxKeyHandle))
	require.NoError(t, err)
	require.True(t, yes)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer []byte
		yes    bool
		err    error
	}{
		"ours":                       {status(ErrConditionsNotSatisfied), true, nil},
		"ours, and signed after all": {ok(unhex(t, exampleAssertion)), true, nil},
		"another's":                  {status(ErrWrongData), false, nil},
		"another's, and too long":    {status(ErrWrongLength), false, nil},
		"no U2F":                     {status(ErrInstructionNotSupported), false, ErrInstructionNotSupported},
		"something else":             {status(0x6f00), false, StatusWord(0x6f00)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := &script{answers: [][]byte{test.answer}}
			c := &Client{Transport: key, Keepalive: func(byte) { t.Error("told") }}
			yes, err := c.Check(t.Context(), unhex32(t, exampleApplication), []byte("handle"))
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.yes, yes)
			data := slices.Concat(make([]byte, 32), unhex(t, exampleApplication), []byte("\x06handle"))
			require.Equal(t, slices.Concat(unhex(t, "00 02 07 00 00 00 47"), data, []byte{0, 0}), key.sent[0])
		})
	}
}

// A key that says 6700 to the handle of another, and knows no short encoding, must not spoil a list of credentials.
func TestCheckOfAForeignHandleOnAPickyKey(t *testing.T) {
	t.Parallel()
	for _, short := range []StatusWord{ErrClassNotSupported, ErrInstructionNotSupported, ErrWrongData, 0x6f00} {
		key := &script{answers: [][]byte{status(ErrWrongLength), status(short)}}
		yes, err := (&Client{Transport: key}).Check(t.Context(), [32]byte{}, []byte("handle"))
		require.NoError(t, err)
		require.False(t, yes)
	}
}
