//go:build linux || freebsd || openbsd || netbsd

package hid

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// dialSeqpacket connects to a SOCK_SEQPACKET socket without package net, which would double what this package adds to a
// program. The descriptor does not block, so reads wait in the runtime's poller and Close ends them; connecting works at
// once or fails at once, with EAGAIN when the peer's queue is full.
func dialSeqpacket(path string) (io.ReadWriteCloser, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	err = unix.SetNonblock(fd, true)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
