//go:build hidapi && cgo

package hidapi

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	hidapi "github.com/sstallion/go-hid"

	"github.com/keyfob-go/keyfob/hid"
)

// How long a Read waits between looks at whether it was closed: longer the longer nothing comes, so that Close is quick
// while a key is being used, and an idle key costs little.
const (
	firstWait = 4 * time.Millisecond
	lastWait  = 256 * time.Millisecond
)

// conn is a device of HIDAPI whose Close may come at any time. HIDAPI frees what a Read or Write still uses, so that
// must end first.
type conn struct {
	handle handle
	path   string
	closed atomic.Bool
	users  sync.RWMutex // held for reading by who uses the handle
}

// handle is what conn needs of a hidapi.Device.
type handle interface {
	ReadWithTimeout(p []byte, timeout time.Duration) (int, error)
	Write(p []byte) (int, error)
	Close() error
	GetReportDescriptor(p []byte) (int, error)
}

func connect(path string) (*conn, error) {
	process.Lock()
	defer process.Unlock()
	device, err := hidapi.OpenPath(path)
	if err != nil {
		return nil, openError(path, err)
	}
	return &conn{handle: device, path: path}, nil
}

// device makes the hid.Device that owns c.
func (c *conn) device(info hid.Info) (*hid.Device, error) {
	descriptor := make([]byte, maxDescriptor)
	n, err := c.handle.GetReportDescriptor(descriptor)
	if err != nil {
		return nil, fmt.Errorf("hidapi: open %s: report descriptor: %w", c.path, err)
	}
	return hid.NewDevice(c, info, descriptor[:n])
}

// Read waits for a report.
func (c *conn) Read(p []byte) (int, error) {
	c.users.RLock()
	defer c.users.RUnlock()
	for wait := firstWait; !c.closed.Load(); wait = min(2*wait, lastWait) {
		n, err := c.handle.ReadWithTimeout(p, wait)
		switch {
		case err == nil:
			return n, nil
		case !errors.Is(err, hidapi.ErrTimeout) && !isInterrupted(err):
			return 0, c.explain(err)
		}
	}
	return 0, fs.ErrClosed
}

// Write waits until the key has taken the report, or does not take it, which Linux gives it 5 seconds for.
func (c *conn) Write(p []byte) (int, error) {
	c.users.RLock()
	defer c.users.RUnlock()
	if c.closed.Load() {
		return 0, fs.ErrClosed
	}
	n, err := c.handle.Write(p)
	if err != nil {
		return 0, c.explain(err)
	}
	return n, nil
}

// Close waits until Read and Write have returned, and frees the device.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.users.Lock()
	defer c.users.Unlock()
	return c.handle.Close()
}

// isInterrupted says that a signal came while HIDAPI waited, which is no reason to give up: any thread of the process may
// get one, such as when a child ends, and poll(2) doesn't go on by itself.
func isInterrupted(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "interrupted system call")
}

// removals is how HIDAPI and the C libraries say that a device is gone.
var removals = []string{
	"disconnected", "thread shutdown", // HIDAPI itself
	"input/output error", "i/o error", "no such device", "shutdown", // EIO, ENODEV and ESHUTDOWN
}

// explain says what an error of an open device means. Windows speaks the language of its user, so what no text tells is
// told by whether the device is still there.
func (c *conn) explain(err error) error {
	text := strings.ToLower(err.Error())
	for _, removal := range removals {
		if strings.Contains(text, removal) {
			return fmt.Errorf("%w: %w", hid.ErrRemoved, err)
		}
	}
	infos, listErr := enumerate(func(d *hidapi.DeviceInfo) bool { return d.Path == c.path })
	if listErr == nil && len(infos) == 0 {
		return fmt.Errorf("%w: %w", hid.ErrRemoved, err)
	}
	return err
}
