package hid

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// changes returns a channel of capacity 1 that gets a value whenever a key may have come, gone or changed. It is
// subscribed to when changes returns, until ctx is done, and then closed when nothing is left of the subscription.
//
// The kernel tells about devices with uevents, and about the permissions of nodes with inotify. Where uevents are not
// to be had, inotify does for both; what can be heard of neither has to be looked for. Since the kernel doesn't say
// that it sends no uevents to the network of a user namespace, nobody relies on them there.
func changes(ctx context.Context) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	var running sync.WaitGroup
	pause := time.Duration(0)
	if uevents, err := openUevents(); err == nil {
		running.Go(func() { listen(ctx, uevents, changed) })
	} else {
		pause = settle
	}
	nodes, nodesErr := openNodes("/dev", pause)
	if nodesErr == nil {
		running.Go(func() { listen(ctx, nodes, changed) })
	}
	if nodesErr != nil || !initialUserNamespace() {
		running.Go(func() { tick(ctx, pollInterval, changed) })
	}
	go func() {
		running.Wait()
		close(changed)
	}()
	return changed, nil
}

// listener waits for something to be told.
type listener interface {
	io.Closer    // makes next return
	next() error // waits until something may have changed
}

// listen passes on what l hears until ctx is done. If that breaks, it looks instead.
func listen(ctx context.Context, l listener, changed chan<- struct{}) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	for l.next() == nil {
		signal(changed)
	}
	if stop() {
		l.Close()
	}
	tick(ctx, pollInterval, changed)
}

// uevents is a netlink socket on which the kernel tells about devices (NETLINK_KOBJECT_UEVENT). It needs no udev.
type uevents struct {
	*os.File
	conn syscall.RawConn
	buf  []byte
}

const (
	kernelGroup = 1    // of multicast; udev's own messages are in another one
	maxUevent   = 8192 // bytes; the kernel makes none of 4096
)

func openUevents() (*uevents, error) {
	const kind = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "uevents")
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup})
	if err != nil {
		f.Close()
		return nil, err
	}
	conn, err := f.SyscallConn()
	return &uevents{f, conn, make([]byte, maxUevent)}, err
}

func (u *uevents) next() error {
	for {
		message, err := u.receive()
		if errors.Is(err, unix.ENOBUFS) {
			return nil // messages were lost, and nobody knows which
		}
		if err != nil || isHidrawUevent(message) {
			return err
		}
	}
}

// receive returns the next message, or an empty one if it isn't from the kernel: root can send one to anybody.
func (u *uevents) receive() (message []byte, err error) {
	var n int
	var from unix.Sockaddr
	readErr := u.conn.Read(func(fd uintptr) bool {
		n, from, err = unix.Recvfrom(int(fd), u.buf, 0)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err := errors.Join(readErr, err); err != nil {
		return nil, err
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil, nil
	}
	return u.buf[:n], nil
}

// isHidrawUevent says that a message, "add@/devices/..." and then lines that end in zeroes, is about a hidraw node.
func isHidrawUevent(message []byte) bool {
	return bytes.Contains(message, []byte("\x00SUBSYSTEM=hidraw\x00"))
}

// nodeWatch is an inotify watch on the folder with the nodes.
type nodeWatch struct {
	*os.File
	settle time.Duration // how long after an event to look once more; 0 if there are uevents
	buf    []byte
}

// settle is for where there are no uevents. The kernel removes the node of a key first and the rest of it some
// milliseconds later, which it tells by a uevent only.
const settle = time.Second

func openNodes(folder string, settle time.Duration) (*nodeWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	mask := uint32(unix.IN_ATTRIB | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR)
	if settle > 0 {
		mask |= unix.IN_DELETE | unix.IN_MOVED_FROM
	}
	if _, err := unix.InotifyAddWatch(fd, folder, mask); err != nil {
		f.Close()
		return nil, err
	}
	return &nodeWatch{f, settle, make([]byte, 4096)}, nil
}

func (w *nodeWatch) next() error {
	for {
		n, err := w.Read(w.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return w.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
		relevant, err := isHidrawInotify(w.buf[:n])
		if err == nil && relevant && w.settle > 0 {
			err = w.SetReadDeadline(time.Now().Add(w.settle))
		}
		if err != nil || relevant {
			return err
		}
	}
}

var errFolderGone = errors.New("the watched folder is gone")

// isHidrawInotify says that one of the events that inotify packs into one read is about a hidraw node, or that some were
// lost (inotify(7)).
func isHidrawInotify(events []byte) (relevant bool, err error) {
	const header = unix.SizeofInotifyEvent
	for len(events) >= header {
		mask := binary.NativeEndian.Uint32(events[4:])
		size := min(uint64(binary.NativeEndian.Uint32(events[12:])), uint64(len(events)-header))
		name := strings.TrimRight(string(events[header:header+size]), "\x00")
		if mask&unix.IN_IGNORED != 0 {
			return false, errFolderGone
		}
		if mask&unix.IN_Q_OVERFLOW != 0 || isNode(name) {
			relevant = true
		}
		events = events[header+size:]
	}
	return relevant, nil
}

// initialUserNamespace says that the process is in the system's first user namespace, of which all IDs are its own.
func initialUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}
