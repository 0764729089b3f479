//go:build freebsd || netbsd || openbsd || linux

package hid

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// polledConn is an open node that is waited for with poll(2), which all BSDs' drivers can. Go's own poller is made of
// kqueue, which the hidraw(4) and u2f(4) of FreeBSD refuse for want of a filter for writing. A Read that waits costs a
// thread, and nothing while nothing happens. (On Linux it serves the tests.)
type polledConn struct {
	fd     int
	size   int          // of an input report; to read more could give the beginning of the next one too
	wake   [2]int       // a pipe; that its writing end is closed ends every wait
	closed atomic.Bool  // set before wake
	inUse  sync.RWMutex // held for reading by whoever uses fd
}

// newPolledConn takes over fd, which must not block. On an error fd is still the caller's.
func newPolledConn(fd, size int) (*polledConn, error) {
	c := &polledConn{fd: fd, size: size}
	if err := unix.Pipe2(c.wake[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return c, nil
}

func (c *polledConn) Read(p []byte) (int, error) {
	p = p[:min(len(p), c.size)]
	n, err := c.do(unix.POLLIN, forever, func() (int, error) { return unix.Read(c.fd, p) })
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

func (c *polledConn) Write(p []byte) (int, error) {
	return c.do(unix.POLLOUT, forever, func() (int, error) { return unix.Write(c.fd, p) })
}

// Close ends a Read and a Write that waits. It waits itself for a Write that the driver is at.
func (c *polledConn) Close() error {
	c.closed.Store(true)
	unix.Close(c.wake[1])
	c.inUse.Lock()
	defer c.inUse.Unlock()
	unix.Close(c.wake[0])
	return unix.Close(c.fd)
}

// forever is the time that poll(2) takes for no limit.
const forever time.Duration = -1

// do waits for an event and then does what it makes possible. It returns os.ErrDeadlineExceeded after the limit.
//
// It always waits first: u2f(4) of FreeBSD begins to receive when it is polled.
func (c *polledConn) do(event int16, limit time.Duration, op func() (int, error)) (int, error) {
	c.inUse.RLock()
	defer c.inUse.RUnlock()
	for {
		happened, err := c.wait(event, limit)
		if err != nil {
			return 0, err
		}
		n, err := op()
		switch {
		case err == unix.EAGAIN && happened&^event != 0:
			return 0, unix.EIO // the node hung up, and has no error of its own for that
		case err != unix.EAGAIN && err != unix.EINTR:
			return max(n, 0), err
		}
	}
}

// wait returns what happened to the node, which need not be the event.
func (c *polledConn) wait(event int16, limit time.Duration) (happened int16, err error) {
	if c.closed.Load() {
		return 0, fs.ErrClosed
	}
	milliseconds := -1
	if limit != forever {
		milliseconds = int(limit.Milliseconds())
	}
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: event}, {Fd: int32(c.wake[0]), Events: unix.POLLIN}}
	switch n, err := unix.Poll(fds, milliseconds); {
	case fds[1].Revents != 0:
		return 0, fs.ErrClosed
	case err == unix.EINTR:
		return 0, nil // op finds out
	case err != nil:
		return 0, err
	case n == 0:
		return 0, os.ErrDeadlineExceeded
	}
	return fds[0].Revents, nil
}

// How often to ping, and how long to wait for an answer each time. A key answers within a few milliseconds; every second
// ping is one that it takes for new.
const (
	pings    = 4
	pingWait = 100 * time.Millisecond
)

// resetToggle makes the key and the system agree about the data toggle, see togglePing. That a key never answers is for
// whoever uses it to find out.
func (c *polledConn) resetToggle(r reports) error {
	ping, answer := togglePing(r.out.size), make([]byte, c.size)
	for range pings {
		if _, err := c.Write(ping); err != nil {
			return err
		}
		_, err := c.do(unix.POLLIN, pingWait, func() (int, error) { return unix.Read(c.fd, answer) })
		if err != os.ErrDeadlineExceeded {
			return err
		}
	}
	return nil
}

// togglePing is a PING of one byte in the broadcast channel (CTAP 2.2, section 11.2.9.1.4). What it does is to be sent.
//
// NetBSD and OpenBSD forget at each open whose turn it is in the toggling of DATA0 and DATA1, while the key does not; so
// the key takes the first report for a repetition of the last one before and ignores it. Whatever the key answers, if only
// that this is no channel to ping in, tells that now both agree.
func togglePing(size int) []byte {
	p := make([]byte, size)
	copy(p, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0, 1})
	return p
}
