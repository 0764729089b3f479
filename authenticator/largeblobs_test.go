package authenticator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// blobStore answers largeBlobs as a key of CTAP 2.1 does (section 6.10.2).
type blobStore struct {
	t       *testing.T
	array   []byte
	pending []byte
	length  uint32
	reads   int
	writes  int // fragments

	beforeWrite func()           // another program's chance
	read        func(uint32) any // lies; nil tells the truth
}

func newBlobStore(t *testing.T) *blobStore {
	return &blobStore{t: t, array: new(ctap2.LargeBlobArray).Marshal()}
}

func (s *blobStore) answer(b []byte) any {
	var req ctap2.LargeBlobsRequest
	require.NoError(s.t, ctapcbor.Unmarshal(b, &req))
	if req.Get == nil {
		return s.set(&req)
	}
	s.reads++
	if s.read != nil {
		return s.read(req.Offset)
	}
	if int(req.Offset) > len(s.array) {
		return ctap2.ErrInvalidParameter
	}
	rest := s.array[req.Offset:]
	return &ctap2.LargeBlobsResponse{Config: append([]byte{}, rest[:min(len(rest), int(*req.Get))]...)}
}

func (s *blobStore) set(req *ctap2.LargeBlobsRequest) any {
	s.writes++
	if s.beforeWrite != nil {
		s.beforeWrite()
	}
	if req.Offset == 0 {
		s.pending, s.length = nil, req.Length
	}
	if int(req.Offset) != len(s.pending) {
		return ctap2.ErrInvalidSeq
	}
	s.pending = append(s.pending, req.Set...)
	if len(s.pending) < int(s.length) {
		return nil
	}
	hash := sha256.Sum256(s.pending[:len(s.pending)-16])
	if !bytes.Equal(hash[:16], s.pending[len(s.pending)-16:]) {
		return ctap2.ErrIntegrityFailure
	}
	s.array = s.pending
	return nil
}

// keeper is a key without a PIN that keeps its large blobs in the store.
func keeper(t *testing.T, s *blobStore, change func(*ctap2.Info)) (*Authenticator, *wire) {
	t.Helper()
	_, ui := answers(t)
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	w := &wire{key: key}
	w.answering(t, func(info *ctap2.Info) {
		info.Options["largeBlobs"], info.MaxMsgSize, info.MaxSerializedLargeBlobArray = true, 1024, 4096
		if change != nil {
			change(info)
		}
	}, map[ctap2.Command]fake{largeBlobs: s.answer})
	return openWire(t, w, ui), w
}

func blobKey(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

// noise does not compress.
func noise(n int) (b []byte) {
	for i := byte(0); len(b) < n; i++ {
		b = append(b, hash(string(i))...)
	}
	return b[:n]
}

func TestLargeBlobs(t *testing.T) {
	t.Parallel()
	s := newBlobStore(t)
	foreign, err := hex.DecodeString("82a301400240030018ff")
	require.NoError(t, err)
	sum := sha256.Sum256(foreign)
	s.array = append(foreign, sum[:16]...)
	a, _ := keeper(t, s, nil)
	big := noise(2500)
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), big))
	require.Equal(t, 3, s.writes, "fragments of 960 bytes")
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(2), []byte("small")))
	s.reads = 0
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, s.reads)
	require.Equal(t, 4, blobs.Len())
	got, found, err := blobs.Get(blobKey(1))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, big, got)
	require.Contains(t, string(s.array), string(foreign[1:]), "byte for byte")

	s.writes = 0
	require.NoError(t, a.DeleteLargeBlob(t.Context(), blobKey(3)))
	require.Zero(t, s.writes, "there was none")
	require.NoError(t, a.DeleteLargeBlob(t.Context(), blobKey(1)))
	require.NoError(t, a.DeleteLargeBlob(t.Context(), blobKey(2)))
	require.Equal(t, foreign, s.array[:len(s.array)-16])
	require.NoError(t, a.EraseLargeBlobs(t.Context()))
	require.Equal(t, new(ctap2.LargeBlobArray).Marshal(), s.array)
}

func TestProgressOfLargeBlobs(t *testing.T) {
	t.Parallel()
	a, _ := keeper(t, newBlobStore(t), nil)
	var written [][2]int
	a.ui.Notify = func(e Event) { written = append(written, [2]int{e.Done, e.Total}) }
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), noise(2500)))
	require.Len(t, written, 3)
	total := written[0][1]
	require.Equal(t, [][2]int{{960, total}, {1920, total}, {total, total}}, written)
}

// An array that ends with a fragment is followed by an empty one.
func TestLargeBlobsThatFillTheirFragments(t *testing.T) {
	t.Parallel()
	s := newBlobStore(t)
	a, _ := keeper(t, s, nil)
	for size := 850; len(s.array) != 960; size++ {
		require.Less(t, size, 960)
		require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), noise(size)))
	}
	s.reads, s.writes = 0, 0
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, blobs.Len())
	require.Equal(t, 2, s.reads)
}

func TestLargeBlobsDoNotFit(t *testing.T) {
	t.Parallel()
	s := newBlobStore(t)
	a, _ := keeper(t, s, nil)
	before := s.array
	err := a.SetLargeBlob(t.Context(), blobKey(1), noise(4096))
	require.ErrorIs(t, err, ctap2.ErrLargeBlobStorageFull)
	require.Equal(t, KindStoreFull, KindOf(err))
	require.Equal(t, before, s.array)
	require.Zero(t, s.writes)
	for _, key := range [][]byte{nil, make([]byte, 16)} {
		require.ErrorIs(t, a.SetLargeBlob(t.Context(), key, nil), ErrInvalidOptions)
		require.ErrorIs(t, a.DeleteLargeBlob(t.Context(), key), ErrInvalidOptions)
	}
	require.ErrorIs(t, a.SetLargeBlob(t.Context(), blobKey(1), make([]byte, ctap2.MaxLargeBlob+1)), ErrInvalidOptions)
}

// What is damaged is not overwritten unless somebody says so.
func TestDamagedLargeBlobs(t *testing.T) {
	t.Parallel()
	s := newBlobStore(t)
	a, _ := keeper(t, s, nil)
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), []byte("precious")))
	s.array[3] ^= 1
	s.reads, s.writes = 0, 0
	torn := bytes.Clone(s.array)
	_, err := a.LargeBlobs(t.Context())
	require.ErrorIs(t, err, ctap2.ErrLargeBlobArray)
	require.Equal(t, 2, s.reads, "it may have been read while another program wrote")
	require.Equal(t, KindProtocol, KindOf(err))
	require.ErrorIs(t, a.SetLargeBlob(t.Context(), blobKey(2), nil), ctap2.ErrLargeBlobArray)
	require.ErrorIs(t, a.DeleteLargeBlob(t.Context(), blobKey(1)), ctap2.ErrLargeBlobArray)
	require.Zero(t, s.writes)
	require.Equal(t, torn, s.array)
	require.NoError(t, a.EraseLargeBlobs(t.Context()))
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	require.Zero(t, blobs.Len())
}

// Another program that writes in between loses nothing, and neither do we.
func TestLargeBlobsOfTwoPrograms(t *testing.T) {
	t.Parallel()
	s := newBlobStore(t)
	a, _ := keeper(t, s, nil)
	other, _ := keeper(t, s, nil)
	interfered := 0
	s.beforeWrite = func() {
		if s.writes == 2 && interfered == 0 { // between our first and our second fragment
			interfered++
			require.NoError(t, other.SetLargeBlob(t.Context(), blobKey(2), []byte("theirs")))
		}
	}
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), noise(1500)))
	require.Equal(t, 1, interfered)
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	for key, want := range map[byte][]byte{1: noise(1500), 2: []byte("theirs")} {
		got, found, err := blobs.Get(blobKey(key))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, want, got)
	}

	s.writes = 0
	s.beforeWrite = func() { s.pending = nil } // somebody is always faster
	require.ErrorIs(t, a.SetLargeBlob(t.Context(), blobKey(1), noise(1500)), ctap2.ErrInvalidSeq)
	require.Equal(t, 2*maxLargeBlobWrites, s.writes)
}

func TestLargeBlobStoresThatLie(t *testing.T) {
	t.Parallel()
	full := make([]byte, 960)
	for name, tc := range map[string]struct {
		info  func(*ctap2.Info)
		read  func(offset uint32) any
		err   error
		reads int
	}{
		"endless": {nil, func(uint32) any { return map[int]any{1: full} }, ErrInvalidResponse, 5},
		"endless with room for 2^64-1": {func(info *ctap2.Info) {
			info.MaxSerializedLargeBlobArray = math.MaxUint64
		}, func(uint32) any { return map[int]any{1: full} }, ErrInvalidResponse, maxLargeBlobArray/960 + 1},
		"endless and does not say": {func(info *ctap2.Info) {
			info.MaxSerializedLargeBlobArray = 0
		}, func(uint32) any { return map[int]any{1: full} }, ErrInvalidResponse, maxLargeBlobArray/960 + 1},
		"more than asked for":    {nil, func(uint32) any { return map[int]any{1: make([]byte, 961)} }, ctap2.ErrInvalidResponse, 1},
		"nothing":                {nil, func(uint32) any { return map[int]any{} }, ctap2.ErrInvalidResponse, 1},
		"too short for an array": {nil, func(uint32) any { return map[int]any{1: full[:16]} }, ctap2.ErrLargeBlobArray, 2},
		"empty":                  {nil, func(uint32) any { return map[int]any{1: []byte{}} }, ctap2.ErrLargeBlobArray, 2},
		"an error":               {nil, func(uint32) any { return ctap2.ErrOther }, ctap2.ErrOther, 1},
	} {
		s := newBlobStore(t)
		s.read = tc.read
		a, _ := keeper(t, s, tc.info)
		_, err := a.LargeBlobs(t.Context())
		require.ErrorIs(t, err, tc.err, name)
		require.Equal(t, tc.reads, s.reads, name)
		require.Error(t, a.SetLargeBlob(t.Context(), blobKey(1), nil), name)
		require.Zero(t, s.writes, name)
	}
}

// Fragments fit into what any transport takes, whatever the key says.
func TestLargeBlobFragments(t *testing.T) {
	t.Parallel()
	for said, want := range map[uint64]int{0: 960, 64: 960, 1024: 960, 2048: 1984, math.MaxUint64: 7609 - 64} {
		a, _ := keeper(t, newBlobStore(t), func(info *ctap2.Info) { info.MaxMsgSize = said })
		require.Equal(t, want, a.fragmentSize(), said)
	}
}

// Blobs without a credential go, others stay, and one PIN is enough.
func TestCollectLargeBlobs(t *testing.T) {
	t.Parallel()
	blobs, creds := newBlobStore(t), twoRPs(t)
	p, ui := answers(t, "1234")
	w := &wire{key: keyWithPIN(t, virtual.Config{})}
	w.answering(t, option("largeBlobs", "credMgmt"), map[ctap2.Command]fake{
		largeBlobs: blobs.answer, credentialManagement: creds.answer,
	})
	a := openWire(t, w, ui)
	var array ctap2.LargeBlobArray
	require.NoError(t, array.Set(blobKey(3), []byte("of the third credential")))
	want := array.Marshal()
	require.NoError(t, array.Set(blobKey(9), []byte("of nobody")))
	require.NoError(t, array.Set(blobKey(8), []byte("of nobody")))
	blobs.array = array.Marshal()

	removed, err := a.CollectLargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, removed)
	require.Equal(t, want, blobs.array)
	require.Len(t, p.requests, 1)
	blobs.writes = 0
	removed, err = a.CollectLargeBlobs(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
	require.Zero(t, blobs.writes)

	// When the list of credentials cannot be had, nothing is abandoned.
	creds.lie = func(sub ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any {
		if sub == ctap2.SubcommandEnumerateRPsGetNextRP {
			return ctap2.ErrOther
		}
		return r
	}
	_, err = a.CollectLargeBlobs(t.Context())
	require.ErrorIs(t, err, ctap2.ErrOther)
	require.Zero(t, blobs.writes)
}

// FuzzLargeBlobReads reads from a key that answers anything, fragment by fragment.
func FuzzLargeBlobReads(f *testing.F) {
	f.Add(new(ctap2.LargeBlobArray).Marshal(), uint16(960))
	f.Add(noise(3000), uint16(700))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, array []byte, size uint16) {
		a := &Authenticator{transport: fragments{array, int(size)}}
		a.setInfo(&ctap2.Info{MaxMsgSize: 1024, MaxSerializedLargeBlobArray: 8192})
		blobs, err := a.readLargeBlobs(t.Context())
		if err == nil && !bytes.Equal(blobs.Marshal()[len(blobs.Marshal())-16:], array[len(array)-16:]) {
			t.Fatal("other blobs than there are")
		}
	})
}

// fragments answers largeBlobs with fragments of a size of its own.
type fragments struct {
	array []byte
	size  int
}

func (f fragments) CBOR(_ context.Context, request []byte, _ func(byte)) ([]byte, error) {
	var req ctap2.LargeBlobsRequest
	if err := ctapcbor.Unmarshal(request[1:], &req); err != nil {
		return nil, err
	}
	rest := f.array[min(int(req.Offset), len(f.array)):]
	b, err := ctapcbor.Marshal(&ctap2.LargeBlobsResponse{Config: append([]byte{}, rest[:min(f.size, len(rest))]...)})
	return append([]byte{0}, b...), err
}
