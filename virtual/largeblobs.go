package virtual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	defaultLargeBlobSize = 4096 // bytes
	minLargeBlobSize     = 1024
	largeBlobOverhead    = 64 // of a message, beside the fragment
	largeBlobHashSize    = 16
)

const (
	paramLargeBlobGet      key = 0x01
	paramLargeBlobSet      key = 0x02
	paramLargeBlobOffset   key = 0x03
	paramLargeBlobLength   key = 0x04
	paramLargeBlobParam    key = 0x05
	paramLargeBlobProtocol key = 0x06
)

var isLargeBlobs = isRecord(
	optional(paramLargeBlobGet, isUnsigned),
	optional(paramLargeBlobSet, isBytes),
	optional(paramLargeBlobOffset, isUnsigned),
	optional(paramLargeBlobLength, isUnsigned),
	optional(paramLargeBlobParam, isBytes),
	optional(paramLargeBlobProtocol, isUnsigned),
)

// largeBlobWrite is a large-blob array of which not all has arrived.
type largeBlobWrite struct {
	length int
	data   []byte
}

// largeBlobs is authenticatorLargeBlobs, section 6.10.2.
func (a *Authenticator) largeBlobs(_ context.Context, _ *call, params []byte) (any, error) {
	req := new(ctap2.LargeBlobsRequest)
	sent, err := decode(params, isLargeBlobs, req)
	if err != nil {
		return nil, err
	}
	if !sent.has(paramLargeBlobOffset) || sent.has(paramLargeBlobGet) == sent.has(paramLargeBlobSet) {
		return nil, ctap2.ErrInvalidParameter
	}
	if sent.has(paramLargeBlobGet) {
		return a.readLargeBlobs(req, sent)
	}
	return nil, a.writeLargeBlobs(req, sent)
}

// maxFragment is how many bytes of the array fit into a message.
func (a *Authenticator) maxFragment() int { return a.config.MaxMessageSize - largeBlobOverhead }

func (a *Authenticator) readLargeBlobs(req *ctap2.LargeBlobsRequest, sent message) (*ctap2.LargeBlobsResponse, error) {
	if sent.has(paramLargeBlobLength) || sent.has(paramLargeBlobParam) || sent.has(paramLargeBlobProtocol) {
		return nil, ctap2.ErrInvalidParameter
	}
	if uint64(*req.Get) > uint64(a.maxFragment()) {
		return nil, ctap2.ErrInvalidLength
	}
	array := a.state.largeBlobArray()
	if uint64(req.Offset) > uint64(len(array)) {
		return nil, ctap2.ErrInvalidParameter
	}
	array = array[req.Offset:]
	return &ctap2.LargeBlobsResponse{Config: array[:min(len(array), int(*req.Get))]}, nil
}

func (a *Authenticator) writeLargeBlobs(req *ctap2.LargeBlobsRequest, sent message) error {
	if len(req.Set) > a.maxFragment() {
		return ctap2.ErrInvalidLength
	}
	if err := a.checkFragment(req, sent.has(paramLargeBlobLength)); err != nil {
		return err
	}
	if a.isProtected() || a.alwaysUV() {
		if err := a.authorizeLargeBlobs(req); err != nil {
			return err
		}
	}
	if req.Offset == 0 {
		a.volatile.largeBlobs = &largeBlobWrite{length: int(req.Length)}
	}
	return a.appendLargeBlobs(req.Set)
}

// checkFragment refuses a fragment that does not follow the last one, or a first one of an array that does not fit.
func (a *Authenticator) checkFragment(req *ctap2.LargeBlobsRequest, hasLength bool) error {
	if req.Offset > 0 {
		w := a.volatile.largeBlobs
		switch {
		case hasLength:
			return ctap2.ErrInvalidParameter
		case w == nil || uint64(req.Offset) != uint64(len(w.data)):
			return ctap2.ErrInvalidSeq
		}
		return nil
	}
	switch {
	case !hasLength:
		return ctap2.ErrInvalidParameter
	case uint64(req.Length) > uint64(a.config.LargeBlobSize):
		return ctap2.ErrLargeBlobStorageFull
	case req.Length < ctap2.MinLargeBlobArray:
		return ctap2.ErrInvalidParameter
	}
	return nil
}

func (a *Authenticator) authorizeLargeBlobs(req *ctap2.LargeBlobsRequest) error {
	hash := sha256.Sum256(req.Set)
	head := append(bytes.Repeat([]byte{0xff}, 32), byte(ctap2.CommandLargeBlobs), 0)
	signed := slices.Concat(binary.LittleEndian.AppendUint32(head, req.Offset), hash[:])
	_, err := a.require(claim{req.PINUVAuthProtocol, req.PINUVAuthParam, signed, ctap2.PermissionLargeBlobWrite})
	return err
}

// appendLargeBlobs stores the array when all of it is there and hashes to its last bytes.
func (a *Authenticator) appendLargeBlobs(fragment []byte) error {
	w := a.volatile.largeBlobs
	if len(w.data)+len(fragment) > w.length {
		return ctap2.ErrInvalidParameter
	}
	w.data = append(w.data, fragment...)
	if len(w.data) < w.length {
		return nil
	}
	a.volatile.largeBlobs = nil
	if !isLargeBlobArray(w.data) {
		return ctap2.ErrIntegrityFailure
	}
	return a.update(func(s *state) { s.LargeBlobs = w.data })
}

func isLargeBlobArray(b []byte) bool {
	array, hash := b[:len(b)-largeBlobHashSize], b[len(b)-largeBlobHashSize:]
	sum := sha256.Sum256(array)
	return bytes.Equal(sum[:largeBlobHashSize], hash)
}

// largeBlobArray returns the serialized array, which is empty at first.
func (s *state) largeBlobArray() []byte {
	if s.LargeBlobs != nil {
		return s.LargeBlobs
	}
	return new(ctap2.LargeBlobArray).Marshal()
}
