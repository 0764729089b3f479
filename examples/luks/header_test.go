package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// volumeOf is a volume with two headers, of which the second is the newer one and has other metadata.
func volumeOf(size int, first, second string) []byte {
	return append(headerOf(size, 0, magic, 1, first), headerOf(size, size, secondMagic, 2, second)...)
}

func headerOf(size, offset int, magic [6]byte, sequence uint64, metadata string) []byte {
	h := binaryHeader{Magic: magic, Version: 2, Size: uint64(size), SequenceID: sequence, Offset: uint64(offset)}
	copy(h.ChecksumAlgorithm[:], "sha256")
	b := make([]byte, size)
	write := func() {
		if _, err := binary.Encode(b, binary.BigEndian, &h); err != nil {
			panic(err) // b is large enough
		}
	}
	copy(b[binaryArea:], metadata)
	write()
	sum := sha256.Sum256(b)
	copy(h.Checksum[:], sum[:])
	write()
	return b
}

// realVolume is the start of a volume that Debian's cryptsetup 2.6.1 has made: luksFormat with --luks2-metadata-size 16k,
// and token import of what systemd-cryptenroll writes.
func realVolume(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open("testdata/volume.gz")
	require.NoError(t, err)
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	return b
}

func TestReadsWhatCryptsetupWrote(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.WriteFile(path, realVolume(t), 0o600))
	tokens, err := readTokens(path)
	require.NoError(t, err)
	salt := make([]byte, saltSize)
	for i := range salt {
		salt[i] = byte(i)
	}
	require.Equal(t, []token{{
		Type: tokenType, Keyslots: []string{"0"}, Credential: []byte{0, 1, 2}, Salt: salt, RPID: defaultRPID, PINRequired: true,
	}}, tokens)
}

func TestReadsTheRightHeader(t *testing.T) {
	t.Parallel()
	const size = 32 << 10
	spoiled := func(offsets ...int) []byte {
		b := volumeOf(size, "first", "second")
		for _, offset := range offsets {
			b[offset] ^= 1
		}
		return b
	}
	const newer = size + 16 // the sequence ID of the second header
	older := slices.Concat(headerOf(size, 0, magic, 2, "first"), headerOf(size, size, secondMagic, 1, "second"))
	for name, tt := range map[string]struct {
		volume []byte
		want   string
		err    error
	}{
		"newer":                     {spoiled(), "second", nil},
		"older":                     {older, "first", nil},
		"first without its magic":   {spoiled(0), "second", nil},
		"first with a wrong sum":    {spoiled(binaryArea), "second", nil},
		"second with a wrong sum":   {spoiled(newer), "first", nil},
		"second cut off":            {spoiled()[:2*size-1], "first", nil},
		"both with a wrong sum":     {spoiled(binaryArea, newer), "", errBrokenHeader},
		"second where it is not":    {slices.Concat(make([]byte, 16<<10), spoiled()), "", errNoHeader},
		"second of another size":    {slices.Concat(make([]byte, size), headerOf(size/2, size, secondMagic, 1, "second")), "", errNoHeader},
		"first alone and cut off":   {spoiled()[:size-1], "", errBrokenHeader},
		"another sum":               {bytes.ReplaceAll(spoiled(), []byte("sha256"), []byte("sha1\x00\x00")), "", errBrokenHeader},
		"larger than any":           {headerOf(8<<20, 0, magic, 1, "first"), "", errBrokenHeader},
		"smaller than any":          {headerOf(8<<10, 0, magic, 1, "first"), "", errBrokenHeader},
		"first that would be where": {headerOf(size, size, magic, 1, "first"), "", errBrokenHeader},
		"LUKS1":                     {spoiled(7, size+7), "", errNoHeader},
		"nothing":                   {nil, "", errNoHeader},
	} {
		got, err := readMetadata(bytes.NewReader(tt.volume))
		require.ErrorIs(t, err, tt.err, name)
		require.Equal(t, tt.want, string(bytes.TrimRight(got, "\x00")), name)
	}
}

// A disk that fails is another thing than one without a header.
func TestTellsThatTheDiskFails(t *testing.T) {
	t.Parallel()
	_, err := readMetadata(failing{})
	require.ErrorIs(t, err, errDisk)
}

var errDisk = errors.New("input/output error")

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func FuzzParseTokens(f *testing.F) {
	f.Add(realVolume(f))
	f.Add([]byte(`{"tokens":{"0":` + exported + `,"1":{"type":"luks2-keyring","keyslots":[],"key_description":"x"}}}`))
	f.Add([]byte(exported))
	f.Add([]byte(`{"tokens":{"0":[]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		requireUsable(t, b)
		if len(b) < 16<<10-binaryArea { // as metadata, with the right sums
			volume := volumeOf(16<<10, "", string(b))
			metadata, err := readMetadata(bytes.NewReader(volume))
			require.NoError(t, err)
			require.Equal(t, b, metadata[:len(b)])
			requireUsable(t, volume)
		}
	})
}

func requireUsable(t *testing.T, volume []byte) {
	t.Helper()
	tokens, err := parseTokens(bytes.NewReader(volume))
	if err != nil {
		require.Nil(t, tokens)
	}
	for _, tok := range tokens {
		require.Equal(t, tokenType, tok.Type)
		require.Len(t, tok.Salt, saltSize)
		require.NotEmpty(t, tok.Credential)
		require.NotEmpty(t, tok.RPID)
	}
}
