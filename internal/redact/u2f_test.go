package redact

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// u2fKey answers U2F requests and has its messages redacted, as a recording would.
type u2fKey struct {
	t         *testing.T
	r         *Redactor
	handle    []byte
	cert      []byte
	signature []byte
	point     []byte
	seen      [][]byte // after redaction
	answered  []byte   // the last answer, redacted
}

func newU2FKey(t *testing.T) *u2fKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	// One integer with a leading zero and one without.
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(append([]byte{0xf0}, point[2:33]...)),
		new(big.Int).SetBytes(append([]byte{0x10}, point[34:65]...)),
	})
	require.NoError(t, err)
	named := bytes.Repeat([]byte("serial 4711 "), 30)
	cert, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: named})
	require.NoError(t, err)
	handle := make([]byte, 64)
	rand.Read(handle)
	return &u2fKey{t: t, r: New(), handle: handle, cert: cert, signature: signature, point: point}
}

// Msg implements [ctap1.Transport].
func (k *u2fKey) Msg(_ context.Context, request []byte) ([]byte, error) {
	answer := []byte{0x90, 0}
	switch request[1] {
	case insRegister:
		answer = slices.Concat([]byte{5}, k.point, []byte{byte(len(k.handle))}, k.handle, k.cert, k.signature, answer)
	case insAuthenticate:
		answer = slices.Concat(binary.BigEndian.AppendUint32([]byte{1}, 4711), k.signature, answer)
	case 0x03: // VERSION
		answer = append([]byte("U2F_V2"), answer...)
	}
	k.redact(false, request)
	k.answered = k.redact(true, answer)
	return answer, nil
}

func (k *u2fKey) redact(fromDevice bool, data []byte) []byte {
	before := bytes.Clone(data)
	m := ctaphid.Message{CID: 1, FromDevice: fromDevice, Command: ctaphid.CommandMsg, Data: bytes.Clone(data)}
	k.r.Message(m)
	require.Equal(k.t, before[:1], m.Data[:1])
	require.Len(k.t, m.Data, len(before))
	k.seen = append(k.seen, m.Data)
	return m.Data
}

// canned answers with what was redacted.
type canned []byte

func (c canned) Msg(context.Context, []byte) ([]byte, error) { return c, nil }

func TestU2FMessages(t *testing.T) {
	t.Parallel()
	k := newU2FKey(t)
	client := ctap1.Client{Transport: k}
	challenge, application := [32]byte{1, 2, 3}, [32]byte{4, 5, 6}
	_, err := client.Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "U2F_V2\x90\x00", string(k.answered))

	before, err := client.Register(t.Context(), challenge, application)
	require.NoError(t, err)
	redacted := ctap1.Client{Transport: canned(k.answered)}
	after, err := redacted.Register(t.Context(), challenge, application)
	require.NoError(t, err, "a point on the curve, a certificate and a signature in DER")
	require.NotEqual(t, before.PublicKey, after.PublicKey)
	k.r = New()
	_, err = client.Register(t.Context(), challenge, application)
	require.NoError(t, err)
	redacted.Transport = canned(k.answered)
	again, err := redacted.Register(t.Context(), challenge, application)
	require.NoError(t, err)
	require.NotEqual(t, after.PublicKey, again.PublicKey, "nobody can compute it from the true one")
	after = again
	require.Len(t, after.KeyHandle, len(before.KeyHandle))
	require.Len(t, after.Certificate, len(before.Certificate))

	_, err = client.Authenticate(t.Context(), ctap1.EnforceUserPresence, challenge, application, k.handle)
	require.NoError(t, err)
	require.Contains(t, string(k.seen[len(k.seen)-2]), string(after.KeyHandle), "the same pseudonym")
	redacted.Transport = canned(k.answered)
	assertion, err := redacted.Authenticate(t.Context(), ctap1.EnforceUserPresence, challenge, application, k.handle)
	require.NoError(t, err)
	require.Zero(t, assertion.Counter)

	for _, private := range [][]byte{
		challenge[:], application[:], k.handle, k.point[1:33], k.point[33:], []byte("4711"),
		k.signature[6:36], k.signature[40:],
	} {
		require.False(t, bytes.Contains(bytes.Join(k.seen, nil), private), "%x", private)
	}
}

// Messages that are not quite U2F: what is not understood is hidden.
func TestOddU2FMessages(t *testing.T) {
	t.Parallel()
	marker := make([]byte, 16)
	rand.Read(marker)
	register, authenticate := []byte{0, 1, 0, 0}, []byte{0, 2, 0, 0}
	registered := append([]byte{5}, make([]byte, 65)...)
	for name, tc := range map[string]struct{ request, response []byte }{
		"short encoding":        {slices.Concat([]byte{0, 1, 3, 0, 64}, make([]byte, 48), marker, []byte{0}), nil},
		"little data":           {slices.Concat([]byte{0, 1, 3, 0, 16}, marker), nil},
		"wrong length":          {slices.Concat([]byte{0, 1, 3, 0, 0, 1, 0}, marker), nil},
		"too much":              {slices.Concat([]byte{0, 1, 3, 0, 1, 1}, marker), nil},
		"no request":            {marker[:3], nil},
		"registration cut":      {register, append([]byte{5, 4}, marker...)},
		"registration handle":   {register, slices.Concat(registered, []byte{255}, marker)},
		"registration no cert":  {register, slices.Concat(registered, []byte{0}, marker)},
		"certificate too short": {register, slices.Concat(registered, []byte{0, 0x30, 0x82, 0xff, 0xff}, marker)},
		"certificate and more":  {register, slices.Concat(registered, []byte{0, 0x30, 0x81, 1, 0}, marker)},
		"signature and more":    {authenticate, slices.Concat([]byte{1, 0, 0, 0, 0, 0x30, 0}, marker)},
		"no integers":           {authenticate, slices.Concat([]byte{1, 0, 0, 0, 0, 0x30, 17, 2}, marker)},
		"no signature":          {authenticate, slices.Concat([]byte{1, 0, 0, 0, 0}, marker)},
		"vendor instruction":    {[]byte{0, 0x40, 0, 0}, marker},
		"strange version":       {[]byte{0, 3, 0, 0}, marker},
	} {
		r := New()
		request, response := bytes.Clone(tc.request), append(bytes.Clone(tc.response), 0x90, 0)
		r.Message(ctaphid.Message{Command: ctaphid.CommandMsg, Data: request})
		r.Message(ctaphid.Message{Command: ctaphid.CommandMsg, FromDevice: true, Data: response})
		for _, seen := range [][]byte{request, response} {
			require.False(t, bytes.Contains(seen, marker[4:12]), name)
		}
		require.Equal(t, []byte{0x90, 0}, response[len(response)-2:], name)
	}
	for n := range 8 {
		New().Message(ctaphid.Message{Command: ctaphid.CommandMsg, Data: make([]byte, n)})
		New().Message(ctaphid.Message{Command: ctaphid.CommandMsg, FromDevice: true, Data: make([]byte, n)})
	}
}
