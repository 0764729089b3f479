package helper

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// porch is where keys come and go, and counts the watches.
type porch struct {
	watches int
	events  chan hid.Event
	err     error
}

func (p *porch) watch(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
	if p.err != nil {
		return nil, nil, p.err
	}
	p.watches++
	out := make(chan hid.Event)
	go func() {
		defer close(out)
		for {
			select {
			case e := <-p.events:
				out <- e
			case <-ctx.Done():
				return
			}
		}
	}()
	return []hid.Info{{Path: "old"}}, out, nil
}

// What happens between two requests, and during one, is known to the next, over a single watch.
func TestRosterKeepsOneWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &porch{events: make(chan hid.Event)}
		r := newRoster(t.Context(), p.watch)
		join := func() ([]hid.Info, <-chan hid.Event, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			present, events, err := r.watch(ctx)
			require.NoError(t, err)
			return present, events, cancel
		}
		present, events, leave := join()
		require.Equal(t, []hid.Info{{Path: "old"}}, present)
		added := hid.Event{Kind: hid.Added, Info: hid.Info{Path: "new"}}
		p.events <- added
		require.Equal(t, added, <-events)
		p.events <- hid.Event{Kind: hid.Added, Info: hid.Info{Path: "unread"}}
		synctest.Wait()
		leave()
		_, ok := <-events
		if ok {
			_, ok = <-events
		}
		require.False(t, ok, "it is closed")

		p.events <- hid.Event{Kind: hid.Removed, Info: hid.Info{Path: "old"}}
		p.events <- hid.Event{Kind: hid.Changed, Info: hid.Info{Path: "new", Product: "P"}}
		synctest.Wait()
		present, _, leave = join()
		require.ElementsMatch(t, []hid.Info{{Path: "unread"}, {Path: "new", Product: "P"}}, present)
		leave()
		require.Equal(t, 1, p.watches)

		time.Sleep(2 * linger) // nobody asks: the watch ends, and the next one begins anew
		present, _, leave = join()
		require.Equal(t, []hid.Info{{Path: "old"}}, present)
		require.Equal(t, 2, p.watches)
		leave()
		r.end()
		r.end()
	})
}

func TestRosterThatCannotWatchTriesAgain(t *testing.T) {
	t.Parallel()
	p := &porch{err: errors.ErrUnsupported, events: make(chan hid.Event)}
	r := newRoster(t.Context(), p.watch)
	_, _, err := r.watch(t.Context())
	require.ErrorIs(t, err, errors.ErrUnsupported)
	p.err = nil
	present, _, err := r.watch(t.Context())
	require.NoError(t, err)
	require.Len(t, present, 1)
	r.end()
}

func TestRosterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := &porch{events: make(chan hid.Event)}
	_, events, err := newRoster(ctx, p.watch).watch(t.Context())
	require.NoError(t, err)
	cancel()
	_, ok := <-events
	require.False(t, ok)
}
