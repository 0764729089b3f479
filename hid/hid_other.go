//go:build !linux && !darwin && !windows && !freebsd && !netbsd && !openbsd

package hid

import (
	"context"
	"errors"
	"fmt"
)

func list() ([]Info, error) { return nil, fmt.Errorf("hid: list: %w", errors.ErrUnsupported) }

func open(path string) (*Device, error) {
	return nil, fmt.Errorf("hid: open %s: %w", path, errors.ErrUnsupported)
}

func changes(context.Context) (<-chan struct{}, error) {
	return nil, fmt.Errorf("hid: watch: %w", errors.ErrUnsupported)
}
