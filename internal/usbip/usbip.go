// Package usbip plugs a software HID device into the running Linux kernel, as a true USB device on the virtual host
// controller vhci-hcd. To every program it is a security key in a socket: it has a hidraw node, a USB parent with
// names in sysfs, and it can be pulled out at any moment.
//
//	d, err := usbip.Attach(usbip.Config{VendorID: 0x1209, ProductID: 0xf1d0, Product: "Test key"})
//	go serve(d) // anything that answers 64-byte reports over an io.ReadWriteCloser
//	...
//	d.Close()   // the cable is pulled
//
// Unlike uhid, which drops reports when 31 of them wait, this device has true back-pressure in both directions: the
// host's write completes when the device has read the report, and the device's write completes when the host took it.
//
// The module vhci-hcd must be loaded and the caller needs the right to write to its sysfs files, usually root. No
// usbip tool and no network is involved: the kernel gets one end of a socket pair and speaks USB/IP over it
// (Documentation/usb/usbip_protocol.rst in the kernel's source).
package usbip

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
)

// ReportSize is the largest report in bytes that goes in either direction: one full-speed interrupt packet.
const ReportSize = 64

// maxPending bounds the transfers that wait for the device. A host driver keeps one per endpoint in flight.
const maxPending = 64

// Config says what the device tells about itself. The zero value is a nameless FIDO key with IDs 0000:0000.
type Config struct {
	VendorID, ProductID uint16

	// An empty string is a string descriptor that the device does not have. At most 126 UTF-16 units are told.
	Manufacturer, Product, Serial string

	// Descriptor is the HID report descriptor. Nil means that of a FIDO key with 64-byte reports.
	Descriptor []byte
}

// Device is one attached device, seen from its own side: what it reads is what the host wrote. Its methods are safe
// for concurrent use. Some goroutine should always be reading: the host's write waits for it, for five seconds at most.
type Device struct {
	config Config
	conn   io.ReadWriteCloser // the USB/IP connection
	closed atomic.Bool        // Close was called
	done   chan struct{}      // closed when serve has returned

	mu      sync.Mutex // guards what follows, and is held while an answer is written: see answer
	changed sync.Cond  // in, out or err changed
	in, out []transfer // interrupt transfers that the host has submitted and not had an answer to
	err     error      // set once: why nothing moves any more
}

// newDevice serves c to the host on the other end of conn until either side closes it.
func newDevice(c Config, conn io.ReadWriteCloser) *Device {
	if c.Descriptor == nil {
		c.Descriptor = fidoDescriptor
	}
	d := &Device{config: c, conn: conn, done: make(chan struct{})}
	d.changed.L = &d.mu
	go d.run()
	return d
}

// Read waits for the next report from the host and copies it to p, without a report number. The report is as long as
// the host made it, at most [ReportSize]; a p that is too short is io.ErrShortBuffer and loses nothing. The error is
// io.EOF when the host has detached the device, and wraps fs.ErrClosed after Close.
func (d *Device) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.wait(&d.out); err != nil {
		return 0, err
	}
	t := d.out[0]
	if len(p) < len(t.data) {
		return 0, io.ErrShortBuffer
	}
	d.out = d.out[1:]
	return copy(p, t.data), d.answer(t.seq, 0, len(t.data), nil)
}

// Write sends one report of at most [ReportSize] bytes, without a report number, and waits until the host has taken
// it. A host takes reports only while some program has the device open. Errors are those of Read.
func (d *Device) Write(p []byte) (int, error) {
	if len(p) > ReportSize {
		return 0, fmt.Errorf("usbip: report of %d bytes is too long", len(p))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.wait(&d.in); err != nil {
		return 0, err
	}
	t := d.in[0]
	if len(p) > t.length {
		return 0, fmt.Errorf("usbip: report of %d bytes, the host asks for %d", len(p), t.length)
	}
	d.in = d.in[1:]
	if err := d.answer(t.seq, 0, len(p), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close pulls the cable: a blocked Read and Write return, and the host sees the device go. It may be called again.
func (d *Device) Close() error {
	d.closed.Store(true)
	err := d.conn.Close() // without the lock: a blocked answer holds it
	<-d.done
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("usbip: close: %w", err)
	}
	return nil
}

// wait returns when a transfer waits in queue, or with the reason why none will be answered any more.
func (d *Device) wait(queue *[]transfer) error {
	for len(*queue) == 0 && d.err == nil {
		d.changed.Wait()
	}
	return d.err
}

// run serves the connection and tells whoever waits when it is over.
func (d *Device) run() {
	defer close(d.done)
	err := d.serve()
	d.conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	d.changed.Broadcast()
}

// gone is the error for a connection that moves nothing any more, whichever way the socket says it.
func (d *Device) gone() error {
	if d.closed.Load() {
		return fmt.Errorf("usbip: %w", fs.ErrClosed)
	}
	return io.EOF
}
