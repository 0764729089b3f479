package hid

import (
	"io/fs"
	"runtime"
	"sync"
)

// ioQueue is how many input reports wait for a reader: four times the longest message, which has 129. When nobody reads
// for longer than that, the oldest go, which belong to something that nobody waits for any more; a message whose reader keeps
// up within hundreds of reports loses nothing.
const ioQueue = 512

// ioDevice is an open interface. Its callbacks come in the thread of its loop.
type ioDevice struct {
	k      *iokit
	ref    cfRef
	number byte // of output reports; 0 if they have none
	loop   *ioLoop
	token  uintptr

	buf   []byte // where the system puts an input report before it calls back; it stays where it is
	pin   runtime.Pinner
	queue chan []byte // input reports, as long as they came

	removeOnce sync.Once
	removed    chan struct{}
	closed     chan struct{}
	writing    sync.RWMutex // held for reading by a Write while it uses ref
}

// openService opens a device so that others can have it open at the same time; if another program has seized it, the error
// is ErrBusy.
func (k *iokit) openService(service ioObject, s ioService) (*ioDevice, error) {
	ref := k.IOHIDDeviceCreate(0, service)
	if ref == 0 {
		return nil, ioNoDevice
	}
	if err := k.IOHIDDeviceOpen(ref, 0).err(); err != nil {
		k.CFRelease(ref)
		return nil, err
	}
	d := &ioDevice{
		k: k, ref: ref, number: s.reports.out.number,
		buf:   make([]byte, max(s.maxInput, 1+s.reports.in.size)),
		queue: make(chan []byte, ioQueue), removed: make(chan struct{}), closed: make(chan struct{}),
	}
	d.pin.Pin(&d.buf[0])
	d.token = k.register(d)
	var err error
	if d.loop, err = k.startLoop(d.attach, d.detach); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

func (d *ioDevice) attach(l *ioLoop) error {
	d.k.IOHIDDeviceRegisterInputReportCallback(d.ref, &d.buf[0], len(d.buf), d.k.callbacks.report, d.token)
	d.k.IOHIDDeviceRegisterRemovalCallback(d.ref, d.k.callbacks.removed, d.token)
	d.k.IOHIDDeviceScheduleWithRunLoop(d.ref, l.ref, l.mode)
	return nil
}

func (d *ioDevice) detach(l *ioLoop) {
	d.k.IOHIDDeviceUnscheduleFromRunLoop(d.ref, l.ref, l.mode)
	d.k.IOHIDDeviceRegisterInputReportCallback(d.ref, &d.buf[0], len(d.buf), 0, 0)
	d.k.IOHIDDeviceRegisterRemovalCallback(d.ref, 0, 0)
}

// release gives back everything but the loop.
func (d *ioDevice) release() {
	d.k.unregister(d.token)
	select {
	case <-d.removed: // there is nothing left to close, and old systems crashed at it
	default:
		d.k.IOHIDDeviceClose(d.ref, 0)
	}
	d.k.CFRelease(d.ref)
	d.pin.Unpin()
}

// reportArrived is called with each input report.
func (k *iokit) reportArrived(token uintptr, result ioReturn, kind uint32, report *byte, size int) {
	d, ok := k.receiver(token).(*ioDevice)
	if !ok || result != 0 || kind != ioReportInput {
		return
	}
	b := copyBytes(report, min(size, len(d.buf)))
	for {
		select {
		case d.queue <- b:
			return
		default:
		}
		select {
		case <-d.queue: // the oldest
		default:
		}
	}
}

// deviceRemoved is called when the key is gone.
func (k *iokit) deviceRemoved(token uintptr) {
	if d, ok := k.receiver(token).(*ioDevice); ok {
		d.removeOnce.Do(func() { close(d.removed) })
	}
}

func (d *ioDevice) Read(p []byte) (int, error) {
	select {
	case b := <-d.queue:
		return copy(p, b), nil
	case <-d.closed:
		return 0, fs.ErrClosed
	case <-d.removed:
	}
	select {
	case b := <-d.queue: // it came before
		return copy(p, b), nil
	default:
		return 0, errIOGone
	}
}

// Write sends p, which begins with the report's number if it has one. The system waits for the key for as long as it likes.
func (d *ioDevice) Write(p []byte) (int, error) {
	d.writing.RLock()
	defer d.writing.RUnlock()
	select {
	case <-d.closed:
		return 0, fs.ErrClosed
	default:
	}
	if err := d.k.IOHIDDeviceSetReport(d.ref, ioReportOutput, int(d.number), &p[0], len(p)).err(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends a Read, and waits for a Write.
func (d *ioDevice) Close() error {
	close(d.closed)
	d.loop.end()
	d.writing.Lock()
	defer d.writing.Unlock()
	d.release()
	return nil
}
