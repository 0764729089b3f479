package hid

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// hidrawRemoved is what a hidraw node says when the key is gone: EIO to a read, ENODEV to a write, ESHUTDOWN to a
// write that was under way.
var hidrawRemoved = []error{unix.EIO, unix.ENODEV, unix.ESHUTDOWN}

var errNotHidraw = errors.New("not a hidraw node")

func open(path string) (*Device, error) {
	return inTurn(func() (*Device, error) { return openOnce(path) })
}

func openOnce(path string) (*Device, error) {
	f, err := openNode(path)
	if err != nil {
		return nil, explainOpen(err)
	}
	b, err := describe(f, path)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("hid: open %s: %w", path, err)
	}
	return newDevice(b), nil
}

// openNode opens a node so that reads wait in the runtime's poller: Close interrupts them, and an idle key costs
// neither a thread nor a wake-up.
func openNode(path string) (*os.File, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	// Even opening the wrong thing can have an effect: a pipe has a writer all of a sudden.
	if fi.Mode()&fs.ModeCharDevice == 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotHidraw}
	}
	return os.OpenFile(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

// describe asks the open node itself for its report descriptor and names, and takes its lock. sysfs may be hidden (in
// a container) and its names may by now mean another device; so all that it adds here is the names that the ioctls
// don't have.
func describe(f *os.File, path string) (backend, error) {
	b := backend{conn: f, removed: hidrawRemoved, alwaysNumbered: true}
	rc, err := f.SyscallConn()
	if err != nil {
		return backend{}, err
	}
	controlErr := rc.Control(func(fd uintptr) {
		if b.reports, _, err = readReports(int(fd)); err != nil {
			return
		}
		if err = lock(int(fd)); err == nil {
			b.info = readInfo(int(fd), path)
		}
	})
	return b, errors.Join(controlErr, err)
}

// explainOpen adds what to do about an error that opening a node gave or would give.
func explainOpen(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("hid: %w: install udev's rules for security keys (in package udev or systemd; \"keyfob doctor\" knows more) "+
			"and plug the key in again, or run as root; in a container, pass the device in", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("hid: %w: plug the key in; in a container, pass the device in", err)
	}
	return fmt.Errorf("hid: %w", err)
}
