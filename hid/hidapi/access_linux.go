//go:build hidapi && cgo && !libusb

package hidapi

import "syscall"

const readWrite = 6 // R_OK and W_OK of unistd.h

// access says whether a node may be opened, which HIDAPI finds out by doing it. A program that waits for a new key has to
// know: the node is there before the permission.
func access(path string) error { return syscall.Access(path, readWrite) }
