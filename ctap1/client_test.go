package ctap1

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatusWordIsAnErrorThroughWrapping(t *testing.T) {
	t.Parallel()
	c := Client{Transport: constant(status(ErrInstructionNotSupported))}
	_, err := c.Version(t.Context())
	require.ErrorIs(t, err, ErrInstructionNotSupported)
	require.NotErrorIs(t, err, ErrClassNotSupported)
	require.EqualError(t, err, "ctap1: version: instruction not supported")
	var sw StatusWord
	require.ErrorAs(t, fmt.Errorf("more: %w", err), &sw)
	require.Equal(t, StatusWord(0x6d00), sw)
	require.EqualError(t, StatusWord(0x6f01), "status word 0x6f01")
}

// The numbers of U2F Raw Message Formats, section 3.3.
func TestStatusWords(t *testing.T) {
	t.Parallel()
	for number, sw := range map[uint16]StatusWord{
		0x9000: statusOK,
		0x6985: ErrConditionsNotSatisfied,
		0x6a80: ErrWrongData,
		0x6700: ErrWrongLength,
		0x6e00: ErrClassNotSupported,
		0x6d00: ErrInstructionNotSupported,
	} {
		require.Equal(t, number, uint16(sw))
		require.NotContains(t, sw.Error(), "status word", "has no text")
	}
}

// operations are all that a client can ask a key.
func operations(t *testing.T, c *Client) map[string]func() error {
	var challenge, application [32]byte
	authenticate := func(control Control) func() error {
		return func() error {
			_, err := c.Authenticate(t.Context(), control, challenge, application, []byte("handle"))
			return err
		}
	}
	return map[string]func() error{
		"version":                  func() error { _, err := c.Version(t.Context()); return err },
		"register":                 func() error { _, err := c.Register(t.Context(), challenge, application); return err },
		"authenticate":             authenticate(EnforceUserPresence),
		"authenticate check-only":  authenticate(CheckOnly),
		"authenticate no presence": authenticate(DontEnforceUserPresence),
		"check":                    func() error { _, err := c.Check(t.Context(), application, []byte("handle")); return err },
		"touch":                    func() error { return c.Touch(t.Context()) },
	}
}

func TestTransportErrorsPass(t *testing.T) {
	t.Parallel()
	pulled := errors.New("pulled")
	c := &Client{Transport: keyFunc(func([]byte) ([]byte, error) { return nil, pulled })}
	for name, op := range operations(t, c) {
		err := op()
		require.ErrorIs(t, err, pulled, name)
		require.NotErrorIs(t, err, ErrInvalidResponse, name)
		require.Regexp(t, "^ctap1: [a-z]+: pulled$", err.Error())
	}
}

// An error in the middle of looking for the right encoding is not hidden by the status word before it.
func TestTransportErrorAfterWrongLengthPasses(t *testing.T) {
	t.Parallel()
	pulled := errors.New("pulled")
	for name := range operations(t, nil) {
		first := true
		c := &Client{Transport: keyFunc(func([]byte) ([]byte, error) {
			if first {
				first = false
				return status(ErrWrongLength), nil
			}
			return nil, pulled
		})}
		require.ErrorIs(t, operations(t, c)[name](), pulled, name)
	}
}

func TestAnswersWithoutStatusWordAreRefused(t *testing.T) {
	t.Parallel()
	for _, answer := range [][]byte{nil, {}, {0x90}} {
		c := &Client{Transport: constant(answer)}
		for name, op := range operations(t, c) {
			require.ErrorIs(t, op(), ErrInvalidResponse, "%s: %x", name, answer)
		}
	}
}

func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{{}, {0x05}, []byte("garbage\n"), make([]byte, 7607), bytes.Repeat([]byte{0xff}, 1<<16)} {
		c := &Client{Transport: constant(ok(data))}
		for name, op := range operations(t, c) {
			if name != "touch" && name != "check" { // the data does not matter to these
				require.ErrorIs(t, op(), ErrInvalidResponse, "%s: %d bytes", name, len(data))
			}
		}
	}
}

func TestUnknownStatusWordsAreErrors(t *testing.T) {
	t.Parallel()
	for _, sw := range []StatusWord{0x0000, 0x9001, 0x6f00, 0x6283, 0x6c10, 0xffff, ErrClassNotSupported} {
		c := &Client{Transport: constant(append([]byte("data"), status(sw)...))}
		for name, op := range operations(t, c) {
			require.ErrorIs(t, op(), sw, name)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{ok([]byte("U2F_V2"))}}
	version, err := (&Client{Transport: key}).Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "U2F_V2", version)
	require.Equal(t, [][]byte{unhex(t, "00 03 00 00 00 00 00")}, key.sent)
}

func TestVersionIsBounded(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":         "",
		"space":           "U2F V2",
		"control":         "U2F_V2\x00",
		"delete":          "U2F_V2\x7f",
		"not ASCII":       "U2F_V\u00b2",
		"one byte longer": string(bytes.Repeat([]byte("V"), maxVersion+1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&Client{Transport: constant(ok([]byte(data)))}).Version(t.Context())
			require.ErrorIs(t, err, ErrInvalidResponse)
		})
	}
	long := bytes.Repeat([]byte("~"), maxVersion)
	version, err := (&Client{Transport: constant(ok(long))}).Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(long), version)
}

// A key that knows one encoding only refuses the others for their length.
func TestEveryEncodingThatAKeyMayWantIsTried(t *testing.T) {
	t.Parallel()
	register := unhex(t, exampleChallenge+exampleApplication)
	for name, test := range map[string]struct {
		op     string
		wanted []byte
		answer []byte
		asked  int
	}{
		"version, draft":  {"version", unhex(t, "00 03 00 00 00 00 00 00 00"), []byte("U2F_V2"), 2},
		"version, short":  {"version", unhex(t, "00 03 00 00 00"), []byte("U2F_V2"), 3},
		"register, short": {"register", slices.Concat(unhex(t, "00 01 00 00 40"), register, []byte{0}), unhex(t, exampleRegistration), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			c := &Client{Transport: keyFunc(func(apdu []byte) ([]byte, error) {
				asked++
				if bytes.Equal(apdu, test.wanted) {
					return ok(test.answer), nil
				}
				return status(ErrWrongLength), nil
			})}
			var err error
			if test.op == "version" {
				_, err = c.Version(t.Context())
			} else {
				_, err = c.Register(t.Context(), unhex32(t, exampleChallenge), unhex32(t, exampleApplication))
			}
			require.NoError(t, err)
			require.Equal(t, test.asked, asked)
		})
	}
}

// What a key says of an encoding that it does not know must not hide what it said of the right one.
func TestFirstAnswerStandsWhenNoEncodingWorks(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{status(ErrWrongLength), status(ErrClassNotSupported)}}
	_, err := (&Client{Transport: key}).Version(t.Context())
	require.ErrorIs(t, err, ErrWrongLength)
	require.Len(t, key.sent, 3)
}

func TestLongKeyHandleHasNoShortEncoding(t *testing.T) {
	t.Parallel()
	const fits = maxShortData - 65
	for size, asked := range map[int]int{fits: 2, fits + 1: 1, maxKeyHandle: 1} {
		key := &script{answers: [][]byte{status(ErrWrongLength)}}
		yes, err := (&Client{Transport: key}).Check(t.Context(), [32]byte{}, make([]byte, size))
		require.NoError(t, err)
		require.False(t, yes)
		require.Len(t, key.sent, asked, "%d bytes", size)
		require.Len(t, key.sent[0], 7+65+size+2)
	}
}

func TestAnswerInPieces(t *testing.T) {
	t.Parallel()
	whole := unhex(t, exampleRegistration)
	key := &script{answers: [][]byte{
		append(slices.Clone(whole[:256]), 0x61, 0x00), // 256 or more left
		append(slices.Clone(whole[256:512]), 0x61, byte(len(whole)-512)),
		ok(whole[512:]),
	}}
	r, err := (&Client{Transport: key}).Register(t.Context(), [32]byte{}, [32]byte{})
	require.NoError(t, err)
	require.Equal(t, whole, r.encode(t))
	require.Equal(t, [][]byte{unhex(t, "00 c0 00 00 00"), {0, 0xc0, 0, 0, byte(len(whole) - 512)}}, key.sent[1:])
}

func TestErrorAfterAPieceIsReported(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{{'U', 0x61, 0x05}, status(0x6f00)}}
	_, err := (&Client{Transport: key}).Version(t.Context())
	require.ErrorIs(t, err, StatusWord(0x6f00))
}

func TestEndlessPiecesEnd(t *testing.T) {
	t.Parallel()
	for _, piece := range [][]byte{{0x61, 0x00}, append(make([]byte, 7607), 0x61, 0xff)} {
		key := &script{answers: [][]byte{piece}}
		_, err := (&Client{Transport: key}).Register(t.Context(), [32]byte{}, [32]byte{})
		require.ErrorIs(t, err, ErrInvalidResponse)
		require.Len(t, key.sent, maxPieces)
	}
}

// A transport may use its buffer again.
func TestResultsShareNothingWithTheTransport(t *testing.T) {
	t.Parallel()
	answer := ok(unhex(t, exampleRegistration))
	r, err := (&Client{Transport: constant(answer)}).Register(t.Context(), [32]byte{}, [32]byte{})
	require.NoError(t, err)
	clear(answer)
	require.Equal(t, unhex(t, exampleRegistration), r.encode(t))
	_ = append(r.KeyHandle, 0xff) // nor the fields with each other
	_ = append(r.Certificate, 0xff)
	require.Equal(t, unhex(t, exampleRegistration), r.encode(t))
}
