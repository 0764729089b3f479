package ctap2

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// LargeBlobArray is what an authenticator stores for the large blobs of all credentials, and of all programs (section
// 6.10.3). Entries of another kind than this package writes are kept byte for byte. The zero value is an empty array.
type LargeBlobArray struct {
	entries []ctapcbor.RawMessage
}

// largeBlobHashSize is the length of the hash behind the array.
const largeBlobHashSize = 16

// MinLargeBlobArray is the length in bytes of an empty array.
const MinLargeBlobArray = 1 + largeBlobHashSize

// ErrLargeBlobArray is wrapped when a stored array is damaged: a write was interrupted, for example.
var ErrLargeBlobArray = errors.New("the large-blob array is damaged")

// ParseLargeBlobArray decodes a serialized array, which ends with its hash. The result keeps nothing of b.
func ParseLargeBlobArray(b []byte) (*LargeBlobArray, error) {
	if len(b) < MinLargeBlobArray {
		return nil, fmt.Errorf("ctap2: %w: %d bytes", ErrLargeBlobArray, len(b))
	}
	array, hash := b[:len(b)-largeBlobHashSize], b[len(b)-largeBlobHashSize:]
	if !bytes.Equal(hash, largeBlobHash(array)) {
		return nil, fmt.Errorf("ctap2: %w: it does not hash to its hash", ErrLargeBlobArray)
	}
	if major, _, _, err := ctapcbor.Head(array); err != nil || major != ctapcbor.MajorArray {
		return nil, fmt.Errorf("ctap2: %w: it is no array", ErrLargeBlobArray)
	}
	a := new(LargeBlobArray)
	if err := ctapcbor.Unmarshal(array, &a.entries); err != nil {
		return nil, fmt.Errorf("ctap2: %w: %w", ErrLargeBlobArray, err)
	}
	return a, nil
}

// Marshal returns the serialized array with its hash.
func (a *LargeBlobArray) Marshal() []byte {
	b, err := ctapcbor.Marshal(append([]ctapcbor.RawMessage{}, a.entries...)) // nil would be null
	if err != nil {
		panic(err) // each entry was decoded or encoded before: cannot happen
	}
	return append(b, largeBlobHash(b)...)
}

func largeBlobHash(array []byte) []byte {
	sum := sha256.Sum256(array)
	return sum[:largeBlobHashSize]
}

// Len returns how many entries there are, of whatever kind.
func (a *LargeBlobArray) Len() int { return len(a.entries) }

// Get returns the blob that belongs to a credential's largeBlobKey of 32 bytes, and whether there is one. An error
// that wraps [ErrLargeBlob] says that there is one, but that it does not inflate.
func (a *LargeBlobArray) Get(key []byte) (blob []byte, found bool, err error) {
	aead, err := largeBlobCipher(key)
	if err != nil {
		return nil, false, err
	}
	for _, entry := range a.entries {
		if b := parseLargeBlob(entry); b != nil {
			if compressed, ok := b.open(aead); ok {
				blob, err = InflateLargeBlob(compressed, b.OrigSize)
				return blob, err == nil, err
			}
		}
	}
	return nil, false, nil
}

// Set puts a blob of at most [MaxLargeBlob] bytes in the place of the one that belongs to a credential's largeBlobKey
// of 32 bytes, or behind the last entry if there is none.
func (a *LargeBlobArray) Set(key, blob []byte) error {
	aead, err := largeBlobCipher(key)
	if err != nil {
		return err
	}
	if len(blob) > MaxLargeBlob {
		return fmt.Errorf("ctap2: %w: %d bytes", ErrLargeBlob, len(blob))
	}
	entry, err := sealLargeBlob(aead, blob)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(a.entries, opensWith(aead))
	if at < 0 {
		a.entries = append(a.entries, entry)
		return nil
	}
	a.entries[at] = entry
	tail := slices.DeleteFunc(a.entries[at+1:], opensWith(aead))
	a.entries = a.entries[:at+1+len(tail)]
	return nil
}

// Delete removes what belongs to a credential's largeBlobKey of 32 bytes, and says whether there was anything.
func (a *LargeBlobArray) Delete(key []byte) (bool, error) {
	aead, err := largeBlobCipher(key)
	if err != nil {
		return false, err
	}
	before := len(a.entries)
	a.entries = slices.DeleteFunc(a.entries, opensWith(aead))
	return len(a.entries) < before, nil
}

// Retain removes the blobs that belong to none of the given largeBlobKeys, of 32 bytes each, and returns how many
// those were. Entries that are no large blobs stay: nobody but their writers knows what they are
// for.
func (a *LargeBlobArray) Retain(keys [][]byte) (removed int, err error) {
	ciphers := make([]cipher.AEAD, len(keys))
	for i, key := range keys {
		if ciphers[i], err = largeBlobCipher(key); err != nil {
			return 0, err
		}
	}
	before := len(a.entries)
	a.entries = slices.DeleteFunc(a.entries, func(entry ctapcbor.RawMessage) bool {
		return parseLargeBlob(entry) != nil && !slices.ContainsFunc(ciphers, func(aead cipher.AEAD) bool {
			return opensWith(aead)(entry)
		})
	})
	return before - len(a.entries), nil
}

func opensWith(aead cipher.AEAD) func(entry ctapcbor.RawMessage) bool {
	return func(entry ctapcbor.RawMessage) bool {
		b := parseLargeBlob(entry)
		if b == nil {
			return false
		}
		_, ok := b.open(aead)
		return ok
	}
}
