//go:build freebsd || netbsd || openbsd

package hid

import (
	"syscall"
	"unsafe"
)

// do makes the request with p, which points to what it takes or gives. It needs the system call of package syscall:
// golang.org/x/sys/unix has nothing that fits, and Go's own way around OpenBSD's ban on system calls is there.
func (req ioctl) do(fd int, p unsafe.Pointer) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(p))
	if errno != 0 {
		return errno
	}
	return nil
}

// read asks for the names and numbers of an open node.
func (u usbDeviceInfo) read(fd int) (Info, error) {
	b := make([]byte, u.size)
	if err := u.request().do(fd, unsafe.Pointer(&b[0])); err != nil {
		return Info{}, err
	}
	return u.info(b), nil
}
