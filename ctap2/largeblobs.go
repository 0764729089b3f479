package ctap2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// LargeBlobsRequest holds the parameters of authenticatorLargeBlobs (section 6.10): Get or Set.
// [Client.GetLargeBlobs] and [Client.SetLargeBlobs] fill it in.
type LargeBlobsRequest struct {
	Get               *uint32     `cbor:"1,keyasint,omitempty"` // bytes to read
	Set               []byte      `cbor:"2,keyasint,omitzero"`
	Offset            uint32      `cbor:"3,keyasint"`
	Length            uint32      `cbor:"4,keyasint,omitempty"` // of the whole, with the first fragment only
	PINUVAuthParam    []byte      `cbor:"5,keyasint,omitempty"`
	PINUVAuthProtocol PINProtocol `cbor:"6,keyasint,omitempty"`
}

// LargeBlobsResponse is the answer to authenticatorLargeBlobs with Get.
type LargeBlobsResponse struct {
	Config []byte `cbor:"1,keyasint,omitzero"`
}

// GetLargeBlobs reads up to count bytes of the serialized large-blob array, at most Info.MaxMsgSize-64. A fragment
// that is shorter is the last.
func (c *Client) GetLargeBlobs(ctx context.Context, offset, count uint32) ([]byte, error) {
	resp := new(LargeBlobsResponse)
	err := c.call(ctx, CommandLargeBlobs, &LargeBlobsRequest{Get: &count, Offset: offset}, resp)
	if err != nil {
		return nil, err
	}
	if resp.Config == nil || uint64(len(resp.Config)) > uint64(count) {
		return nil, missing(CommandLargeBlobs, "config")
	}
	return resp.Config, nil
}

// SetLargeBlobs writes a fragment of the serialized large-blob array, at most Info.MaxMsgSize-64 bytes. Fragments
// must come in order; the first, at offset 0, tells the length of the whole, and the last makes it take effect. The
// token, with PermissionLargeBlobWrite, may be nil if neither a PIN nor anything else protects the authenticator.
func (c *Client) SetLargeBlobs(ctx context.Context, t *Token, offset, length uint32, fragment []byte) error {
	req := &LargeBlobsRequest{Set: fragment, Offset: offset}
	if offset == 0 {
		req.Length = length
	}
	req.PINUVAuthParam, req.PINUVAuthProtocol = t.param(largeBlobsMessage(offset, fragment))
	return c.call(ctx, CommandLargeBlobs, req, nil)
}

// largeBlobsMessage is what authorizes a fragment: 32 bytes 0xff, the command, 0, the offset and the fragment's hash.
func largeBlobsMessage(offset uint32, fragment []byte) []byte {
	message := append(bytes.Repeat([]byte{0xff}, 32), byte(CommandLargeBlobs), 0)
	message = binary.LittleEndian.AppendUint32(message, offset)
	hash := sha256.Sum256(fragment)
	return append(message, hash[:]...)
}
