package guest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestLongPingKeepsUpWithTheBus has a bus that moves one report each way in 5 ms, as that of most keys, and a message of
// the largest size: 129 reports there and 129 back.
func TestLongPingKeepsUpWithTheBus(t *testing.T) {
	const interval, reports = 5 * time.Millisecond, 2 * 129
	soft := newSoftKey(t, virtual.Config{})
	key := attachUSB(t, usbip.Config{}, func(rw io.ReadWriteCloser) {
		each := endpoint{interval: interval}
		soft.Serve(context.Background(), &slowBus{rw, each, each})
	})
	best := limit
	require.NoError(t, withKey(t, key.Info, func(ctx context.Context, a *authenticator.Authenticator) error {
		data := bytes.Repeat([]byte("ping"), maxMessage/4+1)[:maxMessage]
		for range 3 {
			start := time.Now()
			if err := a.Ping(ctx, data); err != nil {
				return err
			}
			took := time.Since(start)
			t.Logf("%d bytes: %v, %.3f of %d intervals of %v", len(data), took.Round(time.Millisecond),
				float64(took)/float64(reports*interval), reports, interval)
			best = min(best, took)
		}
		return nil
	}))
	require.Greater(t, best, reports*interval*9/10, "the bus is not slow")
	require.Less(t, best, reports*interval*3) // what is more than 5 % is the delay of a machine that is emulated or busy
}

// slowBus moves a report in each direction in an interval.
type slowBus struct {
	io.ReadWriteCloser
	in, out endpoint
}

func (b *slowBus) Read(p []byte) (int, error) {
	return b.out.move(func() (int, error) { return b.ReadWriteCloser.Read(p) })
}

func (b *slowBus) Write(p []byte) (int, error) {
	return b.in.move(func() (int, error) { return b.ReadWriteCloser.Write(p) })
}

// endpoint is one direction of a bus, which is never late itself: when this machine did not get to a report in time, the
// next one is due all the earlier. A host that does not have its report ready misses its turn.
type endpoint struct {
	interval time.Duration
	due      time.Time // of the next report
}

func (e *endpoint) move(report func() (int, error)) (int, error) {
	const late = 4 // intervals that can be caught up with
	time.Sleep(time.Until(e.due))
	start := time.Now()
	if earliest := start.Add(-late * e.interval); e.due.Before(earliest) {
		e.due = earliest
	}
	n, err := report()
	e.due = e.due.Add(e.interval)
	if end := time.Now(); end.Sub(start) > e.interval {
		e.due = end.Add(e.interval)
	}
	return n, err
}
