package ctap1

import (
	"context"
	"fmt"
)

// maxVersion is more than any version that a key was ever seen to have.
const maxVersion = 32

// Version returns the version of U2F that the key implements: "U2F_V2" from every key so far, and in any case 1 to 32
// printable ASCII characters.
func (c *Client) Version(ctx context.Context) (string, error) {
	data, err := c.send(ctx, command{ins: insVersion})
	if err != nil {
		return "", fmt.Errorf("ctap1: version: %w", err)
	}
	if !validVersion(data) {
		return "", fmt.Errorf("ctap1: version: %w: %d bytes that are no version", ErrInvalidResponse, len(data))
	}
	return string(data), nil
}

func validVersion(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxVersion
}
