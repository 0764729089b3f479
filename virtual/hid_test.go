package virtual

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// wire writes and reads frames by hand.
type wire struct {
	t testing.TB
	*Device
	key *Authenticator
}

func open(t testing.TB, key *Authenticator) wire {
	t.Helper()
	w := wire{t, key.Device(), key}
	t.Cleanup(func() { w.Close() })
	return w
}

// first sends an initialization packet whose message has size bytes in all.
func (w wire) first(cid uint32, cmd ctaphid.Command, size int, data ...byte) {
	w.t.Helper()
	p := binary.BigEndian.AppendUint32(nil, cid)
	p = append(p, byte(cmd)|0x80, byte(size>>8), byte(size))
	w.write(append(p, data...))
}

func (w wire) next(cid uint32, seq byte, data ...byte) {
	w.t.Helper()
	p := append(binary.BigEndian.AppendUint32(nil, cid), seq)
	w.write(append(p, data...))
}

func (w wire) write(p []byte) {
	w.t.Helper()
	n, err := w.Write(p)
	require.NoError(w.t, err)
	require.Equal(w.t, len(p), n)
}

// message sends a whole message.
func (w wire) message(cid uint32, cmd ctaphid.Command, payload ...byte) {
	w.t.Helper()
	n := min(len(payload), 57)
	w.first(cid, cmd, len(payload), payload[:n]...)
	for seq := byte(0); n < len(payload); seq++ {
		end := min(len(payload), n+59)
		w.next(cid, seq, payload[n:end]...)
		n = end
	}
}

// receive reads a whole message, which must be for cid.
func (w wire) receive(cid uint32) (cmd ctaphid.Command, payload []byte) {
	w.t.Helper()
	p := w.read(cid)
	require.NotZero(w.t, p[4]&0x80)
	size := int(binary.BigEndian.Uint16(p[5:]))
	payload = append(payload, p[7:]...)
	for seq := byte(0); len(payload) < size; seq++ {
		next := w.read(cid)
		require.Equal(w.t, seq, next[4])
		payload = append(payload, next[5:]...)
	}
	require.Equal(w.t, bytes.Repeat([]byte{0}, len(payload)-size), payload[size:], "padding")
	return ctaphid.Command(p[4] &^ 0x80), payload[:size]
}

func (w wire) read(cid uint32) []byte {
	w.t.Helper()
	p := make([]byte, 64)
	n, err := w.Read(p)
	require.NoError(w.t, err)
	require.Equal(w.t, 64, n)
	require.Equal(w.t, cid, binary.BigEndian.Uint32(p))
	return p
}

func (w wire) expect(cid uint32, cmd ctaphid.Command, payload ...byte) {
	w.t.Helper()
	gotCmd, got := w.receive(cid)
	require.Equal(w.t, cmd, gotCmd, "% x", got)
	require.Equal(w.t, append([]byte{}, payload...), append([]byte{}, got...))
}

func (w wire) expectError(cid uint32, e ctaphid.Error) {
	w.t.Helper()
	w.expect(cid, ctaphid.CommandError, byte(e))
}

// expectNothing checks that no report waits, by a ping that comes back first.
func (w wire) expectNothing(cid uint32) {
	w.t.Helper()
	w.message(cid, ctaphid.CommandPing, 'x')
	w.expect(cid, ctaphid.CommandPing, 'x')
}

func (w wire) channel() uint32 {
	w.t.Helper()
	nonce := []byte("12345678")
	w.message(ctaphid.BroadcastCID, ctaphid.CommandInit, nonce...)
	cmd, answer := w.receive(ctaphid.BroadcastCID)
	require.Equal(w.t, ctaphid.CommandInit, cmd)
	require.Len(w.t, answer, 17)
	require.Equal(w.t, nonce, answer[:8])
	require.EqualValues(w.t, 2, answer[12])
	require.EqualValues(w.t, w.key.config.capabilities(), answer[16])
	return binary.BigEndian.Uint32(answer[8:])
}

func TestHIDChannelsDiffer(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	w := open(t, key)
	seen := make(map[uint32]bool)
	for range maxChannels {
		cid := w.channel()
		require.NotContains(t, []uint32{0, ctaphid.BroadcastCID}, cid)
		require.False(t, seen[cid])
		seen[cid] = true
	}
}

func TestHIDForgetsTheChannelThatWasSilentLongest(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	w := open(t, key)
	first, second := w.channel(), w.channel()
	w.expectNothing(first)
	for range maxChannels - 1 {
		w.channel()
	}
	w.expectNothing(first)
	w.message(second, ctaphid.CommandPing)
	w.expectError(second, ctaphid.ErrInvalidChannel)
	require.Len(t, key.bus.channels, maxChannels)
}

func TestHIDPingsOfAllSizes(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	w := open(t, key)
	cid := w.channel()
	for _, size := range []int{0, 1, 57, 58, 57 + 59, 57 + 59 + 1, 7609} {
		payload := bytes.Repeat([]byte{0xa5}, size)
		w.message(cid, ctaphid.CommandPing, payload...)
		w.expect(cid, ctaphid.CommandPing, payload...)
	}
}

func TestHIDRefuses(t *testing.T) {
	t.Parallel()
	const broadcast = ctaphid.BroadcastCID
	for name, tt := range map[string]struct {
		do   func(w wire, cid uint32)
		cid  uint32 // of the error; 1 stands for the channel's
		want ctaphid.Error
	}{
		"a channel that is nobody's": {func(w wire, _ uint32) { w.message(7, ctaphid.CommandPing) }, 7, ctaphid.ErrInvalidChannel},
		"channel 0":                  {func(w wire, _ uint32) { w.message(0, ctaphid.CommandPing) }, 0, ctaphid.ErrInvalidChannel},
		"INIT on channel 0":          {func(w wire, _ uint32) { w.message(0, ctaphid.CommandInit, make([]byte, 8)...) }, 0, ctaphid.ErrInvalidChannel},
		"a broadcast ping":           {func(w wire, _ uint32) { w.message(broadcast, ctaphid.CommandPing) }, broadcast, ctaphid.ErrInvalidChannel},
		"INIT with a short nonce":    {func(w wire, _ uint32) { w.message(broadcast, ctaphid.CommandInit, 1, 2, 3) }, broadcast, ctaphid.ErrInvalidLength},
		"resync with a long nonce":   {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandInit, make([]byte, 9)...) }, 1, ctaphid.ErrInvalidLength},
		"an unknown command":         {func(w wire, cid uint32) { w.message(cid, 0x33) }, 1, ctaphid.ErrInvalidCommand},
		"an empty U2F message":       {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandMsg) }, 1, ctaphid.ErrInvalidLength},
		"a message over 7609 bytes":  {func(w wire, cid uint32) { w.first(cid, ctaphid.CommandPing, 7610) }, 1, ctaphid.ErrInvalidLength},
		"an empty CBOR message":      {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandCBOR) }, 1, ctaphid.ErrInvalidLength},
		"a wink with data":           {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandWink, 1) }, 1, ctaphid.ErrInvalidLength},
		"a lock without time":        {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandLock) }, 1, ctaphid.ErrInvalidLength},
		"a lock of 11 seconds":       {func(w wire, cid uint32) { w.message(cid, ctaphid.CommandLock, 11) }, 1, ctaphid.ErrInvalidParameter},
		"a packet out of order": {func(w wire, cid uint32) {
			w.first(cid, ctaphid.CommandPing, 200)
			w.next(cid, 1)
		}, 1, ctaphid.ErrInvalidSeq},
		"a packet twice": {func(w wire, cid uint32) {
			w.first(cid, ctaphid.CommandPing, 200)
			w.next(cid, 0)
			w.next(cid, 0)
		}, 1, ctaphid.ErrInvalidSeq},
		"a message in a message": {func(w wire, cid uint32) {
			w.first(cid, ctaphid.CommandPing, 200)
			w.message(cid, ctaphid.CommandPing)
		}, 1, ctaphid.ErrInvalidSeq},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t, Config{})
			w := open(t, key)
			cid := w.channel()
			tt.do(w, cid)
			if tt.cid == 1 {
				tt.cid = cid
			}
			w.expectError(tt.cid, tt.want)
			w.expectNothing(cid)
		})
	}
}

func TestHIDIgnoresStrayPackets(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	w := open(t, key)
	cid, other := w.channel(), w.channel()
	w.next(cid, 0, 1)
	w.next(99, 0, 1)
	w.message(cid, ctaphid.CommandCancel)
	w.write(nil) // padded with zeroes, it is a packet of channel 0
	w.first(cid, ctaphid.CommandPing, 60, bytes.Repeat([]byte{1}, 57)...)
	w.next(other, 0, 9, 9, 9)
	w.message(cid, ctaphid.CommandCancel)
	w.next(cid, 0, 1, 1, 1)
	w.expect(cid, ctaphid.CommandPing, bytes.Repeat([]byte{1}, 60)...)
}

func TestHIDWaitsOnlySoLongForAPacket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{})
		w := open(t, key)
		cid, other := w.channel(), w.channel()
		w.first(cid, ctaphid.CommandPing, 57+59+1)
		time.Sleep(packetTimeout - 1)
		w.next(cid, 0)
		time.Sleep(packetTimeout - 1)
		w.message(other, ctaphid.CommandPing)
		w.expectError(other, ctaphid.ErrChannelBusy)
		time.Sleep(time.Nanosecond)
		w.expectError(cid, ctaphid.ErrMessageTimeout)
		w.next(cid, 1)
		w.expectNothing(other)
	})
}

func TestHIDLockKeepsOthersOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{})
		w := open(t, key)
		cid, other := w.channel(), w.channel()
		w.message(cid, ctaphid.CommandLock, 10)
		w.expect(cid, ctaphid.CommandLock)
		time.Sleep(10*time.Second - 1)
		w.message(other, ctaphid.CommandPing)
		w.expectError(other, ctaphid.ErrChannelBusy)
		w.expectNothing(cid)
		w.channel() // INIT is for everybody
		time.Sleep(time.Nanosecond)
		w.expectNothing(other)

		w.message(cid, ctaphid.CommandLock, 10)
		w.expect(cid, ctaphid.CommandLock)
		w.message(cid, ctaphid.CommandLock, 0)
		w.expect(cid, ctaphid.CommandLock)
		w.expectNothing(other)
	})
}

func TestHIDWinks(t *testing.T) {
	t.Parallel()
	winks := 0
	key, _ := newKey(t, Config{Wink: func() { winks++ }})
	w := open(t, key)
	cid := w.channel()
	w.message(cid, ctaphid.CommandWink)
	w.expect(cid, ctaphid.CommandWink)
	require.Equal(t, 1, winks)
}

var selection = []byte{byte(ctap2.CommandSelection)}

// stall is a user who never comes.
func stall(ctx context.Context, _ Prompt) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestHIDKeepalives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: func(context.Context, Prompt) error {
			time.Sleep(250 * time.Millisecond)
			return nil
		}})
		w := open(t, key)
		cid, other := w.channel(), w.channel()
		start := time.Now()
		w.message(cid, ctaphid.CommandCBOR, selection...)
		for _, at := range []time.Duration{0, 100, 200} {
			w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
			require.Equal(t, at*time.Millisecond, time.Since(start))
		}
		for _, cid := range []uint32{cid, other} {
			w.message(cid, ctaphid.CommandPing)
			w.expectError(cid, ctaphid.ErrChannelBusy)
		}
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveProcessing)
		w.expect(cid, ctaphid.CommandCBOR, 0)
		require.Equal(t, 250*time.Millisecond, time.Since(start))
		time.Sleep(time.Second)
		w.expectNothing(other)
	})
}

func TestHIDCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall, TouchTimeout: 250 * time.Millisecond})
		w := open(t, key)
		cid, other := w.channel(), w.channel()
		w.message(cid, ctaphid.CommandCBOR, selection...)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		w.message(other, ctaphid.CommandCancel) // not its request
		w.message(cid, ctaphid.CommandCancel)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveProcessing)
		w.expect(cid, ctaphid.CommandCBOR, byte(ctap2.ErrKeepaliveCancel))
		w.expectNothing(other)

		w.message(cid, ctaphid.CommandCBOR, selection...)
		w.message(other, ctaphid.CommandCancel)
		for range 3 { // at 0, 100 and 200 ms
			w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		}
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveProcessing)
		w.expect(cid, ctaphid.CommandCBOR, byte(ctap2.ErrUserActionTimeout))
	})
}

func TestHIDResyncAborts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall})
		w := open(t, key)
		cid := w.channel()
		resync := func() {
			w.message(cid, ctaphid.CommandInit, []byte("abcdefgh")...)
			cmd, answer := w.receive(cid)
			require.Equal(t, ctaphid.CommandInit, cmd)
			require.Equal(t, cid, binary.BigEndian.Uint32(answer[8:]), "the same channel")
		}
		w.first(cid, ctaphid.CommandPing, 100)
		resync()
		w.expectNothing(cid)
		w.message(cid, ctaphid.CommandCBOR, selection...)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		resync()
		synctest.Wait()
		w.expectNothing(cid)
		w.message(cid, ctaphid.CommandCBOR, byte(ctap2.CommandGetInfo))
		_, answer := w.receive(cid)
		require.Zero(t, answer[0])
	})
}

func TestHIDPowerCycleForgetsChannels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall})
		w := open(t, key)
		cid, other := w.channel(), w.channel()
		w.message(cid, ctaphid.CommandLock, 10)
		w.expect(cid, ctaphid.CommandLock)
		w.message(cid, ctaphid.CommandCBOR, selection...)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		key.PowerCycle()
		synctest.Wait()
		for _, cid := range []uint32{cid, other} {
			w.message(cid, ctaphid.CommandPing)
			w.expectError(cid, ctaphid.ErrInvalidChannel)
		}
		w.expectNothing(w.channel())
	})
}

func TestHIDOpensSeeEachOther(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	a, b := open(t, key), open(t, key)
	cid := a.channel()
	_, answer := b.receive(ctaphid.BroadcastCID)
	require.Equal(t, cid, binary.BigEndian.Uint32(answer[8:]))
	b.message(cid, ctaphid.CommandPing, 1) // nothing on the bus tells them apart
	a.expect(cid, ctaphid.CommandPing, 1)
}

func TestHIDCloseCancelsItsOwnRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall})
		a, b := open(t, key), open(t, key)
		cid := a.channel()
		a.message(cid, ctaphid.CommandCBOR, selection...)
		b.receive(ctaphid.BroadcastCID)
		b.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		b.expectNothing(b.channel())

		b.first(b.channel(), ctaphid.CommandPing, 100)
		require.NoError(t, b.Close())
		c := open(t, key)
		c.expectNothing(c.channel())
	})
}

func TestDeviceCloseUnblocksRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{})
		a, b := key.Device(), key.Device()
		errs := make(chan error, 3)
		for _, d := range []*Device{a, a, b} {
			go func() {
				_, err := d.Read(make([]byte, 64))
				errs <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-errs, fs.ErrClosed)
		require.ErrorIs(t, <-errs, fs.ErrClosed)
		_, err := a.Write(make([]byte, 64))
		require.ErrorIs(t, err, fs.ErrClosed)
		synctest.Wait()
		require.Empty(t, errs, "the other open goes on")
		require.NoError(t, key.Close())
		require.ErrorIs(t, <-errs, fs.ErrClosed)
		_, err = key.Device().Read(make([]byte, 64))
		require.ErrorIs(t, err, fs.ErrClosed)
	})
}

func TestDeviceMovesWholeReports(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	w := open(t, key)
	_, err := w.Write(make([]byte, 65))
	require.Error(t, err)
	w.message(0, ctaphid.CommandPing)
	_, err = w.Read(make([]byte, 63))
	require.ErrorIs(t, err, io.ErrShortBuffer)
	w.expectError(0, ctaphid.ErrInvalidChannel)
}

func TestDeviceThatNobodyReadsIsBounded(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	idle, w := open(t, key), open(t, key)
	cid := w.channel()
	for range 2 * maxQueue {
		w.expectNothing(cid)
	}
	require.Len(t, idle.queue, maxQueue)
}

func TestKeyCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall})
		w := open(t, key)
		w.message(w.channel(), ctaphid.CommandCBOR, selection...)
		synctest.Wait()
		require.NoError(t, key.Close())
		require.NoError(t, key.Close())
		_, err := key.CBOR(t.Context(), selection, nil)
		require.ErrorIs(t, err, fs.ErrClosed)
	})
}

func TestTwoPlatformsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{})
		open := func() *ctap2.Client {
			channel, err := ctaphid.Open(t.Context(), key.Device())
			require.NoError(t, err)
			t.Cleanup(func() { channel.Close() })
			return &ctap2.Client{Transport: channel}
		}
		a, b := open(), open()
		for user := byte(1); user <= 2; user++ {
			passkey(t, a, user, nil)
		}
		_, err := a.GetAssertion(t.Context(), ask())
		require.NoError(t, err)
		_, err = b.GetNextAssertion(t.Context())
		require.ErrorIs(t, err, ctap2.ErrNotAllowed, "not b's assertion")
		_, err = b.GetInfo(t.Context())
		require.NoError(t, err)
		_, err = a.GetNextAssertion(t.Context())
		require.NoError(t, err)

		done := make(chan error)
		for _, client := range []*ctap2.Client{a, b} {
			go func() {
				var err error
				for range 50 {
					if _, e := client.GetInfo(t.Context()); e != nil {
						err = e
					}
				}
				done <- err
			}()
		}
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	})
}

func TestServeMovesReportsUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{})
		other, _ := newKey(t, Config{})
		served := make(chan error, 1)
		// The platform's side of the stream is a device of another key, in place of a cable.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { served <- key.Serve(ctx, other.Device()) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-served, context.Canceled)
		require.Empty(t, other.bus.opens, "closed")
		require.Empty(t, key.bus.opens, "closed")

		ended := &scripted{}
		require.NoError(t, key.Serve(t.Context(), ended))
		require.True(t, ended.closed)
		err := key.Serve(t.Context(), &scripted{reads: [][]byte{make([]byte, 65)}})
		require.ErrorContains(t, err, "report of 65 bytes")
	})
}

// scripted is a stream that ends after some reports.
type scripted struct {
	reads  [][]byte
	closed bool
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.reads) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.reads[0])
	s.reads = s.reads[1:]
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) { return len(p), nil }

func (s *scripted) Close() error {
	time.Sleep(time.Second) // of a bubble: Serve waits for it
	s.closed = true
	return nil
}

// FuzzHID sends any reports, 64 bytes each, to a key. A report that begins with ffff stands for one of the channel that the
// fuzzer can't know.
func FuzzHID(f *testing.F) {
	seed := func(reports ...[]byte) {
		var b []byte
		for _, r := range reports {
			b = append(b, r...)
			b = append(b, make([]byte, reportSize-len(r))...)
		}
		f.Add(b)
	}
	own := []byte{0xff, 0xff, 0, 0}
	seed(append(own, 0x81, 0, 3, 1, 2, 3))
	seed([]byte{0xff, 0xff, 0xff, 0xff, 0x86, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	seed(append(own, 0x81, 0, 100), append(own, 0), append(own, 0x91))
	seed(append(own, 0x90, 0, 1, 0x04), append(own, 0x90, 0, 1, 0x0b), append(own, 0x86, 0, 8))
	seed(append(own, 0x84, 0, 1, 10), append(own, 0x88), append(own, 0x81, 0xff, 0xff), []byte{0, 0, 0, 0, 0x83})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := New(Config{})
		require.NoError(t, err)
		defer key.Close()
		w := open(t, key)
		cid := w.channel()
		for len(b) > 0 {
			n := min(len(b), reportSize)
			r := bytes.Clone(b[:n])
			b = b[n:]
			if len(r) >= 4 && r[0] == 0xff && r[1] == 0xff && r[2] != 0xff {
				binary.BigEndian.PutUint32(r, cid)
			}
			w.write(r)
		}
		// Whatever happened, a new platform gets through when others are done.
		key.PowerCycle()
		fresh := open(t, key)
		fresh.expectNothing(fresh.channel())
		require.LessOrEqual(t, len(key.bus.channels), maxChannels)
	})
}
