package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/keyfob-go/keyfob/hid"
)

// Hub is a USB hub for software keys: it makes them the keys of a system, which come and go. Its Watch and Open do what
// those of package hid do with the keys of this machine, and are made for a client that can take its keys from elsewhere:
//
//	var hub virtual.Hub
//	hub.Plug(key)
//	client := &authenticator.Client{UI: ui, Watch: hub.Watch, Open: hub.Open}
//
// The zero value is an empty hub. All methods may be called concurrently.
type Hub struct {
	mu       sync.Mutex // guards the fields below
	plugged  int        // how many keys ever were
	ports    []*port
	watchers []*hubWatcher
}

// port is where a key is plugged in.
type port struct {
	info hid.Info
	key  *Authenticator
	open []*hubDevice
}

// Plug plugs a key in and returns what the system says about it: a new Path each time, and the names of a keyfob key. The
// key may be in use elsewhere as well.
func (h *Hub) Plug(key *Authenticator) hid.Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugged++
	info := hid.Info{
		Path: fmt.Sprintf("virtual:%d", h.plugged), Bus: hid.BusVirtual,
		Manufacturer: "keyfob", Product: fmt.Sprintf("virtual key %d", h.plugged),
	}
	h.ports = append(h.ports, &port{info: info, key: key})
	h.tell(hid.Event{Kind: hid.Added, Info: info})
	return info
}

// Unplug pulls a key: whatever Open returned for it ends with errors that wrap hid.ErrRemoved, and the key loses its power
// (see [Authenticator.PowerCycle]). It can be plugged in again. A key that is not plugged in is left alone.
func (h *Hub) Unplug(key *Authenticator) {
	for _, d := range h.unplug(key) {
		d.Device.Close()
	}
	key.PowerCycle()
}

func (h *Hub) unplug(key *Authenticator) (open []*hubDevice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = slices.DeleteFunc(h.ports, func(p *port) bool {
		if p.key != key {
			return false
		}
		for _, d := range p.open {
			d.removed = true
		}
		open = append(open, p.open...)
		h.tell(hid.Event{Kind: hid.Removed, Info: p.info})
		return true
	})
	return open
}

// tell queues an event for all watchers, with mu held.
func (h *Hub) tell(e hid.Event) {
	for _, w := range h.watchers {
		w.queue = append(w.queue, e)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Open opens the key at path. The error wraps [fs.ErrNotExist] if there is none.
func (h *Hub) Open(path string) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		if p.info.Path == path {
			d := &hubDevice{Device: p.key.Device(), hub: h}
			p.open = append(p.open, d)
			return d, nil
		}
	}
	return nil, fmt.Errorf("virtual: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
}

// hubDevice is a key that was opened at the hub.
type hubDevice struct {
	*Device
	hub     *Hub
	removed bool // guarded by the hub's mu
}

func (d *hubDevice) Read(p []byte) (int, error) {
	n, err := d.Device.Read(p)
	return n, d.explain(err)
}

func (d *hubDevice) Write(p []byte) (int, error) {
	n, err := d.Device.Write(p)
	return n, d.explain(err)
}

// explain tells a key that was pulled from a device that was closed.
func (d *hubDevice) explain(err error) error {
	d.hub.mu.Lock()
	defer d.hub.mu.Unlock()
	if d.removed && errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("virtual: %w", hid.ErrRemoved)
	}
	return err
}

func (d *hubDevice) Close() error {
	d.hub.forget(d)
	return d.Device.Close()
}

func (h *Hub) forget(d *hubDevice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		p.open = slices.DeleteFunc(p.open, func(o *hubDevice) bool { return o == d })
	}
}

// Watch returns which keys are plugged in, and from then on tells which come and go, until ctx is done. Then it closes the
// channel.
func (h *Hub) Watch(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error) {
	w := &hubWatcher{hub: h, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		present = append(present, p.info)
	}
	h.watchers = append(h.watchers, w)
	out := make(chan hid.Event)
	go w.run(ctx, out)
	return present, out, nil
}

// hubWatcher is one call of Watch.
type hubWatcher struct {
	hub   *Hub
	wake  chan struct{} // gets a value when there is something in the queue
	queue []hid.Event   // guarded by the hub's mu
}

func (w *hubWatcher) run(ctx context.Context, out chan<- hid.Event) {
	defer close(out)
	defer w.end()
	for {
		for _, e := range w.take() {
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (w *hubWatcher) take() []hid.Event {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	queue := w.queue
	w.queue = nil
	return queue
}

func (w *hubWatcher) end() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.hub.watchers = slices.DeleteFunc(w.hub.watchers, func(o *hubWatcher) bool { return o == w })
}
