package ctaphid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"
)

var (
	// ErrTimeout is wrapped when a device does not answer, or stops in the middle of an answer.
	ErrTimeout = errors.New("device does not answer")
	// ErrProtocol is wrapped when a device answers something that CTAPHID does not allow.
	ErrProtocol = errors.New("device broke the CTAPHID protocol")
	// ErrTooLong is wrapped when a message is longer than the device's reports can carry.
	ErrTooLong = errors.New("message too long")
)

// Channel is a logical connection to one device. It runs one transaction at a time: concurrent callers wait for their
// turn, or until their context is done.
//
// The context ends a transaction early with [context.Cause]. The device is then told to stop, and if it does not, the
// channel is taken back by force, for which it has a second; a late answer is never taken for the next request's.
type Channel struct {
	dev     io.ReadWriteCloser
	inSize  int
	outSize int
	limits  Deadlines
	info    DeviceInfo

	turn   chan struct{} // holds a value while a transaction runs, which owns the fields below
	cid    uint32
	lost   bool   // an abandoned answer may still arrive
	packet []byte // the report being sent
	timer  *time.Timer
	watch  *watch // closes the device that takes no report

	mu        sync.Mutex
	listening bool          // guarded by mu; a transaction wants answer
	answer    reception     // guarded by mu until it is done
	wake      chan struct{} // there is news in it

	closing   chan struct{}
	closeOnce sync.Once
	gone      chan struct{} // closed when nothing can be read any more
	goneErr   error         // why; set before gone is closed
}

// DeviceInfo is what a device says of itself in its answer to INIT.
type DeviceInfo struct {
	ProtocolVersion byte    // 2
	DeviceVersion   [3]byte // major, minor, build, as the maker counts
	Capabilities    Capabilities
}

// Open asks the device for a channel. One call of dev's Read and Write moves one report without a report number, and its
// Close makes Read return; reports have 64 bytes unless dev also has the method ReportSizes() (in, out int).
//
// The channel owns dev from here on, and has closed it when Open returns an error.
func Open(ctx context.Context, dev io.ReadWriteCloser) (*Channel, error) {
	return OpenWith(ctx, dev, Deadlines{})
}

// OpenWith is [Open] with other deadlines.
func OpenWith(ctx context.Context, dev io.ReadWriteCloser, deadlines Deadlines) (*Channel, error) {
	c := &Channel{
		dev: dev, limits: deadlines.orDefaults(),
		turn:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
	}
	c.inSize, c.outSize = reportSizes(dev)
	if !validReportSize(c.inSize) || !validReportSize(c.outSize) {
		dev.Close()
		return nil, fmt.Errorf("ctaphid: reports of %d and %d bytes cannot carry a message", c.inSize, c.outSize)
	}
	c.packet = make([]byte, c.outSize)
	c.timer = time.NewTimer(time.Hour)
	c.timer.Stop()
	c.watch = newWatch(dev, c.limits.Cancel)
	go c.read()
	if err := c.start(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("ctaphid: INIT: %w", err)
	}
	return c, nil
}

func (c *Channel) start(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.allocate(ctx)
}

func validReportSize(n int) bool { return minReportSize <= n && n <= maxReportSize }

// DeviceInfo returns what the device said of itself when the channel was opened.
func (c *Channel) DeviceInfo() DeviceInfo { return c.info }

// Close closes the device, ends a running transaction with an error that wraps [fs.ErrClosed], and waits until nothing
// is left behind. Further calls do nothing.
func (c *Channel) Close() error {
	var err error
	c.closeOnce.Do(func() {
		close(c.closing)
		err = c.dev.Close()
	})
	<-c.gone
	return err
}

// read takes in reports until the device is gone.
func (c *Channel) read() {
	defer close(c.gone)
	report := make([]byte, c.inSize+1) // one byte more tells a long one
	for {
		n, err := c.dev.Read(report)
		if err != nil {
			c.goneErr = c.readError(err)
			return
		}
		c.take(report[:n])
	}
}

// take adds a report to what the running transaction waits for, or drops it. The transaction is woken only by what it
// has to act on: neither the packets of a long answer nor a flood of reports for others cost it anything.
func (c *Channel) take(report []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listening || !c.answer.take(report, c.inSize) {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// expect sets what the reader shall collect.
func (c *Channel) expect(answer reception) *reception {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.listening = answer, true
	return &c.answer
}

func (c *Channel) readError(err error) error {
	select {
	case <-c.closing:
		return fs.ErrClosed
	default:
		return err
	}
}

// begin waits for the caller's turn.
func (c *Channel) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-c.gone:
		return c.goneErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Channel) end() {
	c.mu.Lock()
	c.answer, c.listening = reception{}, false
	c.mu.Unlock()
	<-c.turn
}
