//go:build !linux

package usbip

import (
	"errors"
	"fmt"
)

// Attach returns an error that wraps errors.ErrUnsupported: only Linux has vhci-hcd.
func Attach(Config) (*Device, error) {
	return nil, fmt.Errorf("usbip: attach: %w", errors.ErrUnsupported)
}
