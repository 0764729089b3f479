package ctaphid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestOpenLearnsTheDevice(t *testing.T) {
	c, _ := openChannel(t, echo)
	require.Equal(t, DeviceInfo{
		ProtocolVersion: 2,
		DeviceVersion:   [3]byte{5, 4, 3},
		Capabilities:    CapabilityWink | CapabilityCBOR,
	}, c.DeviceInfo())
	require.True(t, c.DeviceInfo().Capabilities.Has(CapabilityCBOR))
	require.False(t, c.DeviceInfo().Capabilities.Has(CapabilityCBOR|CapabilityNoMsg))
}

func TestPingOfEverySize(t *testing.T) {
	for _, size := range []int{8, 9, 20, 64, 65, 512} {
		longest := maxMessage(size)
		t.Run(fmt.Sprintf("reports of %d bytes", size), func(t *testing.T) {
			d := newFakeDevice(size, size)
			serve(t, d, echo)
			c, err := Open(t.Context(), d)
			require.NoError(t, err)
			defer c.Close()
			for _, n := range []int{0, 1, size - 8, size - 7, size - 6, 100, longest - 1, longest} {
				require.NoError(t, c.Ping(t.Context(), pattern(n)), "%d bytes", n)
			}
			require.ErrorIs(t, c.Ping(t.Context(), pattern(longest+1)), ErrTooLong)
		})
	}
	require.Equal(t, 7609, maxMessage(64))
}

func TestOpenRefusesImpossibleReportSizes(t *testing.T) {
	for _, size := range []int{-1, 0, 7, 1 << 20} {
		d := newFakeDevice(size, 64)
		_, err := Open(t.Context(), d)
		require.ErrorContains(t, err, "cannot carry a message")
		<-d.closed
	}
}

func TestPingComparesTheEcho(t *testing.T) {
	c, _ := openChannel(t, func(k *fakeKey, r request) { k.send(r.cid, r.cmd, []byte("other")) })
	require.ErrorIs(t, c.Ping(t.Context(), []byte("ping!")), ErrProtocol)
}

// A frame of another channel, of any kind, before, inside and behind an answer.
func TestForeignChannelsAreIgnored(t *testing.T) {
	const foreign = 0x0badc1d5
	noise := reports(64, foreign, CommandCBOR, pattern(200))
	noise = append(noise, reports(64, foreign, CommandError, []byte{byte(ErrInvalidSeq)})...)
	noise = append(noise, reports(64, foreign, CommandKeepalive, []byte{KeepaliveUPNeeded})...)
	noise = append(noise, reports(64, BroadcastCID, CommandInit, initAnswer(pattern(8), foreign))...)
	c, _ := openChannel(t, func(k *fakeKey, r request) {
		for _, report := range reports(64, r.cid, r.cmd, r.data) {
			for _, n := range noise {
				k.toHost <- n
			}
			k.toHost <- report
		}
		k.toHost <- noise[0]
	})
	for range 3 {
		answer, err := c.CBOR(t.Context(), pattern(300), func(byte) { t.Error("foreign keepalive") })
		require.NoError(t, err)
		require.Equal(t, pattern(300), answer)
	}
}

func TestKeepalivesReachTheCaller(t *testing.T) {
	c, _ := openChannel(t, func(k *fakeKey, r request) {
		for _, status := range []byte{1, 2, 2, 9, 1} {
			k.send(r.cid, CommandKeepalive, []byte{status})
		}
		answer := reports(64, r.cid, r.cmd, pattern(100))
		k.toHost <- answer[0]
		k.send(r.cid, CommandKeepalive, []byte{7}) // inside the answer
		k.toHost <- answer[1]
	})
	var got []byte
	answer, err := c.CBOR(t.Context(), []byte{4}, func(s byte) { got = append(got, s) })
	require.NoError(t, err)
	require.Equal(t, pattern(100), answer)
	require.Equal(t, []byte{1, 2, 9, 1, 7}, got, "each change once")
}

func TestBusyDeviceIsAskedAgainWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		c, _ := openChannel(t, func(k *fakeKey, r request) {
			at = append(at, time.Now())
			if len(at) < 7 {
				k.send(r.cid, CommandError, []byte{byte(ErrChannelBusy)})
				return
			}
			echo(k, r)
		})
		require.NoError(t, c.Ping(t.Context(), []byte("x")))
		var waits []int
		for i := range at[1:] {
			waits = append(waits, int(at[i+1].Sub(at[i])/time.Millisecond))
		}
		require.Equal(t, []int{20, 40, 80, 160, 320, 320}, waits)
		c.Close()
	})
}

func TestBusyDeviceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openChannel(t, func(k *fakeKey, r request) {
			k.send(r.cid, CommandError, []byte{byte(ErrChannelBusy)})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, c.Ping(ctx, nil), context.DeadlineExceeded)
		c.Close()
	})
}

func TestOpenWaitsForABusyDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDevice(64, 64)
		k := &fakeKey{fakeDevice: d, t: t, nextCID: 1}
		go func() {
			for range 3 {
				r, _ := k.receive()
				k.send(r.cid, CommandError, []byte{byte(ErrChannelBusy)})
			}
			r, _ := k.receive()
			k.answerInit(r)
		}()
		c, err := Open(t.Context(), d)
		require.NoError(t, err)
		c.Close()
	})
}

func TestOpenRefusesBadAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(nonce []byte) []byte
		want   error
	}{
		"short":              {func(n []byte) []byte { return initAnswer(n, 1)[:16] }, ErrProtocol},
		"channel 0":          {func(n []byte) []byte { return initAnswer(n, 0) }, ErrProtocol},
		"broadcast channel":  {func(n []byte) []byte { return initAnswer(n, BroadcastCID) }, ErrProtocol},
		"stale nonce":        {func(n []byte) []byte { return initAnswer(pattern(8), 1) }, ErrTimeout},
		"shorter than nonce": {func(n []byte) []byte { return n[:7] }, ErrTimeout},
		"empty":              {func(n []byte) []byte { return nil }, ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFakeDevice(64, 64)
				k := &fakeKey{fakeDevice: d, t: t}
				go func() {
					r, _ := k.receive()
					k.send(r.cid, CommandInit, tc.answer(r.data))
				}()
				_, err := Open(t.Context(), d)
				require.ErrorIs(t, err, tc.want)
				<-d.closed // nothing is left open
			})
		})
	}
}

func TestOpenAcceptsALongerAnswer(t *testing.T) {
	d := newFakeDevice(64, 64)
	k := &fakeKey{fakeDevice: d, t: t}
	go func() {
		r, _ := k.receive()
		k.send(r.cid, CommandInit, append(initAnswer(r.data, 5), 1, 2, 3))
	}()
	c, err := Open(t.Context(), d)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// What arrives while no transaction runs belongs to none.
func TestReportsBetweenTransactionsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, k := openChannel(t, echo)
		for range 100 {
			k.send(c.cid, CommandCBOR, []byte("unasked"))
		}
		synctest.Wait()
		answer, err := c.CBOR(t.Context(), []byte("asked"), nil)
		require.NoError(t, err)
		require.Equal(t, "asked", string(answer))
		c.Close()
	})
}

func TestConcurrentCallersTakeTurns(t *testing.T) {
	c, _ := openChannel(t, echo)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			data := pattern(40 * i)
			answer, err := c.CBOR(t.Context(), data, nil)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, answer))
		})
	}
	wg.Wait()
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openChannel(t, func(k *fakeKey, r request) {})
		var wg sync.WaitGroup
		wg.Go(func() { c.CBOR(t.Context(), []byte{1}, nil) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, c.Ping(ctx, nil), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		c.Close()
		wg.Wait()
	})
}

func TestCloseEndsATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openChannel(t, func(k *fakeKey, r request) {})
		done := make(chan error, 1)
		go func() {
			_, err := c.CBOR(t.Context(), []byte{1}, nil)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "closing again")
		require.ErrorIs(t, <-done, fs.ErrClosed)
		require.ErrorIs(t, c.Ping(t.Context(), nil), fs.ErrClosed)
	})
}

func TestDoneContextSendsNothing(t *testing.T) {
	c, k := openChannel(t, func(k *fakeKey, r request) { t.Errorf("%v was sent", r.cmd) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Ping(ctx, nil), context.Canceled)
	require.Empty(t, k.fromHost)
}

// removedDevice fails like one that was unplugged.
type removedDevice struct {
	*fakeDevice
	err error
}

func (d removedDevice) Read(p []byte) (int, error) {
	n, err := d.fakeDevice.Read(p)
	if err != nil {
		err = d.err
	}
	return n, err
}

func TestRemovalIsPassedOn(t *testing.T) {
	d := newFakeDevice(64, 64)
	serve(t, d, func(k *fakeKey, r request) { k.Close() })
	removed := errors.New("pulled")
	c, err := Open(t.Context(), removedDevice{d, removed})
	require.NoError(t, err)
	defer c.Close()
	require.ErrorIs(t, c.Ping(t.Context(), nil), removed)
	require.Error(t, c.Ping(t.Context(), nil))
}

// stuckDevice takes reports until stuck is closed and then no more until it is closed itself.
type stuckDevice struct {
	*fakeDevice
	stuck chan struct{}
}

func (d stuckDevice) Write(p []byte) (int, error) {
	select {
	case <-d.stuck:
		<-d.closed
		return 0, io.ErrClosedPipe
	default:
		return d.fakeDevice.Write(p)
	}
}

func TestDeviceThatTakesNoReport(t *testing.T) {
	stall := func(t *testing.T) (*Channel, context.Context) {
		d := newFakeDevice(64, 64)
		serve(t, d, echo)
		stuck := make(chan struct{})
		c, err := Open(t.Context(), stuckDevice{d, stuck})
		require.NoError(t, err)
		close(stuck)
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		t.Cleanup(cancel)
		return c, ctx
	}
	t.Run("at all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := stall(t)
			start := time.Now()
			require.ErrorIs(t, c.Ping(t.Context(), nil), ErrTimeout)
			require.Equal(t, c.limits.Write, time.Since(start))
			c.Close()
		})
	})
	t.Run("although the context is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, ctx := stall(t)
			start := time.Now()
			require.ErrorIs(t, c.Ping(ctx, pattern(7609)), context.DeadlineExceeded)
			require.LessOrEqual(t, time.Since(start), 700*time.Millisecond+2*c.limits.Cancel)
			c.Close()
		})
	})
}

// The first look after a long message was cancelled must not close a device that is well.
func TestCancelWhileSendingKeepsTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDevice(64, 64)
		serve(t, d, echo)
		slow := &slowDevice{fakeDevice: d}
		c, err := Open(t.Context(), slow)
		require.NoError(t, err)
		slow.pause = 40 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 490*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Ping(ctx, pattern(7609)), context.DeadlineExceeded)
		require.NoError(t, c.Ping(t.Context(), pattern(7609)), "which takes 5 seconds")
		c.Close()
	})
}

// slowDevice takes a while for each report.
type slowDevice struct {
	*fakeDevice
	pause time.Duration
}

func (d *slowDevice) Write(p []byte) (int, error) {
	time.Sleep(d.pause)
	return d.fakeDevice.Write(p)
}

func TestDeviceInfoWhileAChannelIsReset(t *testing.T) {
	c, _ := openChannel(t, func(k *fakeKey, r request) { k.send(r.cid, CommandWink, nil) })
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			c.CBOR(t.Context(), []byte{1}, nil) // resynchronizes each time
		}
	})
	for range 1000 {
		require.EqualValues(t, 2, c.DeviceInfo().ProtocolVersion)
	}
	wg.Wait()
}

func TestWinkLockAndMsg(t *testing.T) {
	var got []request
	c, _ := openChannel(t, func(k *fakeKey, r request) {
		got = append(got, r)
		echo(k, r)
	})
	require.NoError(t, c.Wink(t.Context()))
	require.NoError(t, c.Lock(t.Context(), 2500*time.Millisecond))
	require.NoError(t, c.Lock(t.Context(), 0))
	require.NoError(t, c.Lock(t.Context(), MaxLock))
	require.Error(t, c.Lock(t.Context(), 11*time.Second))
	require.Error(t, c.Lock(t.Context(), -time.Second))
	_, err := c.Msg(t.Context(), []byte{0, 3, 0, 0})
	require.NoError(t, err)
	cid := c.cid
	require.Equal(t, []request{
		{cid, CommandWink, []byte{}},
		{cid, CommandLock, []byte{3}},
		{cid, CommandLock, []byte{0}},
		{cid, CommandLock, []byte{10}},
		{cid, CommandMsg, []byte{0, 3, 0, 0}},
	}, got)
}

func TestErrorsDescribeThemselves(t *testing.T) {
	require.EqualError(t, ErrChannelBusy, "device is busy with another channel")
	require.EqualError(t, Error(0x42), "device reported error 0x42")
	require.Equal(t, "command 0x55", Command(0x55).String())
}

// flooding answers INIT, and to anything else with the same report without end.
type flooding struct {
	*fakeDevice
	report []byte
}

func (d flooding) Read(p []byte) (int, error) {
	select {
	case r := <-d.toHost:
		return copy(p, r), nil
	case <-d.closed:
		return 0, fs.ErrClosed
	default:
		return copy(p, d.report), nil
	}
}

func (d flooding) Write(p []byte) (int, error) {
	if packetCID(p) == BroadcastCID {
		d.toHost <- reports(64, BroadcastCID, CommandInit, initAnswer(p[7:15], 1))[0]
	}
	return len(p), nil
}

func TestFloodsDoNotHoldTheCaller(t *testing.T) {
	for name, report := range map[string][]byte{
		"of another channel": reports(64, 2, CommandCBOR, pattern(57))[0],
		"of keepalives":      reports(64, 1, CommandKeepalive, []byte{KeepaliveProcessing})[0],
		"of beginnings":      reports(64, BroadcastCID, CommandInit, pattern(7000))[0],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Open(t.Context(), flooding{newFakeDevice(64, 64), report})
			require.NoError(t, err)
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = c.CBOR(ctx, []byte{1}, func(byte) {})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

// A key that changes its status faster than anybody looks costs no memory.
func TestKeepaliveChangesAreBounded(t *testing.T) {
	in := reception{cid: 1}
	for i := range 10_000 {
		in.take(reports(64, 1, CommandKeepalive, []byte{byte(i)})[0], 64)
	}
	require.Len(t, in.statuses, maxStatuses)
}

// The device answers with another command first and with the right one when nobody waits any more.
func TestAnswerAfterAnAnswerOfAnotherCommand(t *testing.T) {
	first := true
	c, _ := openChannel(t, func(k *fakeKey, r request) {
		if first {
			first = false
			k.send(r.cid, CommandWink, nil)
			k.send(r.cid, CommandCBOR, []byte("late"))
			return
		}
		echo(k, r)
	})
	_, err := c.CBOR(t.Context(), []byte{1}, nil)
	require.ErrorIs(t, err, ErrProtocol)
	answer, err := c.CBOR(t.Context(), []byte("next"), nil)
	require.NoError(t, err)
	require.Equal(t, "next", string(answer))
}

// cuttingDevice runs a function when so many reports were written, and fails from there on if that returns an error.
type cuttingDevice struct {
	*fakeDevice
	left int
	cut  func() error
}

func (d *cuttingDevice) Write(p []byte) (int, error) {
	if d.left--; d.left == 0 {
		if err := d.cut(); err != nil {
			d.left = 1
			return 0, err
		}
	}
	return d.fakeDevice.Write(p)
}

// A request that was sent in part is aborted, so that the next one is not taken for the rest of it.
func TestCancelWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDevice(64, 64)
		k := &fakeKey{fakeDevice: d, t: t, nextCID: 9}
		var wg sync.WaitGroup
		wg.Go(func() {
			var m message
			for {
				select {
				case report := <-d.fromHost:
					if report[4] == byte(CommandInit)|initBit {
						m = message{}
						k.answerInit(request{packetCID(report), CommandInit, report[7:15]})
						continue
					}
					complete, err := m.add(report)
					require.NoError(t, err)
					if complete {
						k.send(packetCID(report), m.cmd, m.data)
					}
				case <-d.closed:
					return
				}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := Open(t.Context(), &cuttingDevice{d, 1 + 5, func() error { cancel(); return nil }})
		require.NoError(t, err)
		_, err = c.CBOR(ctx, pattern(2000), nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 2, k.inits)
		answer, err := c.CBOR(t.Context(), pattern(200), nil)
		require.NoError(t, err)
		require.Equal(t, pattern(200), answer)
		c.Close()
		wg.Wait()
	})
}

func TestErrorWhileSending(t *testing.T) {
	broken := errors.New("cable")
	for _, reports := range []int{1, 2, 3} {
		d := newFakeDevice(64, 64)
		serve(t, d, echo)
		c, err := Open(t.Context(), &cuttingDevice{d, 1 + reports, func() error { return broken }})
		require.NoError(t, err)
		require.ErrorIs(t, c.Ping(t.Context(), pattern(120)), broken)
		c.Close()
	}
}

// An error on the broadcast channel may be meant for anybody, unless the device is busy.
func TestOpenIgnoresErrorsForOthers(t *testing.T) {
	d := newFakeDevice(64, 64)
	k := &fakeKey{fakeDevice: d, t: t, nextCID: 3}
	go func() {
		r, _ := k.receive()
		k.send(r.cid, CommandError, []byte{byte(ErrInvalidLength)})
		k.send(r.cid, CommandError, nil)
		k.send(r.cid, CommandCBOR, []byte{byte(ErrChannelBusy)})
		k.toHost <- reports(64, r.cid, CommandInit, pattern(90))[1] // the rest of something
		k.toHost <- reports(64, r.cid, CommandInit, pattern(90))[0] // the beginning of something
		k.answerInit(r)
	}()
	c, err := Open(t.Context(), d)
	require.NoError(t, err)
	require.EqualValues(t, 3, c.cid)
	c.Close()
}

func TestOpenWithADoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := newFakeDevice(64, 64)
	_, err := Open(ctx, d)
	require.ErrorIs(t, err, context.Canceled)
	<-d.closed
	require.Empty(t, d.fromHost)
}

func TestVendorCommands(t *testing.T) {
	c, _ := openChannel(t, echo)
	for _, cmd := range []Command{0x40, 0x7f} {
		answer, err := c.Vendor(t.Context(), cmd, pattern(100))
		require.NoError(t, err)
		require.Equal(t, pattern(100), answer)
	}
	for _, cmd := range []Command{0x3f, 0x80, CommandCBOR} {
		_, err := c.Vendor(t.Context(), cmd, nil)
		require.Error(t, err)
	}
}

func TestDeadlinesCanBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDevice(64, 64)
		k := serve(t, d, func(k *fakeKey, r request) {
			if len(r.data) > 1 { // begins to answer
				k.toHost <- reports(64, r.cid, r.cmd, pattern(500))[0]
			}
		})
		c, err := OpenWith(t.Context(), d, Deadlines{Reply: time.Minute, Packet: time.Hour, Resync: time.Second})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.CBOR(t.Context(), []byte{1}, nil)
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, time.Minute, time.Since(start))
		start = time.Now()
		_, err = c.CBOR(t.Context(), []byte{1, 2}, nil)
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, c.limits.Total, time.Since(start), "whatever the others are")
		require.Equal(t, 4, k.inits, "for each channel, and after each failure")
		c.Close()
	})
	require.Equal(t, Deadlines{
		Init: 3 * time.Second, Reply: 5 * time.Second, Packet: 2 * time.Second, Write: 5 * time.Second,
		Total: 5 * time.Minute, Cancel: time.Second / 2, Resync: time.Second / 2,
	}, Deadlines{}.orDefaults())
}
