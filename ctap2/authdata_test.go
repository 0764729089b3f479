package ctap2

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/internal/seeds"
)

// authDataSample is authenticator data with everything in it.
func authDataSample(t testing.TB) *AuthenticatorData {
	t.Helper()
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	key, err := cose.NewKey(cose.EdDSA, ed25519.NewKeyFromSeed(seed).Public())
	require.NoError(t, err)
	raw, err := key.MarshalCBOR()
	require.NoError(t, err)
	d := &AuthenticatorData{
		Flags:     FlagUP | FlagUV | FlagAT | FlagED,
		SignCount: 0x01020304,
		Credential: &AttestedCredential{
			AAGUID:       AAGUID{0: 0xcb, 15: 0xa8},
			ID:           []byte("credential"),
			PublicKey:    key,
			RawPublicKey: raw,
		},
		Extensions: ctapcbor.RawMessage{0xa1, 0x61, 'x', 0xf5},
	}
	copy(d.RPIDHash[:], "the SHA-256 of the RP ID, 32 byte")
	return d
}

// authDataBytes joins the fields by hand, in the order of WebAuthn Level 3 sections 6.1 and 6.5.1.
func authDataBytes(d *AuthenticatorData) []byte {
	b := append(d.RPIDHash[:], byte(d.Flags), byte(d.SignCount>>24), byte(d.SignCount>>16), byte(d.SignCount>>8),
		byte(d.SignCount))
	if c := d.Credential; c != nil {
		b = append(b, c.AAGUID[:]...)
		b = append(b, byte(len(c.ID)>>8), byte(len(c.ID)))
		b = append(b, c.ID...)
		b = append(b, c.RawPublicKey...)
	}
	return append(b, d.Extensions...)
}

func TestParseAuthenticatorData(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*AuthenticatorData){
		"everything":      func(*AuthenticatorData) {},
		"an assertion":    func(d *AuthenticatorData) { d.Flags, d.Credential, d.Extensions = FlagUP, nil, nil },
		"no flags at all": func(d *AuthenticatorData) { d.Flags, d.Credential, d.Extensions = 0, nil, nil },
		"extensions only": func(d *AuthenticatorData) { d.Flags, d.Credential = FlagED, nil },
		"credential only": func(d *AuthenticatorData) { d.Flags, d.Extensions = FlagAT, nil },
		"reserved flags":  func(d *AuthenticatorData) { d.Flags |= 0x22 },
		"longest ID":      func(d *AuthenticatorData) { d.Credential.ID = make([]byte, 1023) },
		"shortest ID":     func(d *AuthenticatorData) { d.Credential.ID = make([]byte, 1) },
		"no extension":    func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{0xa0} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := authDataSample(t)
			change(d)
			b := authDataBytes(d)

			got, err := ParseAuthenticatorData(b)
			require.NoError(t, err)
			require.Equal(t, d, got)

			out, err := d.Marshal()
			require.NoError(t, err)
			require.Equal(t, b, out)
		})
	}
}

func TestParseAuthenticatorDataCopies(t *testing.T) {
	t.Parallel()
	d := authDataSample(t)
	b := authDataBytes(d)
	got, err := ParseAuthenticatorData(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, d, got)
}

func TestParseAuthenticatorDataKeepsUnknownPublicKeys(t *testing.T) {
	t.Parallel()
	d := authDataSample(t)
	d.Credential.PublicKey = nil
	d.Credential.RawPublicKey = []byte{0xa2, 0x01, 0x07, 0x03, 0x38, 0x2f} // kty AKP, alg ML-DSA-44
	b := authDataBytes(d)

	got, err := ParseAuthenticatorData(b)
	require.NoError(t, err)
	require.Equal(t, d, got)
	out, err := got.Marshal()
	require.NoError(t, err)
	require.Equal(t, b, out)
}

func TestParseAuthenticatorDataRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*AuthenticatorData){
		"bytes behind the end":       func(d *AuthenticatorData) { d.Extensions = append(d.Extensions, 0) },
		"credential without flag":    func(d *AuthenticatorData) { d.Flags &^= FlagAT },
		"extensions without flag":    func(d *AuthenticatorData) { d.Flags &^= FlagED },
		"flag without credential":    func(d *AuthenticatorData) { d.Credential, d.Extensions = nil, nil },
		"flag without extensions":    func(d *AuthenticatorData) { d.Extensions = nil },
		"empty ID":                   func(d *AuthenticatorData) { d.Credential.ID = nil },
		"ID over 1023 bytes":         func(d *AuthenticatorData) { d.Credential.ID = make([]byte, 1024) },
		"no public key":              func(d *AuthenticatorData) { d.Credential.RawPublicKey = nil },
		"public key null":            func(d *AuthenticatorData) { d.Credential.RawPublicKey = []byte{0xf6} },
		"public key with two algs":   func(d *AuthenticatorData) { d.Credential.RawPublicKey = []byte{0xa2, 3, 1, 3, 1} },
		"public key of a wrong kty":  func(d *AuthenticatorData) { d.Credential.RawPublicKey[2] = 2 },
		"extensions null":            func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{0xf6} },
		"extensions an array":        func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{0x80} },
		"extensions with number key": func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{0xa1, 0x01, 0x01} },
		"an extension twice": func(d *AuthenticatorData) {
			d.Extensions = ctapcbor.RawMessage{0xa2, 0x61, 'x', 0xf5, 0x61, 'x', 0xf4}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := authDataSample(t)
			change(d)
			got, err := ParseAuthenticatorData(authDataBytes(d))
			require.ErrorContains(t, err, "ctap2: authenticator data: ")
			require.Nil(t, got)
		})
	}
}

func TestParseAuthenticatorDataRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	b := authDataBytes(authDataSample(t))
	for n := range b {
		_, err := ParseAuthenticatorData(b[:n])
		require.Error(t, err, "%d of %d bytes", n, len(b))
	}
}

func TestParseAuthenticatorDataRefusesAnIDThatEndsBehindTheData(t *testing.T) {
	t.Parallel()
	b := authDataBytes(authDataSample(t))
	binary.BigEndian.PutUint16(b[37+16:], 1023)
	_, err := ParseAuthenticatorData(b)
	require.ErrorIs(t, err, errTruncated)
}

func TestAuthenticatorDataMarshal(t *testing.T) {
	t.Parallel()
	t.Run("encodes the public key", func(t *testing.T) {
		t.Parallel()
		d := authDataSample(t)
		want := authDataBytes(d)
		d.Credential.RawPublicKey = nil
		b, err := d.Marshal()
		require.NoError(t, err)
		require.Equal(t, want, b)
	})
	t.Run("leaves the struct alone", func(t *testing.T) {
		t.Parallel()
		d := authDataSample(t)
		_, err := d.Marshal()
		require.NoError(t, err)
		require.Equal(t, authDataSample(t), d)
	})
	for name, change := range map[string]func(*AuthenticatorData){
		"credential without flag": func(d *AuthenticatorData) { d.Flags &^= FlagAT },
		"flag without credential": func(d *AuthenticatorData) { d.Credential = nil },
		"extensions without flag": func(d *AuthenticatorData) { d.Flags &^= FlagED },
		"flag without extensions": func(d *AuthenticatorData) { d.Extensions = nil },
		"extensions not a map":    func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{0x01} },
		"empty extensions":        func(d *AuthenticatorData) { d.Extensions = ctapcbor.RawMessage{} },
		"empty ID":                func(d *AuthenticatorData) { d.Credential.ID = nil },
		"ID over 1023 bytes":      func(d *AuthenticatorData) { d.Credential.ID = make([]byte, 1024) },
		"no public key":           func(d *AuthenticatorData) { d.Credential.PublicKey, d.Credential.RawPublicKey = nil, nil },
		"invalid public key": func(d *AuthenticatorData) {
			d.Credential.PublicKey, d.Credential.RawPublicKey = &cose.Key{}, nil
		},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			d := authDataSample(t)
			change(d)
			_, err := d.Marshal()
			require.ErrorContains(t, err, "ctap2: authenticator data: ")
		})
	}
}

func TestFlagsString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "UP|UV|AT", (FlagUP | FlagUV | FlagAT).String())
	require.Equal(t, "UP|RFU1|UV|BE|BS|RFU2|AT|ED", Flags(0xff).String())
	require.Equal(t, "0", Flags(0).String())
}

func TestFlagsHasWantsAllBits(t *testing.T) {
	t.Parallel()
	require.True(t, FlagUP.Has(FlagUP))
	require.False(t, FlagUP.Has(FlagUP|FlagUV))
}

func TestAAGUIDString(t *testing.T) {
	t.Parallel()
	a := AAGUID{0xcb, 0x69, 0x48, 0x1e, 0x8f, 0xf7, 0x40, 0x39, 0x93, 0xec, 0x0a, 0x27, 0x29, 0xa1, 0x54, 0xa8}
	require.Equal(t, "cb69481e-8ff7-4039-93ec-0a2729a154a8", a.String())
}

func TestAAGUIDIsAMemberOfMessages(t *testing.T) {
	t.Parallel()
	type message struct {
		AAGUID AAGUID `cbor:"3,keyasint"`
	}
	in := message{AAGUID{1, 2, 3}}
	b, err := ctapcbor.Marshal(in)
	require.NoError(t, err)
	require.Equal(t, []byte{0xa1, 0x03, 0x50, 1, 2, 3, 0}, b[:7])

	var out message
	require.NoError(t, ctapcbor.Unmarshal(b, &out))
	require.Equal(t, in, out)

	for name, value := range map[string]any{
		"short":              make([]byte, 15),
		"long":               make([]byte, 17),
		"empty":              []byte{},
		"text":               string(make([]byte, 16)),
		"an array":           make([]int, 16),
		"null":               nil,
		"an array in a list": [][]byte{make([]byte, 16)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := ctapcbor.Marshal(map[int]any{3: value})
			require.NoError(t, err)
			var out message
			require.ErrorContains(t, ctapcbor.Unmarshal(b, &out), "AAGUID is not a byte string of 16 bytes")
		})
	}
}

func FuzzParseAuthenticatorData(f *testing.F) {
	seeds.Add(f, "authenticator-data")
	sample := authDataSample(f)
	f.Add(authDataBytes(sample))
	sample.Credential.RawPublicKey = []byte{0xa2, 0x01, 0x07, 0x03, 0x38, 0x2f}
	f.Add(authDataBytes(sample))
	f.Add(make([]byte, 37))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseAuthenticatorData(b)
		if err != nil {
			require.Nil(t, d)
			return
		}
		out, err := d.Marshal()
		require.NoError(t, err)
		require.Equal(t, b, out)
	})
}
