package virtual

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// blobArray returns a serialized large-blob array of so many bytes.
func blobArray(t testing.TB, size int) []byte {
	t.Helper()
	const overhead = 1 + 3 + largeBlobHashSize // for a byte string of 256 to 65535 bytes
	array, err := ctapcbor.Marshal([]any{make([]byte, size-overhead)})
	require.NoError(t, err)
	sum := sha256.Sum256(array)
	return append(array, sum[:largeBlobHashSize]...)
}

// readBlobs reads the array in fragments of so many bytes.
func readBlobs(t testing.TB, client *ctap2.Client, fragment uint32) (array []byte) {
	t.Helper()
	for {
		part, err := client.GetLargeBlobs(t.Context(), uint32(len(array)), fragment)
		require.NoError(t, err)
		array = append(array, part...)
		if uint32(len(part)) < fragment {
			return array
		}
	}
}

func writeBlobs(t testing.TB, client *ctap2.Client, token *ctap2.Token, array []byte, fragment int) error {
	t.Helper()
	for offset := 0; offset < len(array); offset += fragment {
		part := array[offset:min(len(array), offset+fragment)]
		err := client.SetLargeBlobs(t.Context(), token, uint32(offset), uint32(len(array)), part)
		if err != nil {
			return err
		}
	}
	return nil
}

func TestLargeBlobsAreEmptyAtFirst(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	array := readBlobs(t, client, 100)
	require.Equal(t, []byte{0x80}, array[:1])
	require.Len(t, array, ctap2.MinLargeBlobArray)
	_, err := ctap2.ParseLargeBlobArray(array)
	require.NoError(t, err)
}

func TestLargeBlobsAreWrittenAndRead(t *testing.T) {
	t.Parallel()
	for _, fragment := range []int{1, 100, 960, defaultMessageSize - largeBlobOverhead} {
		key, client := newKeyWithPIN(t, Config{})
		token := tokenFor(t, client, ctap2.PermissionLargeBlobWrite, "")
		array := blobArray(t, 1000)
		require.NoError(t, writeBlobs(t, client, token, array, fragment))
		require.Equal(t, array, readBlobs(t, client, uint32(fragment)))
		key.PowerCycle()
		require.Equal(t, array, readBlobs(t, client, 500))

		require.NoError(t, client.Reset(t.Context()))
		require.Len(t, readBlobs(t, client, 100), ctap2.MinLargeBlobArray)
	}
}

func TestLargeBlobsOfAKeyWithoutPINNeedNoToken(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	array := blobArray(t, 1000)
	require.NoError(t, writeBlobs(t, client, nil, array, 600))
	require.Equal(t, array, readBlobs(t, client, 600))
}

func TestLargeBlobsSurviveARestart(t *testing.T) {
	t.Parallel()
	config := Config{StateFile: t.TempDir() + "/state"}
	key, client := newKey(t, config)
	array := blobArray(t, 700)
	require.NoError(t, writeBlobs(t, client, nil, array, 700))
	key.Close()
	_, client = newKey(t, config)
	require.Equal(t, array, readBlobs(t, client, 500))
}

// Until the last fragment, the old array is what counts.
func TestLargeBlobsChangeAtOnce(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	old, next := blobArray(t, 600), blobArray(t, 900)
	require.NoError(t, writeBlobs(t, client, nil, old, 600))
	begin := func(array []byte) {
		t.Helper()
		require.NoError(t, client.SetLargeBlobs(t.Context(), nil, 0, uint32(len(array)), array[:500]))
		require.Equal(t, old, readBlobs(t, client, 1000))
	}
	begin(next)
	key.PowerCycle()
	require.ErrorIs(t, client.SetLargeBlobs(t.Context(), nil, 500, 0, next[500:]), ctap2.ErrInvalidSeq)

	torn := bytes.Clone(next)
	torn[600] ^= 1
	begin(torn)
	require.ErrorIs(t, client.SetLargeBlobs(t.Context(), nil, 500, 0, torn[500:]), ctap2.ErrIntegrityFailure)
	require.Equal(t, old, readBlobs(t, client, 1000))

	begin(next)
	require.ErrorIs(t, client.SetLargeBlobs(t.Context(), nil, 400, 0, next[400:]), ctap2.ErrInvalidSeq)
	require.ErrorIs(t, client.SetLargeBlobs(t.Context(), nil, 500, 0, append(next[500:], 0)), ctap2.ErrInvalidParameter)
	require.NoError(t, client.SetLargeBlobs(t.Context(), nil, 500, 0, next[500:]))
	require.Equal(t, next, readBlobs(t, client, 1000))
}

func TestLargeBlobsFillUp(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{LargeBlobSize: 1100})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1100, info.MaxSerializedLargeBlobArray)
	require.ErrorIs(t, writeBlobs(t, client, nil, blobArray(t, 1101), 1101), ctap2.ErrLargeBlobStorageFull)
	require.NoError(t, writeBlobs(t, client, nil, blobArray(t, 1100), 1100))
}

func TestLargeBlobsRefuse(t *testing.T) {
	t.Parallel()
	type m = map[int]any
	array := blobArray(t, 500)
	for name, tt := range map[string]struct {
		params any
		want   ctap2.Status
	}{
		"nothing":               {m{3: 0}, ctap2.ErrInvalidParameter},
		"both":                  {m{1: 10, 2: array, 3: 0, 4: 500}, ctap2.ErrInvalidParameter},
		"get without offset":    {m{1: 10}, ctap2.ErrInvalidParameter},
		"get of a bad type":     {m{1: "10", 3: 0}, ctap2.ErrCBORUnexpectedType},
		"get less than nothing": {m{1: -1, 3: 0}, ctap2.ErrCBORUnexpectedType},
		"get too much":          {m{1: defaultMessageSize - largeBlobOverhead + 1, 3: 0}, ctap2.ErrInvalidLength},
		"get behind the end":    {m{1: 10, 3: ctap2.MinLargeBlobArray + 1}, ctap2.ErrInvalidParameter},
		"get at the end":        {m{1: 10, 3: ctap2.MinLargeBlobArray}, 0},
		"get with length":       {m{1: 10, 3: 0, 4: 10}, ctap2.ErrInvalidParameter},
		"get with token":        {m{1: 10, 3: 0, 5: make([]byte, 32), 6: 2}, ctap2.ErrInvalidParameter},
		"get with protocol":     {m{1: 10, 3: 0, 6: 2}, ctap2.ErrInvalidParameter},
		"set without offset":    {m{2: array, 4: 500}, ctap2.ErrInvalidParameter},
		"set of a bad type":     {m{2: "x", 3: 0, 4: 500}, ctap2.ErrCBORUnexpectedType},
		"set without length":    {m{2: array, 3: 0}, ctap2.ErrInvalidParameter},
		"set with short length": {m{2: array, 3: 0, 4: 16}, ctap2.ErrInvalidParameter},
		"set too much": {
			m{2: make([]byte, defaultMessageSize-largeBlobOverhead+1), 3: 0, 4: 1800}, ctap2.ErrInvalidLength,
		},
		"set in the middle":  {m{2: array, 3: 10}, ctap2.ErrInvalidSeq},
		"second with length": {m{2: array, 3: 10, 4: 500}, ctap2.ErrInvalidParameter},
		"set, storage full":  {m{2: array, 3: 0, 4: 4097}, ctap2.ErrLargeBlobStorageFull},
		"set without token":  {m{2: array, 3: 0, 4: 500}, ctap2.ErrPUATRequired},
		"without protocol":   {m{2: array, 3: 0, 4: 500, 5: make([]byte, 32)}, ctap2.ErrMissingParameter},
		"unknown protocol":   {m{2: array, 3: 0, 4: 500, 5: make([]byte, 32), 6: 9}, ctap2.ErrInvalidParameter},
		"wrong token":        {m{2: array, 3: 0, 4: 500, 5: make([]byte, 32), 6: 2}, ctap2.ErrPINAuthInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, _ := newKeyWithPIN(t, Config{})
			require.Equal(t, tt.want, send(t, key, ctap2.CommandLargeBlobs, tt.params))
		})
	}
}

func TestLargeBlobsWantTheirPermission(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	for _, token := range []*ctap2.Token{
		tokenFor(t, client, manage, ""), tokenFor(t, client, defaultPermissions, testRP.ID),
	} {
		require.ErrorIs(t, writeBlobs(t, client, token, blobArray(t, 500), 500), ctap2.ErrPINAuthInvalid)
	}
}

func TestLargeBlobsOutliveATouch(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	token := tokenFor(t, client, defaultPermissions|ctap2.PermissionLargeBlobWrite, testRP.ID)
	register(t, client, withToken(newRequest(), token))
	require.NoError(t, writeBlobs(t, client, token, blobArray(t, 500), 500), "the permission lbw is not spent")
}
