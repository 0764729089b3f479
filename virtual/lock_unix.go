//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package virtual

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// stateLock keeps other keys, of this process and others, from a state file. It is a file of its own beside it,
// which holds the number of the process: the state file is replaced too often to be locked itself.
type stateLock struct{ file *os.File }

// lockState locks the state file at path.
func lockState(path string) (*stateLock, error) {
	for {
		f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		switch err := tryLock(f); {
		case errors.Is(err, errLocked):
			defer f.Close()
			return nil, fmt.Errorf("state file %s is in use by %s", path, lockOwner(f))
		case errors.Is(err, errRemoved):
			f.Close()
		case err != nil:
			f.Close()
			return nil, err
		default:
			f.Truncate(0)
			f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) // no more than a hint, so an error does no harm
			return &stateLock{f}, nil
		}
	}
}

var (
	errLocked  = errors.New("locked")
	errRemoved = errors.New("removed")
)

// tryLock locks the file until it is closed, or fails at once: with errLocked, or with errRemoved if its owner has
// removed it since it was opened.
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return errLocked
	case err != nil && !errors.Is(err, errors.ErrUnsupported): // not every file system can do it
		return os.NewSyscallError("flock", err)
	case !isAt(f, f.Name()):
		return errRemoved
	}
	return nil
}

// lockOwner returns who holds the lock, as far as the file tells.
func lockOwner(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 20))
	switch pid, err := strconv.Atoi(string(b)); {
	case err != nil:
		return "another virtual key"
	case pid == os.Getpid():
		return "another virtual key of this process"
	default:
		return fmt.Sprintf("the virtual key of process %d", pid)
	}
}

func isAt(f *os.File, path string) bool {
	held, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// release removes the file while it is still locked, so that nobody can have locked it in between.
func (l *stateLock) release() {
	if l != nil {
		os.Remove(l.file.Name())
		l.file.Close()
	}
}
