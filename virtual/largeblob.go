package virtual

import (
	"crypto/rand"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// ownBlob is what extension largeBlob keeps with a credential, section 12.4: the other way to store a large blob, without
// authenticatorLargeBlobs.
type ownBlob struct {
	Data         []byte `json:"data"` // compressed by the platform
	OriginalSize uint64 `json:"originalSize"`
}

func (b *ownBlob) size() int {
	if b == nil {
		return 0
	}
	return len(b.Data)
}

// isLargeBlobSupport is for the input of largeBlob that goes with a new credential.
func isLargeBlobSupport(v any) error {
	m, _ := v.(map[any]any)
	switch m["support"] {
	case ctap2.LargeBlobRequired, ctap2.LargeBlobPreferred:
		return nil
	}
	return ctap2.ErrInvalidCBOR
}

// isLargeBlobUse is for the input of largeBlob that goes with an assertion: either it reads, or it writes.
func isLargeBlobUse(v any) error {
	m, _ := v.(map[any]any)
	_, isBlob := m["write"].([]byte)
	_, isSize := m["originalSize"].(uint64)
	switch {
	case len(m) == 1 && m["read"] == true:
		return nil
	case len(m) == 2 && isBlob && isSize:
		return nil
	}
	return ctap2.ErrInvalidCBOR
}

// useOwnBlob reads or writes the large blob of the credential that signs.
func (a *Authenticator) useOwnBlob(as *assertion, cred *credential) (ctapcbor.RawMessage, error) {
	in := as.extensions.LargeBlob
	switch {
	case in.Write != nil:
		written, err := a.writeOwnBlob(as, cred)
		if err != nil {
			return nil, err
		}
		return ownBlobOutput(outputs{"written": written})
	case in.Read && cred.Blob != nil:
		return ownBlobOutput(outputs{"blob": cred.Blob.Data, "originalSize": cred.Blob.OriginalSize})
	}
	return nil, nil
}

// ownBlobOutput is an unsigned extension output.
func ownBlobOutput(out outputs) (ctapcbor.RawMessage, error) {
	return ctapcbor.Marshal(outputs{extensionLargeBlob: out})
}

// writeOwnBlob reports whether it did: only for a credential that the platform has named and that was made for it, and
// while there is room.
func (a *Authenticator) writeOwnBlob(as *assertion, cred *credential) (bool, error) {
	in := as.extensions.LargeBlob
	room := a.config.LargeBlobSize - a.state.ownBlobsSize() + cred.Blob.size()
	if as.named == 0 || !cred.OwnBlob || len(in.Write) > room {
		return false, nil
	}
	next := *cred
	next.Blob = &ownBlob{Data: in.Write, OriginalSize: in.OriginalSize}
	return true, a.update(func(s *state) { s.replace(cred, &next) })
}

func (s *state) ownBlobsSize() int {
	size := 0
	for _, c := range s.Credentials {
		size += c.Blob.size()
	}
	return size
}

const largeBlobKeySize = 32

func newLargeBlobKey() []byte {
	key := make([]byte, largeBlobKeySize)
	rand.Read(key)
	return key
}
