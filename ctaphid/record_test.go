package ctaphid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// record opens a channel to a recorded device that handle serves.
func record(t *testing.T, w *strings.Builder, redact func(Message), handle func(*fakeKey, request)) *Channel {
	t.Helper()
	d := newFakeDevice(64, 64)
	serve(t, d, handle)
	c, err := Open(t.Context(), Record(d, w, redact))
	require.NoError(t, err)
	return c
}

func readTranscript(t testing.TB, text string) *Transcript {
	t.Helper()
	transcript, err := ReadTranscript(strings.NewReader(text))
	require.NoError(t, err, text)
	return transcript
}

// blinking answers after two seconds of keepalives.
func blinking(k *fakeKey, r request) {
	for range 2 {
		time.Sleep(time.Second)
		k.send(r.cid, CommandKeepalive, []byte{KeepaliveUPNeeded})
	}
	k.send(r.cid, r.cmd, r.data)
}

func TestRecordWritesALineForEachReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		c := record(t, &text, nil, blinking)
		_, err := c.CBOR(t.Context(), []byte{4, 0, 0}, nil)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		lines := strings.Split(text.String(), "\n")
		require.Equal(t, "ctaphid transcript 1: reports of 64 bytes in, 64 out", lines[0])
		require.Regexp(t, "^0.000000 > ffffffff860008[0-9a-f]+$", lines[1])
		require.Regexp(t, "^0.000000 < ffffffff860011[0-9a-f]+01020304020504030[0-9a-f]$", lines[2])
		require.Equal(t, []string{
			"0.000000 > 0102030490000304",
			"1.000000 < 01020304bb000102",
			"2.000000 < 01020304bb000102",
			"2.000000 < 0102030490000304",
			"2.000000 close",
			"",
		}, lines[3:])
	})
}

func TestMessagesOfATranscript(t *testing.T) {
	var text strings.Builder
	c := record(t, &text, nil, echo)
	require.NoError(t, c.Ping(t.Context(), pattern(200)))
	require.NoError(t, c.Close())
	all := readTranscript(t, text.String()).Messages()
	require.Len(t, all, 4)
	for i, m := range all {
		require.Equal(t, i%2 == 1, m.FromDevice)
	}
	require.Equal(t, CommandInit, all[0].Command)
	require.Equal(t, BroadcastCID, all[1].CID)
	for _, m := range all[2:] {
		require.Equal(t, uint32(0x01020304), m.CID)
		require.Equal(t, CommandPing, m.Command)
		require.Equal(t, pattern(200), m.Data)
	}
}

// A keepalive and others' messages may come between the packets of one.
func TestMessagesMayBeInterleaved(t *testing.T) {
	var text strings.Builder
	d := newFakeDevice(64, 64)
	r := Record(d, &text, hideAll)
	ours, theirs := reports(64, 1, CommandCBOR, pattern(200)), reports(64, 2, CommandCBOR, pattern(100))
	alive := reports(64, 1, CommandKeepalive, []byte{2})[0]
	for _, report := range [][]byte{ours[0], alive, theirs[0], ours[1], theirs[1], ours[2], alive, ours[3]} {
		d.toHost <- report
		_, err := r.Read(make([]byte, 65))
		require.NoError(t, err)
	}
	require.NoError(t, r.Close())
	var got []string
	for _, m := range readTranscript(t, text.String()).Messages() {
		got = append(got, fmt.Sprintf("%v of %d bytes on %d", m.Command, len(m.Data), m.CID))
		require.Equal(t, bytes.Repeat([]byte{0xaa}, len(m.Data)), m.Data)
	}
	require.Equal(t, []string{
		"KEEPALIVE of 1 bytes on 1", "CBOR of 100 bytes on 2", "KEEPALIVE of 1 bytes on 1", "CBOR of 200 bytes on 1",
	}, got)
}

// broken is a device whose errors name a path.
type broken struct{ *fakeDevice }

var errUnplugged = errors.New("no such device")

func (broken) Read([]byte) (int, error) {
	return 0, fmt.Errorf("hid: read unix:/home/jane/key: %w", errors.Join(fs.ErrNotExist, errUnplugged))
}

func (broken) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/home/jane/key", Err: errUnplugged}
}

func TestRecordNotesErrorsWithoutPaths(t *testing.T) {
	var text strings.Builder
	r := Record(broken{newFakeDevice(64, 64)}, &text, nil)
	_, err := r.Write([]byte{1, 2, 3})
	require.ErrorIs(t, err, errUnplugged)
	_, err = r.Read(make([]byte, 65))
	require.ErrorIs(t, err, errUnplugged)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 65))
	require.Error(t, err, "passed on, and not noted")
	require.NoError(t, r.Close())
	require.Regexp(t, `^[^\n]*
\d+\.\d{6} > 010203 3
\d+\.\d{6} >! "no such device"
\d+\.\d{6} <! "no such device"
\d+\.\d{6} close
$`, text.String())
}

// full is a disk on which there is room for some lines only.
type full struct{ room int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	if f.room == 0 {
		return 0, errFull
	}
	f.room--
	return len(p), nil
}

func TestAFullDiskDoesNotDisturbTheDevice(t *testing.T) {
	d := newFakeDevice(64, 64)
	serve(t, d, echo)
	w := &full{room: 3}
	c, err := Open(t.Context(), Record(d, w, nil))
	require.NoError(t, err)
	require.NoError(t, c.Ping(t.Context(), pattern(200)))
	require.Zero(t, w.room)
	require.ErrorIs(t, c.Close(), errFull)
}

func TestRecordPassesReportSizesOn(t *testing.T) {
	var text strings.Builder
	r := Record(newFakeDevice(32, 16), &text, nil)
	in, out := r.(interface{ ReportSizes() (in, out int) }).ReportSizes()
	require.Equal(t, []int{32, 16}, []int{in, out})
	in, out = Record(bare{}, &text, nil).(interface{ ReportSizes() (in, out int) }).ReportSizes()
	require.Equal(t, []int{64, 64}, []int{in, out})
	require.Equal(t, "ctaphid transcript 1: reports of 32 bytes in, 16 out\n"+
		"ctaphid transcript 1: reports of 64 bytes in, 64 out\n", text.String())
}

// bare is a device without the method ReportSizes.
type bare struct{ err error }

func (b bare) Read([]byte) (int, error)  { return 0, b.err }
func (b bare) Write([]byte) (int, error) { return 0, b.err }
func (b bare) Close() error              { return b.err }

// Two readers and writers at once: each line is whole, and none is lost.
func TestRecordIsSafeForConcurrentUse(t *testing.T) {
	var text strings.Builder
	d := newFakeDevice(64, 64)
	r := Record(d, &text, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				r.Write(pattern(64))
				d.toHost <- pattern(64)
				r.Read(make([]byte, 65))
			}
		})
	}
	wg.Wait()
	require.NoError(t, r.Close())
	require.Len(t, readTranscript(t, text.String()).events, 801)
}

// hideAll redacts everything but INIT.
func hideAll(m Message) {
	if m.Command != CommandInit {
		for i := range m.Data {
			m.Data[i] = 0xaa
		}
	}
}

func TestRedactedMessagesKeepTheirForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var raw, redacted strings.Builder
		for w, redact := range map[*strings.Builder]func(Message){&raw: nil, &redacted: hideAll} {
			c := record(t, w, redact, blinking)
			_, err := c.CBOR(t.Context(), pattern(300), nil)
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}
		require.Contains(t, raw.String(), "00070e15")
		require.NotContains(t, redacted.String(), "00070e15")
		want := readTranscript(t, raw.String()).Messages()
		got := readTranscript(t, redacted.String()).Messages()
		require.Len(t, got, len(want))
		for i := range want {
			if want[i].Command == CommandInit {
				want[i].Data, got[i].Data = nil, nil // another nonce
			}
			hideAll(want[i])
		}
		require.Equal(t, want, got)
	})
}

// What is no whole message is erased when it turns out, whatever it is.
func TestWhatCannotBeRedactedIsErased(t *testing.T) {
	secret := bytes.Repeat([]byte{0x5e}, 57)
	long := reports(64, 7, CommandCBOR, bytes.Repeat([]byte{0x5e}, 300))
	first := reports(64, 7, CommandPing, secret)[0]
	padded := slices.Concat(reports(64, 7, CommandPing, nil)[0][:7], secret)
	for name, received := range map[string][][]byte{
		"no end":                   long[:3],
		"a packet is missing":      {long[0], long[2], long[3]},
		"a packet without a begin": {long[1]},
		"begins anew":              {long[0], long[0], long[1]},
		"too long":                 {append([]byte{0, 0, 0, 7, 0x90, 0xff, 0xff}, secret...)},
		"long report":              {append(bytes.Clone(first), 0x5e)},
		"short report":             {first[:50]},
		"tiny report":              {{0, 0, 0, 7, 0x81, 0x5e}},
		"behind the message":       {padded},
		"a long keepalive":         {append([]byte{0, 0, 0, 7, 0xbb, 0x01, 0x00}, secret...)},
	} {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			d := newFakeDevice(64, 64)
			r := Record(d, &text, hideAll)
			for _, report := range received {
				d.toHost <- report
				n, err := r.Read(make([]byte, 65))
				require.NoError(t, err)
				require.Equal(t, len(report), n)
			}
			require.NoError(t, r.Close())
			require.NotContains(t, text.String(), "5e")
			transcript := readTranscript(t, text.String())
			if name != "behind the message" {
				require.Empty(t, transcript.Messages())
			}
			events := transcript.events
			require.Len(t, events, len(received)+1)
			for i, report := range received {
				require.Equal(t, len(report), events[i].size)
				require.Equal(t, report[:5], events[i].report()[:5])
			}
		})
	}
}

// A device that begins messages on ever new channels, and ends none, costs no memory, and the lines come out.
func TestRedactionWaitsForALimitedTimeOnly(t *testing.T) {
	var text strings.Builder
	d := newFakeDevice(64, 64)
	r := Record(d, &text, hideAll)
	read := func(report []byte) {
		d.toHost <- report
		_, err := r.Read(make([]byte, 65))
		require.NoError(t, err)
	}
	for cid := range uint32(3000) {
		read(reports(64, cid, CommandCBOR, pattern(300))[0])
		require.LessOrEqual(t, len(r.(*recorder).assembly.open), maxOpen)
	}
	read(reports(64, 1, CommandCBOR, pattern(300))[0])
	for range 3000 {
		read(reports(64, 1, CommandKeepalive, []byte{1})[0])
	}
	require.GreaterOrEqual(t, strings.Count(text.String(), "\n"), 6001-maxWaiting)
	require.NoError(t, r.Close())
	require.Equal(t, 6003, strings.Count(text.String(), "\n"))
}

func TestCloseTellsTheErrorOfTheDeviceFirst(t *testing.T) {
	require.ErrorIs(t, Record(bare{errUnplugged}, &full{}, nil).Close(), errUnplugged)
	require.ErrorIs(t, Record(bare{}, &full{}, nil).Close(), errFull)
}

// A transaction that was cancelled, and a removal in the next.
func TestRecordOfACancelledTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		c := record(t, &text, nil, func(k *fakeKey, r request) {
			if r.cmd == CommandCancel {
				k.send(r.cid, CommandCBOR, []byte{0x2d})
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.CBOR(ctx, []byte{1}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Close())
		require.Contains(t, text.String(), `
0.000000 > 0102030490000101
1.000000 > 0102030491
1.000000 < 010203049000012d
`)
	})
}
