package hid

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
)

// Device is an open FIDO interface. It must be closed. All methods may be called concurrently; concurrent Reads
// take turns, and so do concurrent Writes.
type Device struct {
	backend
	closed atomic.Bool

	readMu  sync.Mutex
	readBuf []byte // guarded by readMu; one byte longer than a report, to tell one that is too long

	writeMu  sync.Mutex
	writeBuf []byte // guarded by writeMu; exactly what the system wants for one report
}

// backend is what opening a path yields: a way to move reports as the system frames them, and what is to be known
// about it.
type backend struct {
	conn    io.ReadWriteCloser // one whole report per call, with its number where it has one
	info    Info
	reports reports
	removed []error // the errors of conn that mean that the key is gone

	// alwaysNumbered says that conn wants a leading report number on Write even if the report has none.
	alwaysNumbered bool
}

func newDevice(b backend) *Device {
	d := &Device{backend: b}
	d.readBuf = make([]byte, b.numberLen(b.reports.in)+b.reports.in.size+1)
	d.writeBuf = make([]byte, d.writeHeader()+b.reports.out.size)
	return d
}

// numberLen returns how many bytes the number of r takes on the way from the device.
func (b *backend) numberLen(r report) int {
	if r.number != 0 {
		return 1
	}
	return 0
}

// writeHeader returns how many bytes go before the payload on the way to the device.
func (b *backend) writeHeader() int {
	if b.alwaysNumbered {
		return 1
	}
	return b.numberLen(b.reports.out)
}

// Info returns what is known about the interface. Its Err is nil.
func (d *Device) Info() Info { return d.info }

// ReportSizes returns the bytes of payload in an input and in an output report, without report numbers. Both are
// between 1 and 4096; nearly every key has 64 and 64.
func (d *Device) ReportSizes() (in, out int) { return d.reports.in.size, d.reports.out.size }

// Read reads exactly one input report, without its report number, and returns its size. It blocks until there is a
// report, the key is removed (an error that wraps [ErrRemoved]) or Close is called (an error that wraps
// [io/fs.ErrClosed]). Reports that arrived before the removal can still be read.
// Reports wait for a Read while there is room, which is for 64 of them on Linux and for 512 on macOS, where the oldest go
// to make room.
//
// A key that misbehaves may send a report of another size than [Device.ReportSizes] says: it is passed on as it is, cut
// to p, so a p of one byte more tells a long one. If p is shorter than a report should be, nothing is read and the error
// wraps [io.ErrShortBuffer]. Reports of other collections of the interface are skipped.
func (d *Device) Read(p []byte) (int, error) {
	if size := d.reports.in.size; len(p) < size {
		return 0, d.fail("read", fmt.Errorf("%w: %d bytes for a report of %d", io.ErrShortBuffer, len(p), size))
	}
	d.readMu.Lock()
	defer d.readMu.Unlock()
	payload, err := d.nextReport()
	if err != nil {
		return 0, d.fail("read", err)
	}
	return copy(p, payload), nil
}

// nextReport returns the payload of the next report of the FIDO collection; it aliases readBuf.
func (d *Device) nextReport() ([]byte, error) {
	in := d.reports.in
	for {
		n, err := d.conn.Read(d.readBuf)
		if err != nil {
			return nil, err
		}
		b := d.readBuf[:n]
		if in.number != 0 && n > 0 {
			if b[0] != in.number {
				continue // a report of another collection, such as key presses
			}
			b = b[1:]
		}
		return b, nil
	}
}

// Write writes p as exactly one output report and returns len(p). p comes without a report number and is at most as
// long as the output report; the rest of the report is zeroes. Write copies p. An error wraps [ErrRemoved] once the
// key is gone and [io/fs.ErrClosed] once the Device is closed.
//
// A key that doesn't take the report makes Write block: for at most 5 seconds on Linux hidraw, where Close can't
// interrupt it, and on Windows, where it can; for as long as the driver waits on macOS and the BSDs, where Close waits
// for it; until the peer reads or Close is called on a socket.
func (d *Device) Write(p []byte) (int, error) {
	if len(p) > d.reports.out.size {
		return 0, d.fail("write", fmt.Errorf("%d bytes for an output report of %d", len(p), d.reports.out.size))
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	n, err := d.conn.Write(d.frame(p))
	if err == nil && n != len(d.writeBuf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return 0, d.fail("write", err)
	}
	return len(p), nil
}

// frame fills writeBuf with the report as the system wants it.
func (d *Device) frame(p []byte) []byte {
	clear(d.writeBuf)
	header := d.writeHeader()
	if header > 0 {
		d.writeBuf[0] = d.reports.out.number
	}
	copy(d.writeBuf[header:], p)
	return d.writeBuf
}

// Close closes the interface and makes a blocked Read return. Closing a closed Device does nothing.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	if err := d.conn.Close(); err != nil {
		return fmt.Errorf("hid: close %s: %w", d.info.Path, cause(err))
	}
	return nil
}

// fail says what an error of op means.
func (d *Device) fail(op string, err error) error {
	err = cause(err)
	switch {
	case d.closed.Load():
		err = fs.ErrClosed
	case slices.ContainsFunc(d.removed, func(e error) bool { return errors.Is(err, e) }):
		err = fmt.Errorf("%w: %w", ErrRemoved, err)
	}
	return fmt.Errorf("hid: %s %s: %w", op, d.info.Path, err)
}

// cause strips what os says about the operation and the path, since every error here says it anyway.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
