//go:build unix

package main

import "golang.org/x/sys/unix"

// inherited reports whether a file descriptor is open and was so before the process started. What Go has opened since, its
// runtime's view of the CPU limit for one, is closed at the next exec(2), which an inherited one was not.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
