package ctaphid

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A device that breaks the protocol gets an error at once, and the channel still works for the next request.
func TestProtocolViolations(t *testing.T) {
	raw := func(cid uint32, tail ...byte) []byte {
		r := make([]byte, 64)
		putInit(r, cid, 0, nil)
		copy(r[4:], tail)
		return r
	}
	for name, tc := range map[string]struct {
		misbehave func(k *fakeKey, cid uint32)
		want      error
	}{
		"continuation first":      {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x00) }, ErrProtocol},
		"wrong sequence number":   {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0, 200); k.toHost <- raw(cid, 1) }, ErrProtocol},
		"message inside message":  {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0, 200); k.toHost <- raw(cid, 0x90, 0, 9) }, ErrProtocol},
		"7610 bytes":              {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0x1d, 0xba) }, ErrProtocol},
		"65535 bytes":             {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0xff, 0xff) }, ErrProtocol},
		"another command":         {func(k *fakeKey, cid uint32) { k.send(cid, CommandPing, nil) }, ErrProtocol},
		"error without a code":    {func(k *fakeKey, cid uint32) { k.send(cid, CommandError, nil) }, ErrProtocol},
		"keepalive without state": {func(k *fakeKey, cid uint32) { k.send(cid, CommandKeepalive, nil) }, ErrProtocol},
		"error":                   {func(k *fakeKey, cid uint32) { k.send(cid, CommandError, []byte{0x05}) }, ErrMessageTimeout},
		"unknown error":           {func(k *fakeKey, cid uint32) { k.send(cid, CommandError, []byte{0x77}) }, Error(0x77)},
		"short report":            {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0, 1)[:63] }, ErrProtocol},
		"empty report":            {func(k *fakeKey, cid uint32) { k.toHost <- nil }, ErrProtocol},
		"long report":             {func(k *fakeKey, cid uint32) { k.toHost <- append(raw(cid, 0x90, 0, 1), 0) }, ErrProtocol},
		"silence":                 {func(k *fakeKey, cid uint32) {}, ErrTimeout},
		"half an answer":          {func(k *fakeKey, cid uint32) { k.toHost <- raw(cid, 0x90, 0, 200) }, ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				c, k := openChannel(t, func(k *fakeKey, r request) {
					if first {
						first = false
						tc.misbehave(k, r.cid)
						return
					}
					echo(k, r)
				})
				start := time.Now()
				_, err := c.CBOR(t.Context(), []byte{4}, nil)
				require.ErrorIs(t, err, tc.want)
				if tc.want != ErrTimeout {
					require.Zero(t, time.Since(start))
				}
				answer, err := c.CBOR(t.Context(), pattern(99), nil)
				require.NoError(t, err)
				require.Equal(t, pattern(99), answer)
				require.LessOrEqual(t, k.inits, 3, "at most one resynchronization and one new channel")
				c.Close()
			})
		})
	}
}

func TestEndlessKeepalivesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := openChannel(t, func(k *fakeKey, r request) {
			if r.cmd != CommandCBOR {
				return
			}
			for {
				select {
				case <-time.After(100 * time.Millisecond):
					k.send(r.cid, CommandKeepalive, []byte{KeepaliveProcessing})
				case <-k.closed:
					return
				}
			}
		})
		start := time.Now()
		_, err := c.CBOR(t.Context(), []byte{1}, nil)
		require.ErrorIs(t, err, ErrTimeout)
		require.GreaterOrEqual(t, time.Since(start), c.limits.Total, "a key that is alive may take its time")
		require.LessOrEqual(t, time.Since(start), c.limits.Total+c.limits.Resync)
		c.Close()
	})
}

func TestCancelStopsTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pending uint32
		c, k := openChannel(t, func(k *fakeKey, r request) {
			switch {
			case r.cmd == CommandCancel:
				k.send(pending, CommandCBOR, []byte{0x2d})
			case r.data[0] == 1:
				pending = r.cid
				k.send(r.cid, CommandKeepalive, []byte{KeepaliveUPNeeded})
			default:
				echo(k, r)
			}
		})
		cause := errors.New("user went home")
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := c.CBOR(ctx, []byte{1}, func(byte) { cancel(cause) })
		require.ErrorIs(t, err, cause)
		answer, err := c.CBOR(t.Context(), []byte{4}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{4}, answer, "the answer to the cancelled request was drained")
		require.Equal(t, 1, k.inits, "no resynchronization was needed")
		c.Close()
	})
}

// The device ignores CANCEL, confirms INIT, and answers the abandoned request all the same when the next one waits.
func TestLateAnswerIsNotTakenForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var abandoned uint32
		c, _ := openChannel(t, func(k *fakeKey, r request) {
			switch {
			case r.cmd == CommandCancel:
			case r.data[0] == 1:
				abandoned = r.cid
			default:
				k.send(abandoned, r.cmd, []byte{1})
				k.send(r.cid, r.cmd, r.data)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.CBOR(ctx, []byte{1}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(start), time.Second+c.limits.Cancel+c.limits.Resync)
		answer, err := c.CBOR(t.Context(), []byte{4}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{4}, answer)
		c.Close()
	})
}

// As above, but the device refuses CANCEL, which is no answer to the request, and answers that later.
func TestRefusedCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pending uint32
		c, k := openChannel(t, func(k *fakeKey, r request) {
			switch {
			case r.cmd == CommandCancel:
				k.send(pending, CommandError, []byte{byte(ErrInvalidCommand)})
			case r.data[0] == 1:
				pending = r.cid
			default:
				k.send(r.cid, r.cmd, r.data)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.CBOR(ctx, []byte{1}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2, k.inits, "the request was aborted")
		c.Close()
	})
}

// As above, but the device does not even know that INIT aborts: it answers INIT only after the old request.
func TestLateAnswerBeforeTheInitAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDevice(64, 64)
		k := &fakeKey{fakeDevice: d, t: t, nextCID: 7}
		go func() {
			r, _ := k.receive()
			k.answerInit(r)
			old, _ := k.receive()
			k.receive() // CANCEL
			r, _ = k.receive()
			k.send(old.cid, CommandCBOR, pattern(150))
			k.answerInit(r)
			r, _ = k.receive()
			k.answerInit(r) // a new channel
			r, ok := k.receive()
			if ok {
				k.send(r.cid, r.cmd, r.data)
			}
		}()
		c, err := Open(t.Context(), d)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.CBOR(ctx, []byte{1}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		answer, err := c.CBOR(t.Context(), []byte{4}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{4}, answer)
		c.Close()
	})
}

func TestOnlyCBORIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancels int
		c, _ := openChannel(t, func(k *fakeKey, r request) {
			if r.cmd == CommandCancel {
				cancels++
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Msg(ctx, []byte{0, 3, 0, 0})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, cancels)
		c.Close()
	})
}

func TestForgottenChannelIsAllocatedAgain(t *testing.T) {
	c, k := openChannel(t, func(k *fakeKey, r request) {
		if r.cid == 0x01020304 {
			k.send(r.cid, CommandError, []byte{byte(ErrInvalidChannel)})
			return
		}
		echo(k, r)
	})
	require.NoError(t, c.Ping(t.Context(), []byte("again")))
	require.Equal(t, 2, k.inits)
}

func TestForgottenChannelIsAllocatedOnlyOnce(t *testing.T) {
	c, k := openChannel(t, func(k *fakeKey, r request) {
		k.send(r.cid, CommandError, []byte{byte(ErrInvalidChannel)})
	})
	require.ErrorIs(t, c.Ping(t.Context(), nil), ErrInvalidChannel)
	require.Equal(t, 2, k.inits)
}
