package authenticator

import (
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

const largeBlobKeySize = 32

// extensionWish is an extension, and whether the caller asks for it.
type extensionWish struct {
	id    string
	asked bool
}

// knowsExtensions returns an error for the first extension that is asked for and that the key does not know.
func knowsExtensions(info *ctap2.Info, wishes ...extensionWish) error {
	for _, w := range wishes {
		if w.asked && !info.HasExtension(w.id) {
			return fmt.Errorf("%w: %s", ErrUnsupported, w.id)
		}
	}
	return nil
}

// decodeExtensions decodes the extension outputs, if there are any, into v.
func decodeExtensions(data *ctap2.AuthenticatorData, v any) error {
	if data.Extensions == nil {
		return nil
	}
	if err := ctapcbor.Unmarshal(data.Extensions, v); err != nil {
		return fmt.Errorf("%w: extension outputs: %w", ErrInvalidResponse, err)
	}
	return nil
}

// checkLargeBlobKey returns the key if it was asked for. Only some credentials have one.
func checkLargeBlobKey(key []byte, asked, required bool) ([]byte, error) {
	switch {
	case !asked, key == nil && !required:
		return nil, nil
	case len(key) != largeBlobKeySize:
		return nil, fmt.Errorf("%w: largeBlobKey of %d bytes", ErrInvalidResponse, len(key))
	}
	return key, nil
}
