package virtual

import "golang.org/x/sys/unix"

// restrictSocket makes the socket private from the moment that it gets its path: Linux takes the mode of the file
// from the socket's. The Chmod that follows comes too late for that.
func restrictSocket(fd uintptr) error { return unix.Fchmod(int(fd), 0o600) }
