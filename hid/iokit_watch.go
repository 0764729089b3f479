package hid

import (
	"context"
	"errors"
	"fmt"
)

// ioWatch is a subscription to what becomes of FIDO interfaces.
type ioWatch struct {
	k         *iokit
	token     uintptr
	port      uintptr
	iterators []ioObject
}

// changes subscribes to interfaces that come and go.
func (k *iokit) changes(ctx context.Context) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	w := &ioWatch{k: k, token: k.register(changed)}
	loop, err := k.startLoop(w.attach, w.detach)
	if err != nil {
		k.unregister(w.token)
		return nil, fmt.Errorf("hid: watch: %w", err)
	}
	context.AfterFunc(ctx, func() {
		loop.end()
		k.unregister(w.token)
		close(changed)
	})
	return changed, nil
}

func (w *ioWatch) attach(l *ioLoop) error {
	w.port = w.k.IONotificationPortCreate(0)
	if w.port == 0 {
		return errors.New("no notification port")
	}
	w.k.CFRunLoopAddSource(l.ref, w.k.IONotificationPortGetRunLoopSource(w.port), l.mode)
	for _, event := range []string{"IOServiceFirstMatch", "IOServiceTerminate"} {
		if err := w.subscribe(event); err != nil {
			w.detach(l)
			return err
		}
	}
	return nil
}

func (w *ioWatch) subscribe(event string) error {
	var iterator ioObject
	matching := w.k.matching()
	r := w.k.IOServiceAddMatchingNotification(w.port, event, matching, w.k.callbacks.matched, w.token, &iterator)
	if r != 0 {
		return r
	}
	w.iterators = append(w.iterators, iterator)
	w.k.drain(iterator)
	return nil
}

// drain takes what there is out of an iterator, after which the system calls back again when there is more.
func (k *iokit) drain(iterator ioObject) { k.each(iterator, func(ioObject) {}) }

func (w *ioWatch) detach(*ioLoop) {
	for _, iterator := range w.iterators {
		w.k.IOObjectRelease(iterator)
	}
	w.k.IONotificationPortDestroy(w.port) // and its source
}

// servicesMatched is called when interfaces have come or gone.
func (k *iokit) servicesMatched(token uintptr, iterator ioObject) {
	k.drain(iterator)
	if changed, ok := k.receiver(token).(chan struct{}); ok {
		signal(changed)
	}
}
