package virtual

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const uhidPath = "/dev/uhid"

// ServeUHID makes the key a HID device of this machine's kernel, with a /dev/hidraw node that any program can use,
// until ctx is done, whose cause it returns. It needs write access to /dev/uhid, which is root's. When it returns,
// the node is gone, as if the key were pulled.
//
// Unless it is nil, ready is called, once, when the node is there, some milliseconds after the beginning. It runs
// on a goroutine of its own, and ServeUHID waits for it.
//
// The kernel keeps 31 reports for the key and 63 for each program that reads, and drops the rest without a word. So
// one thread does nothing but fetch reports, with real-time priority if it may have it, and there is a millisecond
// between the packets of an answer. The key's CTAP2 requests have 31 packets at most and arrive. A longer PING may
// be lost, with several processors more often than not, since the platform can fill the queue faster than any
// thread wakes up.
func (a *Authenticator) ServeUHID(ctx context.Context, ready func()) error {
	u, err := openUHID()
	if err != nil {
		return fmt.Errorf("virtual: uhid: %w", err)
	}
	if ready == nil {
		return a.Serve(ctx, u)
	}
	var announcing sync.WaitGroup
	defer announcing.Wait()
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	announcing.Go(func() {
		if awaitNode(serving, "/", u.unique) {
			ready()
		}
	})
	return a.Serve(ctx, u)
}

const nodeInterval = time.Millisecond

// awaitNode waits for the node of the device with a unique name. The kernel makes it in the background and tells
// nobody but udev. It returns false when ctx is done.
func awaitNode(ctx context.Context, root, unique string) bool {
	tick := time.NewTicker(nodeInterval)
	defer tick.Stop()
	for !hasNode(root, unique) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func hasNode(root, unique string) bool {
	nodes, _ := filepath.Glob(filepath.Join(root, "sys/class/hidraw/*"))
	for _, node := range nodes {
		event, _ := os.ReadFile(filepath.Join(node, "device/uevent"))
		if strings.Contains(string(event), "HID_UNIQ="+unique+"\n") {
			_, err := os.Stat(filepath.Join(root, "dev", filepath.Base(node)))
			return err == nil
		}
	}
	return false
}

// Events of /dev/uhid, from linux/uhid.h. An event is a number of 32 bits and a packed struct, in the machine's
// byte order.
const (
	uhidDestroy        = 1
	uhidOutput         = 6
	uhidGetReport      = 9
	uhidGetReportReply = 10
	uhidCreate2        = 11
	uhidInput2         = 12
	uhidSetReport      = 13
	uhidSetReportReply = 14

	uhidDataSize  = 4096
	uhidEventSize = 4 + 128 + 64 + 64 + 2 + 2 + 4*4 + uhidDataSize // uhid_create2_req, the largest
	uhidQueue     = 1024                                           // reports
	uhidPace      = time.Millisecond

	busUSB        = 0x03
	uhidVendorID  = 0x1209 // pid.codes
	uhidProductID = 0xf1d0
	uhidName      = "keyfob virtual authenticator"
)

// fidoDescriptor is a report descriptor: usage page 0xf1d0, usage 1, input and output reports of 64 bytes without
// numbers.
var fidoDescriptor = []byte{
	0x06, 0xd0, 0xf1, // usage page (FIDO)
	0x09, 0x01, // usage (CTAPHID)
	0xa1, 0x01, // collection (application)
	0x09, 0x20, // usage (data in)
	0x15, 0x00, // logical minimum (0)
	0x26, 0xff, 0x00, // logical maximum (255)
	0x75, 0x08, // report size (8 bits)
	0x95, 0x40, // report count (64)
	0x81, 0x02, // input (data, variable, absolute)
	0x09, 0x21, // usage (data out)
	0x15, 0x00,
	0x26, 0xff, 0x00,
	0x75, 0x08,
	0x95, 0x40,
	0x91, 0x02, // output (data, variable, absolute)
	0xc0, // end of collection
}

// uhid is the stream of reports between a kernel HID device and the key.
type uhid struct {
	fd      int    // of /dev/uhid
	stopFD  int    // an eventfd that ends the fetching thread
	unique  string // tells its node from others
	reports chan []byte
	fetcher sync.WaitGroup
	failure error // why reports was closed
	once    sync.Once

	mu     sync.Mutex // guards the fields below, and writing to fd
	closed bool
	sent   time.Time // the last packet
}

func openUHID() (*uhid, error) {
	fd, err := unix.Open(uhidPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: uhidPath, Err: err}
	}
	stopFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	u := &uhid{fd: fd, stopFD: stopFD, unique: rand.Text(), reports: make(chan []byte, uhidQueue)}
	if _, err := unix.Write(fd, createEvent(u.unique)); err != nil {
		u.release()
		return nil, os.NewSyscallError("UHID_CREATE2", err)
	}
	u.fetcher.Go(u.fetch)
	return u, nil
}

// createEvent is UHID_CREATE2. The unique name stands where USB devices have their serial number.
func createEvent(unique string) []byte {
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, uhidEventSize), uhidCreate2)
	b = append(b, padded(uhidName, 128)...)
	b = append(b, padded("", 64)...) // phys
	b = append(b, padded(unique, 64)...)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(fidoDescriptor)))
	b = binary.NativeEndian.AppendUint16(b, busUSB)
	for _, n := range []uint32{uhidVendorID, uhidProductID, 0, 0} { // version, country
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	b = append(b, fidoDescriptor...)
	return b[:uhidEventSize]
}

func padded(s string, size int) []byte { return append([]byte(s), make([]byte, size-len(s))...) }

// fetch moves reports out of the kernel's short queue until Close. It has a thread of its own, which waits in the
// kernel: the scheduler of Go would let it wait behind others.
func (u *uhid) fetch() {
	runtime.LockOSThread() // and never unlocked: the thread ends with its priority
	priority := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	unix.SchedSetAttr(0, &priority, 0) // a wish, which only root is granted
	defer close(u.reports)
	event := make([]byte, uhidEventSize)
	for u.failure == nil {
		var n int
		n, u.failure = u.next(event)
		if u.failure == nil {
			u.handle(event[:n])
		}
	}
}

// next waits for an event or for Close.
func (u *uhid) next(event []byte) (int, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(u.fd), Events: unix.POLLIN}, {Fd: int32(u.stopFD), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return 0, fs.ErrClosed
		}
		n, err := unix.Read(u.fd, event)
		if err != unix.EINTR && err != unix.EAGAIN {
			return n, os.NewSyscallError("read", err)
		}
	}
}

// handle queues a report. Requests for reports by number get an error at once, or the program that asked would wait
// for 5 seconds.
func (u *uhid) handle(event []byte) {
	if len(event) < uhidEventSize {
		return // the kernel writes whole events only
	}
	switch kind, body := binary.NativeEndian.Uint32(event), event[4:]; kind {
	case uhidOutput:
		if r, ok := parseOutput(body); ok && len(u.reports) < cap(u.reports) {
			u.reports <- r
		}
	case uhidGetReport:
		u.reply(uhidGetReportReply, binary.NativeEndian.Uint32(body))
	case uhidSetReport:
		u.reply(uhidSetReportReply, binary.NativeEndian.Uint32(body))
	}
}

// parseOutput returns a copy of the report in a struct uhid_output_req, without the report number 0 that the
// program had to write in front of it. Reports of another size are not for this device.
func parseOutput(body []byte) ([]byte, bool) {
	size := int(binary.NativeEndian.Uint16(body[uhidDataSize:]))
	if size == 0 || size > 1+reportSize || body[0] != 0 {
		return nil, false
	}
	return append([]byte(nil), body[1:size]...), true
}

// reply refuses a request: id and error number, in which the structs of both kinds begin.
func (u *uhid) reply(kind, id uint32) {
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, uhidEventSize), kind)
	b = binary.NativeEndian.AppendUint32(b, id)
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.EIO))
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		unix.Write(u.fd, b[:uhidEventSize])
	}
}

// Read returns one report from a program.
func (u *uhid) Read(p []byte) (int, error) {
	r, ok := <-u.reports
	if !ok {
		return 0, u.failure
	}
	return copy(p, r), nil
}

// Write sends one report to all programs, no more than one each millisecond.
func (u *uhid) Write(p []byte) (int, error) {
	b := binary.NativeEndian.AppendUint32(make([]byte, 0, 6+len(p)), uhidInput2)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(p)))
	b = append(b, p...)
	u.mu.Lock()
	defer u.mu.Unlock()
	time.Sleep(uhidPace - time.Since(u.sent))
	if u.closed {
		return 0, fs.ErrClosed
	}
	if _, err := unix.Write(u.fd, b); err != nil {
		return 0, os.NewSyscallError("UHID_INPUT2", err)
	}
	u.sent = time.Now()
	return len(p), nil
}

// Close removes the device.
func (u *uhid) Close() error {
	u.once.Do(func() {
		unix.Write(u.stopFD, binary.NativeEndian.AppendUint64(nil, 1))
		u.fetcher.Wait()
		u.release()
	})
	return nil
}

func (u *uhid) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	unix.Write(u.fd, binary.NativeEndian.AppendUint32(nil, uhidDestroy))
	unix.Close(u.fd)
	unix.Close(u.stopFD)
}
