package cose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/internal/seeds"
)

// A signer makes signatures of the form that WebAuthn wants, with the standard library only.
type signer struct {
	alg  Algorithm
	priv crypto.Signer
	hash crypto.Hash
	pss  bool
}

func (s signer) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	digest := message
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	opts := crypto.SignerOpts(s.hash)
	if s.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	sig, err := s.priv.Sign(rand.Reader, digest, opts)
	require.NoError(t, err)
	return sig
}

// signers has one key of each algorithm that signs. The RSA key takes a while to make, so all tests share them.
var signers = sync.OnceValue(func() []signer {
	p256, p384, p521 := newECDSA(elliptic.P256()), newECDSA(elliptic.P384()), newECDSA(elliptic.P521())
	rsaKey := newRSA(2048)
	return []signer{
		{alg: ES256, priv: p256, hash: crypto.SHA256},
		{alg: ES384, priv: p384, hash: crypto.SHA384},
		{alg: ES512, priv: p521, hash: crypto.SHA512},
		{alg: ESP256, priv: p256, hash: crypto.SHA256},
		{alg: ESP384, priv: p384, hash: crypto.SHA384},
		{alg: ESP512, priv: p521, hash: crypto.SHA512},
		{alg: EdDSA, priv: newEd25519()},
		{alg: Ed25519, priv: newEd25519()},
		{alg: RS256, priv: rsaKey, hash: crypto.SHA256},
		{alg: RS384, priv: rsaKey, hash: crypto.SHA384},
		{alg: RS512, priv: rsaKey, hash: crypto.SHA512},
		{alg: PS256, priv: rsaKey, hash: crypto.SHA256, pss: true},
		{alg: PS384, priv: rsaKey, hash: crypto.SHA384, pss: true},
		{alg: PS512, priv: rsaKey, hash: crypto.SHA512, pss: true},
	}
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECDSA(c elliptic.Curve) *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(c, rand.Reader)) }

func newEd25519() ed25519.PrivateKey {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	return must(priv, err)
}

func newRSA(bits int) *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, bits)) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestAlgorithmString(t *testing.T) {
	t.Parallel()
	for name, alg := range map[string]Algorithm{
		"ES256": ES256, "ES384": ES384, "ES512": ES512, "EdDSA": EdDSA, "Ed25519": Ed25519, "RS256": RS256,
		"ESP256": ESP256, "ESP384": ESP384, "ESP512": ESP512, "RS1": RS1, "RS384": RS384, "RS512": RS512,
		"PS256": PS256, "PS384": PS384, "PS512": PS512, "ES256K": ES256K, "Ed448": Ed448,
		"ML-DSA-44": MLDSA44, "ML-DSA-65": MLDSA65, "ML-DSA-87": MLDSA87, "ECDH-ES+HKDF-256": ECDHESHKDF256,
	} {
		require.Equal(t, name, alg.String())
	}
	require.Equal(t, "COSE(-999)", Algorithm(-999).String())
}

func TestAlgorithmHash(t *testing.T) {
	t.Parallel()
	for alg, want := range map[Algorithm]crypto.Hash{
		RS1: crypto.SHA1, ES256: crypto.SHA256, PS384: crypto.SHA384, RS512: crypto.SHA512, ES256K: crypto.SHA256,
		EdDSA: 0, Ed448: 0, MLDSA44: 0, ECDHESHKDF256: 0, -999: 0,
	} {
		h, ok := alg.Hash()
		require.Equal(t, want, h, alg)
		require.Equal(t, want != 0, ok, alg)
	}
}

// A key agreement key and an Ed25519 signature that other implementations made.
func TestParseKeyReadsKeysOfOthers(t *testing.T) {
	t.Parallel()
	const x = "af80cc2227ca85957ad66b5210c7024ad1e31b5fb358398c7c44adf19ebff08b"
	const y = "50e1be12ba1a846376a4ce583b3989c23a199013a97c170367ae30ad3c49e8d3"
	b := unhex(t, "a501020338182001215820"+x+"225820"+y)
	k, err := ParseKey(b)
	require.NoError(t, err)
	require.Equal(t, ECDHESHKDF256, k.Algorithm)
	require.Equal(t, unhex(t, "04"+x+y), k.Public.(*ecdh.PublicKey).Bytes())

	out, err := k.MarshalCBOR()
	require.NoError(t, err)
	require.Equal(t, b, out)
	require.ErrorIs(t, k.Verify([]byte("m"), []byte("s")), ErrVerification, "it is not for signatures")
}

func TestVerifyRFC8032(t *testing.T) {
	t.Parallel()
	// RFC 8032 section 7.1, TEST 2.
	k, err := ParseKey(unhex(t, "a4010103272006215820"+
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
	require.NoError(t, err)
	sig := unhex(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"+
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
	require.NoError(t, k.Verify([]byte{0x72}, sig))
}

func TestKeyRoundTripsThroughCBORAndPKIX(t *testing.T) {
	t.Parallel()
	for _, s := range signers() {
		t.Run(s.alg.String(), func(t *testing.T) {
			t.Parallel()
			k, err := NewKey(s.alg, s.priv.Public())
			require.NoError(t, err)

			b, err := k.MarshalCBOR()
			require.NoError(t, err)
			fromCBOR, err := ParseKey(b)
			require.NoError(t, err)
			require.Equal(t, k, fromCBOR)

			der, err := k.MarshalPKIX()
			require.NoError(t, err)
			fromDER, err := ParsePKIX(der)
			require.NoError(t, err)
			require.Equal(t, k.Public, fromDER.Public)
			usual := map[Algorithm]bool{ES256: true, ES384: true, ES512: true, EdDSA: true, RS256: true}
			require.Equal(t, usual[s.alg], fromDER.Algorithm == s.alg, "%v", fromDER.Algorithm)
		})
	}
}

func TestKeyIsAMemberOfMessages(t *testing.T) {
	t.Parallel()
	type message struct {
		KeyAgreement *Key `cbor:"1,keyasint"`
	}
	in := message{must(NewKey(ES256, signers()[0].priv.Public()))}
	b, err := ctapcbor.Marshal(in)
	require.NoError(t, err)
	require.Equal(t, byte(0xa5), b[2], "a map, not a byte string")

	var out message
	require.NoError(t, ctapcbor.Unmarshal(b, &out))
	require.Equal(t, in, out)

	require.Error(t, ctapcbor.Unmarshal([]byte{0xa1, 0x01, 0xa0}, &out))
}

func TestParseKeyTellsUnknownAlgorithms(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]map[any]any{
		"Ed448":        {1: 1, 3: -53, -1: 7, -2: make([]byte, 57)},
		"ML-DSA":       {1: 7, 3: -48, -1: make([]byte, 1312)},
		"RS1":          {1: 3, 3: -65535, -1: allOnes(256), -2: []byte{1, 0, 1}},
		"WalnutDSA":    {1: 6, 3: -260, -1: 1},
		"HMAC 256/256": {1: 4, 3: 5, -1: make([]byte, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(must(ctapcbor.Marshal(in)))
			require.ErrorIs(t, err, ErrUnsupportedAlgorithm)
		})
	}
}

// valid returns the members of a good key, for a test to spoil.
func valid(t testing.TB, alg Algorithm) map[any]any {
	t.Helper()
	for _, s := range signers() {
		if s.alg == alg {
			var m map[any]any
			b := must(must(NewKey(alg, s.priv.Public())).MarshalCBOR())
			require.NoError(t, ctapcbor.Unmarshal(b, &m))
			return m
		}
	}
	require.FailNow(t, "no key for the algorithm")
	return nil
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	type members = map[any]any
	const removed = "removed"
	negative := func(n int64) any { return n }
	for name, c := range map[string]struct {
		alg    Algorithm
		change members
	}{
		"missing kty":                 {ES256, members{uint64(1): removed}},
		"missing alg":                 {ES256, members{uint64(3): removed}},
		"missing curve":               {ES256, members{negative(-1): removed}},
		"missing x":                   {ES256, members{negative(-2): removed}},
		"missing y":                   {ES256, members{negative(-3): removed}},
		"kid":                         {ES256, members{uint64(2): []byte("me")}},
		"key_ops":                     {ES256, members{uint64(4): []int{2}}},
		"base IV":                     {ES256, members{uint64(5): []byte{1}}},
		"private key":                 {ES256, members{negative(-4): make([]byte, 32)}},
		"text label":                  {ES256, members{"alg": -7}},
		"label 2^64-1 in place of -1": {ES256, members{negative(-1): removed, uint64(1<<64 - 1): 1}},
		"kty of another type":         {ES256, members{uint64(1): 1}},
		"kty null":                    {ES256, members{uint64(1): nil}},
		"kty simple value 2":          {ES256, members{uint64(1): ctapcbor.RawMessage{0xe2}}},
		"alg as text":                 {ES256, members{uint64(3): "ES256"}},
		"alg null":                    {ES256, members{uint64(3): nil}},
		"alg that wraps at 32 bits":   {ES256, members{uint64(3): int64(-7) - 1<<32}},
		"alg of another curve":        {ES256, members{uint64(3): ES384}},
		"curve of another alg":        {ES256, members{negative(-1): crvP384}},
		"short x":                     {ES256, members{negative(-2): make([]byte, 31)}},
		"long x":                      {ES256, members{negative(-2): make([]byte, 33)}},
		"empty x":                     {ES256, members{negative(-2): []byte{}}},
		"x null":                      {EdDSA, members{negative(-2): nil}},
		"x an array of numbers":       {EdDSA, members{negative(-2): make([]int, 32)}},
		"x as text":                   {EdDSA, members{negative(-2): string(make([]byte, 32))}},
		"compressed y":                {ES256, members{negative(-3): true}},
		"point off the curve":         {ES256, members{negative(-2): make([]byte, 32)}},
		"point at infinity":           {ES256, members{negative(-2): make([]byte, 32), negative(-3): make([]byte, 32)}},
		"off the curve for ECDH":      {ES256, members{uint64(3): ECDHESHKDF256, negative(-2): make([]byte, 32)}},
		"P-521 x over the field":      {ES512, members{negative(-2): allOnes(66)}},
		"short P-521 x":               {ES512, members{negative(-2): make([]byte, 65)}},
		"Ed25519 with y":              {EdDSA, members{negative(-3): make([]byte, 32)}},
		"Ed25519 on another curve":    {EdDSA, members{negative(-1): 4}},
		"short Ed25519 key":           {EdDSA, members{negative(-2): make([]byte, 31)}},
		"RSA modulus of 2047 bits":    {RS256, members{negative(-1): append([]byte{0x7f}, allOnes(255)...)}},
		"RSA modulus of 8200 bits":    {RS256, members{negative(-1): allOnes(1025)}},
		"RSA modulus with zeros":      {RS256, members{negative(-1): append([]byte{0}, allOnes(256)...)}},
		"even RSA modulus":            {RS256, members{negative(-1): append(allOnes(255), 0xfe)}},
		"empty RSA modulus":           {RS256, members{negative(-1): []byte{}}},
		"RSA exponent 1":              {RS256, members{negative(-2): []byte{1}}},
		"even RSA exponent":           {RS256, members{negative(-2): []byte{4}}},
		"RSA exponent 2^31+1":         {RS256, members{negative(-2): []byte{0x80, 0, 0, 1}}},
		"RSA exponent of five bytes":  {RS256, members{negative(-2): []byte{1, 0, 0, 0, 1}}},
		"RSA exponent with zeros":     {RS256, members{negative(-2): []byte{0, 1, 0, 1}}},
		"empty RSA exponent":          {RS256, members{negative(-2): []byte{}}},
		"RSA factor":                  {RS256, members{negative(-3): make([]byte, 32)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := valid(t, c.alg)
			for label, value := range c.change {
				if value == removed {
					delete(m, label)
				} else {
					m[label] = value
				}
			}
			k, err := ParseKey(must(ctapcbor.Marshal(m)))
			require.ErrorContains(t, err, "cose: ")
			require.Nil(t, k)
		})
	}
}

// Together the coordinates are a point of the curve, and a parser that only concatenates them would take it.
func TestParseKeyRefusesCoordinatesThatAreCutAtTheWrongByte(t *testing.T) {
	t.Parallel()
	m := valid(t, ES256)
	x, y := m[int64(-2)].([]byte), m[int64(-3)].([]byte)
	m[int64(-2)], m[int64(-3)] = x[:31], append(x[31:], y...)
	_, err := ParseKey(must(ctapcbor.Marshal(m)))
	require.ErrorContains(t, err, "member -2 is not a byte string of 32 bytes")
}

func allOnes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func TestParseKeyRefusesWhatIsNoMap(t *testing.T) {
	t.Parallel()
	k := must(must(NewKey(ES256, signers()[0].priv.Public())).MarshalCBOR())
	duplicate := append([]byte{0xa6}, append(k[1:len(k):len(k)], 0x01, 0x02)...)
	simpleLabel := append([]byte{0xa5, 0xe1}, k[2:]...)
	for name, in := range map[string][]byte{
		"empty":                  {},
		"null":                   {0xf6},
		"array":                  {0x80},
		"empty map":              {0xa0},
		"duplicate label":        duplicate,
		"simple value as label":  simpleLabel,
		"huge count of members":  {0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"huge bignum as a label": {0xa1, 0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"array as a label":       {0xa1, 0x80, 0x01},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(in)
			require.ErrorContains(t, err, "cose: ")
		})
	}
}

func TestParseKeyAcceptsSloppyEncoding(t *testing.T) {
	t.Parallel()
	k := must(NewKey(EdDSA, newEd25519().Public()))
	b := must(k.MarshalCBOR()) // a4 01 01 03 27 20 06 21 58 20 ...
	sloppy := append([]byte{0xa4, 0x03, 0x27, 0x18, 0x01, 0x18, 0x01, 0x20, 0x06}, b[7:]...)
	got, err := ParseKey(sloppy)
	require.NoError(t, err, "members out of order, integers wider than they need")
	require.Equal(t, k, got)
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	p256, p384 := newECDSA(elliptic.P256()).Public(), newECDSA(elliptic.P384()).Public()
	modulus := new(big.Int).SetBytes(allOnes(256))
	//lint:ignore SA1019 no other way leads to a key that is wrong
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, c := range map[string]struct {
		alg Algorithm
		pub crypto.PublicKey
	}{
		"nothing":                  {ES256, nil},
		"a nil ECDSA key":          {ES256, (*ecdsa.PublicKey)(nil)},
		"a nil ECDH key":           {ECDHESHKDF256, (*ecdh.PublicKey)(nil)},
		"a nil RSA key":            {RS256, (*rsa.PublicKey)(nil)},
		"an RSA key of nothing":    {RS256, &rsa.PublicKey{}},
		"a negative modulus":       {RS256, &rsa.PublicKey{N: new(big.Int).Neg(modulus), E: 3}},
		"a modulus of 8193 bits":   {RS256, &rsa.PublicKey{N: new(big.Int).SetBit(modulus, 8192, 1), E: 3}},
		"an exponent of 1":         {RS256, &rsa.PublicKey{N: modulus, E: 1}},
		"a private key":            {EdDSA, newEd25519()},
		"a short Ed25519 key":      {EdDSA, ed25519.PublicKey{1}},
		"P-384 for ES256":          {ES256, p384},
		"P-256 for RS256":          {RS256, p256},
		"ECDSA for key agreement":  {ECDHESHKDF256, p256},
		"X25519 for key agreement": {ECDHESHKDF256, must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()},
		"ECDH for ES256":           {ES256, must(ecdh.P256().GenerateKey(rand.Reader)).PublicKey()},
		"Ed25519 for ES256":        {ES256, newEd25519().Public()},
		"Ed25519 for RS256":        {RS256, newEd25519().Public()},
		"a point off the curve":    {ES256, offCurve},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewKey(c.alg, c.pub)
			require.ErrorContains(t, err, "cose: ")

			k := &Key{c.alg, c.pub}
			_, err = k.MarshalCBOR()
			require.Error(t, err)
			_, err = k.MarshalPKIX()
			require.Error(t, err)
			require.Error(t, k.Verify([]byte("m"), []byte("s")))
		})
	}
	_, err := NewKey(-999, p256)
	require.ErrorIs(t, err, ErrUnsupportedAlgorithm)
}

func TestParsePKIXRefuses(t *testing.T) {
	t.Parallel()
	k := must(NewKey(ES256, newECDSA(elliptic.P256()).Public()))
	good := must(k.MarshalPKIX())
	for name, in := range map[string][]byte{
		"empty":    {},
		"trailing": append(good, 0),
		"X25519": append(unhex(t, "302a300506032b656e032100"),
			must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey().Bytes()...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePKIX(in)
			require.ErrorContains(t, err, "cose: ")
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	message := []byte("authenticator data and the hash of the client data")
	for _, s := range signers() {
		t.Run(s.alg.String(), func(t *testing.T) {
			t.Parallel()
			k := must(NewKey(s.alg, s.priv.Public()))
			sig := s.sign(t, message)
			require.NoError(t, k.Verify(message, sig))

			for i := range message {
				message := append([]byte(nil), message...)
				message[i] ^= 1 << (i % 8)
				require.ErrorIs(t, k.Verify(message, sig), ErrVerification, "message byte %d", i)
			}
			for i := range sig {
				sig := append([]byte(nil), sig...)
				sig[i] ^= 1 << (i % 8)
				require.ErrorIs(t, k.Verify(message, sig), ErrVerification, "signature byte %d", i)
			}
			require.ErrorIs(t, k.Verify(message, nil), ErrVerification)
			require.ErrorIs(t, k.Verify(message, append(sig, 0)), ErrVerification, "trailing byte")
			require.ErrorIs(t, k.Verify(message, sig[:len(sig)-1]), ErrVerification, "truncated")
		})
	}
}

func FuzzParseKey(f *testing.F) {
	seeds.Add(f, "cose-keys")
	for _, s := range signers() {
		f.Add(must(must(NewKey(s.alg, s.priv.Public())).MarshalCBOR()))
	}
	agreement := must(ecdh.P256().GenerateKey(rand.Reader)).PublicKey()
	f.Add(must(must(NewKey(ECDHESHKDF256, agreement)).MarshalCBOR()))
	f.Add([]byte{0xa1, 0x03, 0x26})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err != nil {
			require.Nil(t, k)
			return
		}
		out, err := k.MarshalCBOR()
		require.NoError(t, err)
		require.LessOrEqual(t, len(out), len(b), "the canonical form is the shortest")
		again, err := ParseKey(out)
		require.NoError(t, err)
		require.Equal(t, k, again)

		der, err := k.MarshalPKIX()
		require.NoError(t, err)
		if k.Algorithm == ECDHESHKDF256 {
			return // as SPKI it looks like a key for ES256
		}
		back, err := ParsePKIX(der)
		require.NoError(t, err)
		require.Equal(t, k.Public, back.Public)
	})
}

func BenchmarkVerifyES256(b *testing.B) {
	s := signers()[0]
	message := make([]byte, 69) // authenticator data without extensions, and a client data hash
	sig := s.sign(b, message)
	pub := s.priv.Public().(*ecdsa.PublicKey)
	k := must(NewKey(ES256, pub))

	b.Run("Key.Verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if k.Verify(message, sig) != nil {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			digest := sha256.Sum256(message)
			if !ecdsa.VerifyASN1(pub, digest[:], sig) {
				b.Fatal("does not verify")
			}
		}
	})
}
