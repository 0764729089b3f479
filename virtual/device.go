package virtual

import (
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// Device is an open HID device, as the platform sees it: one call of Read or Write moves one report of 64 bytes,
// without a report number. It is what ctaphid.Open takes. Its methods may be called concurrently.
type Device struct {
	bus *bus

	mu     sync.Mutex // guards the fields below; taken after the bus's
	ready  sync.Cond  // the queue is not empty, or closed
	queue  [][]byte   // shared with others
	closed bool
}

// maxQueue is how many reports wait for a reader, far above the 129 of the longest message. Those that come when so
// many wait are lost, as with hidraw, which keeps 63.
const maxQueue = 1024

// Device opens the key once more. Several opens share the key as processes share a hidraw node: each asks for a
// channel of its own, and all see the reports for all. After [Authenticator.Close] the device is closed from the
// start.
func (a *Authenticator) Device() *Device {
	d := &Device{bus: &a.bus}
	d.ready.L = &d.mu
	a.bus.mu.Lock()
	defer a.bus.mu.Unlock()
	if a.bus.closed {
		d.closed = true
		return d
	}
	a.bus.opens[d] = struct{}{}
	return d
}

// ReportSizes returns the sizes of input and output reports in bytes.
func (d *Device) ReportSizes() (in, out int) { return reportSize, reportSize }

// Read returns the next report from the key. It blocks until there is one or the device is closed; the error then
// wraps [fs.ErrClosed]. A p of less than 64 bytes is an error, and loses no report.
func (d *Device) Read(p []byte) (int, error) {
	if len(p) < reportSize {
		return 0, fmt.Errorf("virtual: read: %w", io.ErrShortBuffer)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) == 0 && !d.closed {
		d.ready.Wait()
	}
	if d.closed {
		return 0, fmt.Errorf("virtual: read: %w", fs.ErrClosed)
	}
	n := copy(p, d.queue[0])
	d.queue = d.queue[1:]
	return n, nil
}

// Write sends a report of at most 64 bytes to the key, padded with zeroes. It does not wait for what the key makes
// of it.
func (d *Device) Write(p []byte) (int, error) {
	var r [reportSize]byte
	if len(p) > len(r) {
		return 0, fmt.Errorf("virtual: write: report of %d bytes, want %d at most", len(p), len(r))
	}
	if d.isClosed() {
		return 0, fmt.Errorf("virtual: write: %w", fs.ErrClosed)
	}
	copy(r[:], p)
	d.bus.receive(d, &r)
	return len(p), nil
}

// Close ends this open: Read returns, and a command that it sent and that still runs is cancelled, for nobody is
// left to cancel it. Further calls do nothing.
func (d *Device) Close() error {
	b := d.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.opens, d)
	if b.request != nil && b.request.from == d {
		b.dropRequest()
	}
	if b.running != nil && b.running.from == d {
		b.abort()
	}
	d.shut()
	return nil
}

func (d *Device) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *Device) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.queue = nil
	d.ready.Broadcast()
}

func (d *Device) deliver(r []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) < maxQueue && !d.closed {
		d.queue = append(d.queue, r)
		d.ready.Signal()
	}
}

// Close unplugs the key for good: everything that [Authenticator.Device] opened is closed, a running command ends
// without an answer, and further ones fail with an error that wraps [fs.ErrClosed]. Close waits until nothing of
// the key runs any more, so a callback of [Config] must not call it; then another key may use the state file. It
// always returns nil.
func (a *Authenticator) Close() error {
	a.once.Do(a.close)
	return nil
}

func (a *Authenticator) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.PowerCycle()
	b := &a.bus
	b.mu.Lock()
	b.unplug()
	b.mu.Unlock()
	b.transactions.Wait()
	a.polls.Wait()
	a.turn <- struct{}{} // wait for who came without CTAPHID
	a.lock.release()
	<-a.turn
}
