package hid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeBackend is a system with keys that come and go at a test's command.
type fakeBackend struct {
	changed chan struct{}
	ended   bool // nothing is left of the subscription

	subscribed func() // runs between the subscription and the first list, unless it is nil

	mu    sync.Mutex // guards what follows
	infos []Info
	err   error // what list fails with
	lists int
}

func (b *fakeBackend) list() ([]Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lists++
	return slices.Clone(b.infos), b.err
}

// fail has list fail from now on, or work again.
func (b *fakeBackend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *fakeBackend) changes(ctx context.Context) (<-chan struct{}, error) {
	b.changed = make(chan struct{}, 1)
	go func() {
		defer close(b.changed)
		<-ctx.Done()
		b.ended = true
	}()
	if b.subscribed != nil {
		b.subscribed()
	}
	return b.changed, nil
}

// set changes what is there and says so, and waits until that has been noticed.
func (b *fakeBackend) set(infos ...Info) {
	b.mu.Lock()
	b.infos = infos
	b.mu.Unlock()
	signal(b.changed)
	synctest.Wait()
}

// start watches until the test ends, which leaves nothing behind. What is there by then comes as the first change.
func (b *fakeBackend) start(t *testing.T) <-chan Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	infos := b.infos
	b.infos = nil
	present, events, err := watch(ctx, b.list, b.changes)
	require.NoError(t, err)
	require.Empty(t, present)
	t.Cleanup(func() {
		cancel()
		for range events {
		}
		require.True(t, b.ended)
	})
	if infos != nil {
		b.set(infos...)
	}
	synctest.Wait()
	return events
}

// take returns all that there is to tell now.
func take(events <-chan Event) (taken []Event) {
	for {
		synctest.Wait()
		select {
		case e := <-events:
			taken = append(taken, e)
		default:
			return taken
		}
	}
}

func node(n int, instance string) Info {
	return Info{Path: fmt.Sprintf("/dev/hidraw%d", n), Product: "Key", instance: instance}
}

func denied(i Info) Info {
	i.Err = &fs.PathError{Op: "open", Path: i.Path, Err: fs.ErrPermission}
	return i
}

func missing(i Info) Info {
	i.Err = &fs.PathError{Op: "open", Path: i.Path, Err: fs.ErrNotExist}
	return i
}

func TestWatchTellsWhatChanges(t *testing.T) {
	t.Parallel()
	a, b := node(0, "1"), node(1, "2")
	named := a
	named.Manufacturer = "Yubico"
	for _, tc := range []struct {
		name          string
		before, after []Info
		want          []Event
	}{
		{"nothing", []Info{a}, []Info{a}, nil},
		{"plugged in", []Info{a}, []Info{a, b}, []Event{{Added, b}}},
		{"pulled", []Info{a, b}, []Info{b}, []Event{{Removed, a}}},
		{"all pulled", []Info{a, b}, nil, []Event{{Removed, a}, {Removed, b}}},
		{"another order", []Info{a, b}, []Info{b, a}, nil},
		{"permission came", []Info{denied(a)}, []Info{a}, []Event{{Changed, a}}},
		{"permission went", []Info{a}, []Info{denied(a)}, []Event{{Changed, denied(a)}}},
		{"the same error again", []Info{denied(a)}, []Info{denied(a)}, nil},
		{"a name came", []Info{a}, []Info{named}, []Event{{Changed, named}}},
		{"the node is gone, the rest is to follow", []Info{a, b}, []Info{missing(a), b}, nil},
		{"the node is there", []Info{missing(a)}, []Info{a}, []Event{{Changed, a}}},
		{"plugged in again at the same path", []Info{a}, []Info{node(0, "3")}, []Event{{Removed, a}, {Added, node(0, "3")}}},
		{"another at the path of one that moved", []Info{a, b}, []Info{node(0, "2"), node(1, "1")}, []Event{
			{Removed, a}, {Removed, b}, {Added, node(0, "2")}, {Added, node(1, "1")},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				backend := &fakeBackend{infos: tc.before}
				events := backend.start(t)
				var first []Event
				for _, info := range tc.before {
					first = append(first, Event{Added, info})
				}
				require.Equal(t, first, take(events))
				backend.set(tc.after...)
				require.Equal(t, tc.want, take(events))
			})
		})
	}
}

func TestWatchMissesNothingBetweenSubscriptionAndList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fakeBackend{}
		backend.subscribed = func() {
			backend.infos = []Info{node(0, "1")}
			signal(backend.changed)
		}
		present, events, err := watch(t.Context(), backend.list, backend.changes)
		require.NoError(t, err)
		require.Equal(t, []Info{node(0, "1")}, present)
		require.Empty(t, take(events), "it was told")
	})
}

func TestWatchSlowReceiverIsToldTheDifference(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fakeBackend{infos: []Info{node(0, "0")}}
		events := backend.start(t)
		require.Len(t, take(events), 1)
		for n := range 1000 {
			backend.set(node(0, "0"), node(1, fmt.Sprint(n)))
		}
		backend.set(node(0, "0"))
		require.Empty(t, take(events), "what came and went is not told")

		backend.set(denied(node(0, "0")), denied(node(2, "a")))
		backend.set(node(0, "0"), node(2, "a"))
		require.Equal(t, []Event{{Added, node(2, "a")}}, take(events), "the permission is there at once")
		backend.set(node(0, "b"))
		backend.set()
		require.Equal(t, []Event{{Removed, node(0, "0")}, {Removed, node(2, "a")}}, take(events))
	})
}

// Whatever happens and whenever the receiver looks: each key is Added once before it is Removed or Changed, and in
// the end the receiver knows what is there.
func TestWatchTellsTheTruth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		backend := &fakeBackend{}
		events := backend.start(t)
		known := map[string]Info{}
		learn := func(e Event) {
			_, there := known[e.Info.Path]
			require.Equal(t, e.Kind != Added, there, "%v", e)
			known[e.Info.Path] = e.Info
			if e.Kind == Removed {
				delete(known, e.Info.Path)
			}
		}
		for range 3000 {
			var infos []Info
			for n := range 4 {
				info := node(n, fmt.Sprint(random.IntN(2)))
				if random.IntN(2) == 0 {
					info = denied(info)
				}
				if random.IntN(3) > 0 {
					infos = append(infos, info)
				}
			}
			backend.set(infos...)
			for range random.IntN(4) {
				select {
				case e := <-events:
					learn(e)
				default:
				}
				synctest.Wait()
			}
		}
		for _, e := range take(events) {
			learn(e)
		}
		require.Len(t, known, len(backend.infos))
		for _, info := range backend.infos {
			require.Equal(t, info, known[info.Path])
		}
	})
}

func TestWatchTriesAgainWhenListFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fakeBackend{infos: []Info{node(0, "1")}}
		events := backend.start(t)
		require.Len(t, take(events), 1)
		backend.fail(errors.New("too many open files"))
		backend.set()
		require.Empty(t, take(events), "a failed list is no empty list")
		backend.fail(nil)
		time.Sleep(pollInterval)
		require.Equal(t, []Event{{Removed, node(0, "1")}}, take(events))
		lists := backend.lists
		time.Sleep(time.Hour)
		require.Equal(t, lists, backend.lists, "an idle watch does nothing")
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fakeBackend{infos: []Info{node(0, "1")}}
		ctx, cancel := context.WithCancel(t.Context())
		present, events, err := watch(ctx, backend.list, backend.changes)
		require.NoError(t, err)
		require.Equal(t, []Info{node(0, "1")}, present)
		backend.set()
		cancel()
		synctest.Wait()
		_, ok := <-events
		require.False(t, ok, "what nobody took is not told after the end")
		require.True(t, backend.ended)
	})
}

func TestWatchFailsToBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &fakeBackend{err: errors.New("boom")}
		_, _, err := watch(t.Context(), backend.list, backend.changes)
		require.EqualError(t, err, "boom")
		require.True(t, backend.ended)

		refuse := func(context.Context) (<-chan struct{}, error) { return nil, errors.ErrUnsupported }
		_, _, err = watch(t.Context(), backend.list, refuse)
		require.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

func TestPollTellsInIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		changed := poll(ctx, pollInterval)
		for range 3 {
			<-changed
		}
		require.Equal(t, 3*pollInterval, time.Since(start))
		time.Sleep(10 * pollInterval)
		require.Len(t, changed, 1, "what is not heard is not said twice")
		cancel()
		synctest.Wait()
		<-changed
		_, ok := <-changed
		require.False(t, ok)
	})
}

func TestEventKindString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[EventKind]string{
		Added: "added", Removed: "removed", Changed: "changed", 0: "unknown", 9: "unknown",
	} {
		require.Equal(t, want, kind.String())
	}
}

func BenchmarkWatchRefresh(b *testing.B) {
	var infos []Info
	for n := range 64 {
		infos = append(infos, node(n, fmt.Sprint(n)))
	}
	w := watcher{list: func() ([]Info, error) { return infos, nil }, told: slices.Clone(infos)}
	b.ReportAllocs()
	for b.Loop() {
		w.refresh()
		if e, pending := w.next(); pending {
			b.Fatal(e)
		}
	}
}
