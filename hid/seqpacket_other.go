//go:build !(linux || freebsd || openbsd || netbsd)

package hid

import (
	"errors"
	"io"
)

// dialSeqpacket fails: the system has no SOCK_SEQPACKET sockets.
func dialSeqpacket(string) (io.ReadWriteCloser, error) { return nil, errors.ErrUnsupported }
