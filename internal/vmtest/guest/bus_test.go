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
		soft.Serve(context.Background(), &slowBus{rw, interval})
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

// slowBus moves a report at multiples of an interval only. Who has none ready by then waits for the next.
type slowBus struct {
	io.ReadWriteCloser
	interval time.Duration
}

func (b *slowBus) Read(p []byte) (int, error) {
	b.wait()
	return b.ReadWriteCloser.Read(p)
}

func (b *slowBus) Write(p []byte) (int, error) {
	b.wait()
	return b.ReadWriteCloser.Write(p)
}

func (b *slowBus) wait() {
	now := time.Now()
	time.Sleep(now.Truncate(b.interval).Add(b.interval).Sub(now))
}
