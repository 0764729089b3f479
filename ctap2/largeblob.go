package ctap2

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// MaxLargeBlob is the size in bytes up to which this package inflates a large blob. No authenticator has room for so
// many bytes, unless they are all alike.
const MaxLargeBlob = 1 << 20

const (
	largeBlobKeySize   = 32
	largeBlobNonceSize = 12
	gcmTagSize         = 16
)

// ErrLargeBlob is wrapped when a large blob is not what its credential's key was used on, or too large.
var ErrLargeBlob = errors.New("not a large blob")

// CompressLargeBlob compresses a blob by DEFLATE (RFC 1951).
func CompressLargeBlob(blob []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant: cannot happen
	}
	w.Write(blob) // a buffer takes everything
	w.Close()
	return b.Bytes()
}

// InflateLargeBlob reverses [CompressLargeBlob], and takes the zlib form (RFC 1950) that some programs write as well.
// The result has exactly originalSize bytes; more than [MaxLargeBlob] are refused.
func InflateLargeBlob(compressed []byte, originalSize uint64) ([]byte, error) {
	if originalSize > MaxLargeBlob {
		return nil, fmt.Errorf("ctap2: %w: %d bytes", ErrLargeBlob, originalSize)
	}
	blob, err := inflate(flate.NewReader(bytes.NewReader(compressed)), int(originalSize))
	if err == nil {
		return blob, nil
	}
	if r, notZlib := zlib.NewReader(bytes.NewReader(compressed)); notZlib == nil {
		blob, err = inflate(r, int(originalSize))
	}
	if err != nil {
		return nil, fmt.Errorf("ctap2: %w: %w", ErrLargeBlob, err)
	}
	return blob, nil
}

// inflate reads size bytes, which must be all there are.
func inflate(r io.Reader, size int) ([]byte, error) {
	blob, err := io.ReadAll(io.LimitReader(r, int64(size)+1))
	if err != nil {
		return nil, err
	}
	if len(blob) != size {
		return nil, fmt.Errorf("it does not inflate to %d bytes", size)
	}
	return blob, nil
}

// largeBlob is an entry of the large-blob array: one credential's blob, compressed and encrypted (section 6.10.3).
type largeBlob struct {
	Ciphertext []byte `cbor:"1,keyasint"` // AES-256-GCM with the tag at its end
	Nonce      []byte `cbor:"2,keyasint"`
	OrigSize   uint64 `cbor:"3,keyasint"`
}

// parseLargeBlob returns nil for an entry that is something else.
func parseLargeBlob(entry []byte) *largeBlob {
	var b largeBlob
	err := ctapcbor.Unmarshal(entry, &b)
	if err != nil || len(b.Nonce) != largeBlobNonceSize || len(b.Ciphertext) < gcmTagSize {
		return nil
	}
	return &b
}

func largeBlobCipher(key []byte) (cipher.AEAD, error) {
	if len(key) != largeBlobKeySize {
		return nil, fmt.Errorf("ctap2: largeBlobKey of %d bytes, want %d", len(key), largeBlobKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err // cannot happen
	}
	return cipher.NewGCM(block)
}

func largeBlobAAD(origSize uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte("blob"), origSize)
}

// sealLargeBlob encodes an entry.
func sealLargeBlob(aead cipher.AEAD, blob []byte) ([]byte, error) {
	nonce := make([]byte, largeBlobNonceSize)
	rand.Read(nonce) // never fails
	return sealCompressed(aead, nonce, CompressLargeBlob(blob), uint64(len(blob)))
}

func sealCompressed(aead cipher.AEAD, nonce, compressed []byte, origSize uint64) ([]byte, error) {
	ciphertext := aead.Seal(nil, nonce, compressed, largeBlobAAD(origSize))
	return ctapcbor.Marshal(&largeBlob{Ciphertext: ciphertext, Nonce: nonce, OrigSize: origSize})
}

// open returns the compressed blob if it was encrypted with the cipher's key.
func (b *largeBlob) open(aead cipher.AEAD) (compressed []byte, ok bool) {
	compressed, err := aead.Open(nil, b.Nonce, b.Ciphertext, largeBlobAAD(b.OrigSize))
	return compressed, err == nil
}
