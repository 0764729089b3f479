package hid

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Event says what became of one FIDO interface.
type Event struct {
	Kind EventKind
	Info Info // as it is now; of a Removed one, as it was last
}

// EventKind is what happened to an interface.
type EventKind uint8

// The kinds of events. None of them is zero.
const (
	Added   EventKind = iota + 1 // it is there now; its Err says if it can't be opened yet
	Removed                      // it is gone
	Changed                      // its Info is another now: most often Err, since the caller may open it now, or not any more
)

// String returns the kind in lower case.
func (k EventKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown"
}

// Watch returns which FIDO interfaces there are, as [List] does, and from then on tells what changes, until ctx is
// done. Then it closes the channel, which happens for no other reason, and leaves nothing behind.
//
// The events are the difference between what the receiver was told and what is there, so no interface is missed between
// the list and the first event, or told twice, and a slow receiver costs nothing: what came and went before the
// receiver looked is not told at all. A key that was pulled and plugged in again is Removed and Added, even if its Path
// is the same. Like [List], Watch opens no device and knows nothing about Unix-domain sockets.
//
// On Linux and others a node exists for some milliseconds before the system gives its user the permission to open it.
// Who waits for a key therefore waits for an event whose Info has no Err, Added or Changed.
//
// The error wraps [errors.ErrUnsupported] on systems that this package has no backend for.
func Watch(ctx context.Context) (present []Info, events <-chan Event, err error) {
	return watch(ctx, list, changes)
}

// watch subscribes before it lists, so it misses nothing in between.
func watch(
	ctx context.Context, list func() ([]Info, error), changes func(context.Context) (<-chan struct{}, error),
) ([]Info, <-chan Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{list: list, events: make(chan Event)}
	var err error
	if w.changes, err = changes(ctx); err != nil {
		cancel()
		return nil, nil, err
	}
	if w.present, err = list(); err != nil {
		w.stop(cancel)
		return nil, nil, err
	}
	w.told = slices.Clone(w.present)
	present := slices.Clone(w.present)
	go func() {
		defer close(w.events)
		defer w.stop(cancel)
		w.run(ctx)
	}()
	return present, w.events, nil
}

// watcher has no queue: what there is to tell is what differs between present and told.
type watcher struct {
	list    func() ([]Info, error)
	changes <-chan struct{}  // see changes, of each system
	retry   <-chan time.Time // for a list that failed, else nil
	events  chan Event
	present []Info // what is there
	told    []Info // what the receiver knows
}

func (w *watcher) run(ctx context.Context) {
	for {
		event, pending := w.next()
		events := w.events
		if !pending {
			events = nil
		}
		select {
		case events <- event:
			w.tell(event)
		case _, ok := <-w.changes:
			if !ok {
				return // ctx is done
			}
			w.refresh()
		case <-w.retry:
			w.refresh()
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the subscription and waits for its end.
func (w *watcher) stop(cancel context.CancelFunc) {
	cancel()
	for range w.changes {
	}
}

// refresh lists again. If that fails, which may be for lack of descriptors, all stays as it was until it works.
func (w *watcher) refresh() {
	w.retry = nil
	present, err := w.list()
	if err != nil {
		w.retry = time.After(pollInterval)
		return
	}
	for n, info := range present {
		if before, found := find(w.present, info); found && isNodeGone(info) {
			present[n] = w.present[before]
		}
	}
	w.present = present
}

// isNodeGone says that an interface has no node. One that had a node is being removed, and soon it will be gone, too.
func isNodeGone(i Info) bool { return errors.Is(i.Err, fs.ErrNotExist) }

// next returns the event that brings the receiver one step nearer to the truth. Removals come first, since the next
// key may have the same path.
func (w *watcher) next() (e Event, ok bool) {
	for _, info := range w.told {
		if _, found := find(w.present, info); !found {
			return Event{Removed, info}, true
		}
	}
	for _, info := range w.present {
		n, found := find(w.told, info)
		if !found {
			return Event{Added, info}, true
		}
		if !info.equal(w.told[n]) {
			return Event{Changed, info}, true
		}
	}
	return Event{}, false
}

// tell notes that the receiver took an event.
func (w *watcher) tell(e Event) {
	n, found := find(w.told, e.Info)
	switch {
	case !found:
		w.told = append(w.told, e.Info)
	case e.Kind == Removed:
		w.told = slices.Delete(w.told, n, n+1)
	default:
		w.told[n] = e.Info
	}
}

// find returns the index of the same interface, whatever else changed about it.
func find(infos []Info, wanted Info) (n int, found bool) {
	for n, info := range infos {
		if info.Path == wanted.Path && info.instance == wanted.instance {
			return n, true
		}
	}
	return 0, false
}

// equal compares all that there is. The errors of two calls are never the same, but say the same.
func (i Info) equal(j Info) bool {
	if (i.Err == nil) != (j.Err == nil) || i.Err != nil && i.Err.Error() != j.Err.Error() {
		return false
	}
	i.Err, j.Err = nil, nil
	return i == j
}

// pollInterval is how often to look where nobody tells.
const pollInterval = time.Second

// poll is changes for systems where nobody tells: there may always have been one.
func poll(ctx context.Context, interval time.Duration) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		tick(ctx, interval, changed)
	}()
	return changed
}

// tick signals in intervals until ctx is done.
func tick(ctx context.Context, interval time.Duration, changed chan<- struct{}) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			signal(changed)
		case <-ctx.Done():
			return
		}
	}
}

// signal says that something may have changed, unless that has been said and not been heard yet.
func signal(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
