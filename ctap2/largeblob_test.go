package ctap2

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

func TestLargeBlobVectors(t *testing.T) {
	t.Parallel()
	v := loadVectors(t).LargeBlob
	var blob []byte
	for i := range 40 { // the rule of the vector
		sum := sha256.Sum256(fmt.Appendf(nil, "ctap-vectors/blob/%d", i))
		blob = append(blob, sum[:]...)
	}
	key := unhex(t, v.Key)
	a, err := ParseLargeBlobArray(unhex(t, v.SerializedArray))
	require.NoError(t, err)
	require.Equal(t, 1, a.Len())
	got, found, err := a.Get(key)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, blob, got)
	require.Equal(t, v.SerializedArray, hex.EncodeToString(a.Marshal()))
	require.Equal(t, v.AAD, hex.EncodeToString(largeBlobAAD(v.OrigSize)))

	aead, err := largeBlobCipher(key)
	require.NoError(t, err)
	entry := parseLargeBlob(a.entries[0])
	require.Equal(t, v.Ciphertext, hex.EncodeToString(entry.Ciphertext))
	compressed, ok := entry.open(aead)
	require.True(t, ok)
	again, err := sealCompressed(aead, unhex(t, v.Nonce), compressed, v.OrigSize)
	require.NoError(t, err)
	require.Equal(t, []byte(a.entries[0]), again)

	require.Equal(t, v.InitialArray, hex.EncodeToString(new(LargeBlobArray).Marshal()))
	empty, err := ParseLargeBlobArray(unhex(t, v.InitialArray))
	require.NoError(t, err)
	require.Zero(t, empty.Len())
}

// foreign are entries that are no large blobs of ours, in encodings that are not all canonical.
var foreign = []string{"00", "a0", "a3014001400300", "a301500000000000000000000000000000000002410003" + "05", "1800", "8101", "a10102"}

func foreignArray(t testing.TB, entries ...string) *LargeBlobArray {
	t.Helper()
	b := append([]byte{0x80 | byte(len(entries))}, unhex(t, strings.Join(entries, ""))...)
	a, err := ParseLargeBlobArray(append(b, largeBlobHash(b)...))
	require.NoError(t, err)
	require.Equal(t, len(entries), a.Len())
	return a
}

func blobKey(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func TestLargeBlobArrayKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	a := foreignArray(t, foreign...)
	before := a.Marshal()
	blob := bytes.Repeat([]byte("blob"), 100)
	require.NoError(t, a.Set(blobKey(1), blob))
	require.NoError(t, a.Set(blobKey(2), nil))
	require.NoError(t, a.Set(blobKey(1), append(blob, '!')))
	require.Equal(t, len(foreign)+2, a.Len())

	a, err := ParseLargeBlobArray(a.Marshal())
	require.NoError(t, err)
	got, found, err := a.Get(blobKey(1))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, string(blob)+"!", string(got))
	got, found, err = a.Get(blobKey(2))
	require.NoError(t, err)
	require.True(t, found, "an empty blob is one")
	require.Empty(t, got)
	_, found, err = a.Get(blobKey(3))
	require.NoError(t, err)
	require.False(t, found)

	removed, err := a.Retain([][]byte{blobKey(3), blobKey(2)})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	_, found, _ = a.Get(blobKey(1))
	require.False(t, found)
	for _, want := range []bool{true, false} {
		existed, err := a.Delete(blobKey(2))
		require.NoError(t, err)
		require.Equal(t, want, existed)
	}
	require.Equal(t, before, a.Marshal())
}

// Two entries of one key cannot come from this package, but an older one must not come back when the newer is deleted.
func TestLargeBlobArrayReplacesAllOfAKey(t *testing.T) {
	t.Parallel()
	var a, b LargeBlobArray
	require.NoError(t, a.Set(blobKey(1), []byte("first")))
	require.NoError(t, b.Set(blobKey(1), []byte("second")))
	require.NoError(t, b.Set(blobKey(2), []byte("other")))
	twice := foreignArray(t, hex.EncodeToString(a.entries[0]), "00", hex.EncodeToString(b.entries[0]), hex.EncodeToString(b.entries[1]))
	require.NoError(t, twice.Set(blobKey(1), []byte("third")))
	require.Equal(t, 3, twice.Len())
	got, _, err := twice.Get(blobKey(1))
	require.NoError(t, err)
	require.Equal(t, "third", string(got))
	_, found, err := twice.Get(blobKey(2))
	require.NoError(t, err)
	require.True(t, found)
}

func TestDamagedLargeBlobArrays(t *testing.T) {
	t.Parallel()
	sealed := func(s string) []byte { b := unhex(t, s); return append(b, largeBlobHash(b)...) }
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"only a hash":     largeBlobHash(nil),
		"zeroes":          make([]byte, 17),
		"another hash":    append([]byte{0x80}, make([]byte, 16)...),
		"null":            sealed("f6"),
		"bytes":           sealed("420000"),
		"a map":           sealed("a0"),
		"truncated":       sealed("82a0"),
		"too much":        sealed("80a0"),
		"huge":            sealed("9bffffffffffffffff"),
		"indefinite":      sealed("9fff"),
		"deeply nested":   sealed(strings.Repeat("81", 10) + "00"),
		"a string longer": sealed("815bffffffffffffffff"),
	} {
		_, err := ParseLargeBlobArray(b)
		require.ErrorIs(t, err, ErrLargeBlobArray, name)
	}
}

func TestLargeBlobKeysHave32Bytes(t *testing.T) {
	t.Parallel()
	var a LargeBlobArray
	for _, key := range [][]byte{nil, make([]byte, 16), make([]byte, 33)} {
		require.Error(t, a.Set(key, nil))
		_, _, err := a.Get(key)
		require.Error(t, err)
		_, err = a.Delete(key)
		require.Error(t, err)
		_, err = a.Retain([][]byte{key})
		require.Error(t, err)
	}
	require.Zero(t, a.Len())
}

func TestInflateLargeBlob(t *testing.T) {
	t.Parallel()
	blob := bytes.Repeat([]byte("all alike "), 1000)
	compressed := CompressLargeBlob(blob)
	require.Less(t, len(compressed), len(blob)/10)
	got, err := InflateLargeBlob(compressed, uint64(len(blob)))
	require.NoError(t, err)
	require.Equal(t, blob, got)

	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write(blob)
	require.NoError(t, w.Close())
	got, err = InflateLargeBlob(z.Bytes(), uint64(len(blob)))
	require.NoError(t, err)
	require.Equal(t, blob, got)

	zeroes := CompressLargeBlob(make([]byte, 10*MaxLargeBlob))
	for name, tc := range map[string]struct {
		compressed []byte
		size       uint64
	}{
		"too short":      {compressed, uint64(len(blob)) + 1},
		"too long":       {compressed, uint64(len(blob)) - 1},
		"a bomb":         {zeroes, 100},
		"over the bound": {zeroes, 10 * MaxLargeBlob},
		"2^64-1":         {compressed, 1<<64 - 1},
		"truncated":      {compressed[:len(compressed)-3], uint64(len(blob))},
		"not compressed": {blob, uint64(len(blob))},
		"nothing":        {nil, 0},
	} {
		_, err := InflateLargeBlob(tc.compressed, tc.size)
		require.ErrorIs(t, err, ErrLargeBlob, name)
	}
}

// A blob that opens but does not inflate is an error, not absent: absent it would be written anew without a word.
func TestLargeBlobThatDoesNotInflate(t *testing.T) {
	t.Parallel()
	aead, err := largeBlobCipher(blobKey(1))
	require.NoError(t, err)
	entry, err := sealCompressed(aead, make([]byte, 12), []byte("not compressed"), 5)
	require.NoError(t, err)
	a := foreignArray(t, hex.EncodeToString(entry))
	_, found, err := a.Get(blobKey(1))
	require.ErrorIs(t, err, ErrLargeBlob)
	require.False(t, found)
	require.ErrorIs(t, a.Set(blobKey(1), make([]byte, MaxLargeBlob+1)), ErrLargeBlob)
}

// Whatever parses is written again with the same entries; whatever is stored is found.
func FuzzLargeBlobArray(f *testing.F) {
	v := loadVectors(f)
	key, vector := unhex(f, v.LargeBlob.Key), unhex(f, v.LargeBlob.SerializedArray)
	f.Add(vector[:len(vector)-16], []byte("blob"))
	f.Add([]byte{0x80}, []byte{})
	other := foreignArray(f, foreign...).Marshal()
	f.Add(other[:len(other)-16], bytes.Repeat([]byte{7}, 500))
	f.Fuzz(func(t *testing.T, array, blob []byte) {
		a, err := ParseLargeBlobArray(append(array[:len(array):len(array)], largeBlobHash(array)...))
		if err != nil {
			return
		}
		again, err := ParseLargeBlobArray(a.Marshal())
		if err != nil || !equalEntries(a.entries, again.entries) {
			t.Fatalf("%x became %x: %v", a.entries, again, err)
		}
		a.Get(key)
		if err := a.Set(key, blob); err != nil {
			t.Fatal(err)
		}
		got, found, err := a.Get(key)
		if err != nil || !found || !bytes.Equal(got, blob) {
			t.Fatalf("%x became %x: %v", blob, got, err)
		}
		if existed, err := a.Delete(key); err != nil || !existed || a.Len() > again.Len() {
			t.Fatal("not deleted")
		}
	})
}

func equalEntries(a, b []ctapcbor.RawMessage) bool {
	return fmt.Sprintf("%x", a) == fmt.Sprintf("%x", b)
}
