//go:build !linux

package virtual

import (
	"context"
	"errors"
	"fmt"
)

// ServeUHID makes the key a HID device of this machine's kernel. It is for Linux only: elsewhere it returns an
// error that wraps [errors.ErrUnsupported].
func (a *Authenticator) ServeUHID(context.Context, func()) error {
	return fmt.Errorf("virtual: uhid: %w", errors.ErrUnsupported)
}
