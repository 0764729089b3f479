package ctaphid

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const initLines = `ctaphid transcript 1: reports of 64 bytes in, 64 out
# recorded by hand
0.000000 > ffffffff8600080102030405060708
0.000100 < ffffffff8600110102030405060708aabbccdd0205040305
`

// replay opens a channel to a device that plays initLines and what follows.
func replayed(t *testing.T, rest string) *Channel {
	t.Helper()
	c, err := Open(t.Context(), readTranscript(t, initLines+rest).Replay())
	require.NoError(t, err)
	return c
}

func TestReplayAnswersOtherContents(t *testing.T) {
	c := replayed(t, `
1.000000 > aabbccdd90000304
9.000000 < aabbccddbb000102
9.500000 < aabbccddbb000101
9.900000 < aabbccdd9000050001020304
9.900000 close
`)
	require.Equal(t, DeviceInfo{2, [3]byte{5, 4, 3}, 5}, c.DeviceInfo())
	var statuses []byte
	answer, err := c.CBOR(t.Context(), []byte{4, 5, 6}, func(s byte) { statuses = append(statuses, s) })
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 2, 3, 4}, answer)
	require.Equal(t, []byte{2, 1}, statuses)
	require.NoError(t, c.Close())
}

// Record a conversation and have it again, with other nonces and other data.
func TestRecordedConversationsReplay(t *testing.T) {
	var text strings.Builder
	c := record(t, &text, nil, echo)
	require.NoError(t, c.Ping(t.Context(), pattern(7609)))
	_, err := c.CBOR(t.Context(), pattern(100), nil)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	transcript := readTranscript(t, text.String())
	for range 2 {
		c, err := Open(t.Context(), transcript.Replay())
		require.NoError(t, err)
		require.NoError(t, c.Ping(t.Context(), pattern(7609)))
		answer, err := c.CBOR(t.Context(), make([]byte, 100), nil)
		require.NoError(t, err)
		require.Equal(t, pattern(100), answer)
		require.NoError(t, c.Close())
	}
}

func TestReplayTellsTheFirstDifference(t *testing.T) {
	const two = `
0.1 > aabbccdd9000640102
0.1 > aabbccdd00
0.2 < aabbccdd90000100
`
	const skips = "0.1 > aabbccdd9000640102\n0.1 > aabbccdd01"
	cbor := func(size int) func(*Channel) error {
		return func(c *Channel) error { _, err := c.CBOR(context.Background(), pattern(size), nil); return err }
	}
	ping := func(c *Channel) error { return c.Ping(context.Background(), pattern(100)) }
	wink := func(c *Channel) error { return c.Wink(context.Background()) }
	for name, tc := range map[string]struct {
		rest      string
		send      func(*Channel) error
		where     string
		want, got string
	}{
		"command": {two, ping, "line 6: ",
			"CBOR of 100 bytes on channel aabbccdd", "PING of 100 bytes on channel aabbccdd"},
		"length": {two, cbor(101), "line 6: ",
			"CBOR of 100 bytes on channel aabbccdd", "CBOR of 101 bytes on channel aabbccdd"},
		"end":      {"", wink, "", "the end", "WINK of 0 bytes on channel aabbccdd"},
		"sequence": {skips, cbor(100), "line 6: ", "packet 1 on channel aabbccdd", "packet 0 on channel aabbccdd"},
		"tiny":     {"0.1 > aabbccdd 4", wink, "line 5: ", "a report of 4 bytes", "WINK of 0 bytes on channel aabbccdd"},
		"channel": {"0.1 > 010203049000640102", cbor(100), "line 5: ",
			"CBOR of 100 bytes on channel 01020304", "CBOR of 100 bytes on channel aabbccdd"},
		"size": {"0.1 > aabbccdd9000640102 32", cbor(100), "line 5: ",
			"CBOR of 100 bytes on channel aabbccdd in a report of 32 bytes", "CBOR of 100 bytes on channel aabbccdd"},
	} {
		t.Run(name, func(t *testing.T) {
			const in64 = " in a report of 64 bytes"
			if strings.HasSuffix(tc.want, "channel aabbccdd") || strings.HasSuffix(tc.want, "channel 01020304") {
				tc.want += in64
			}
			want := fmt.Sprintf("transcript: %sexpected %s, not %s%s", tc.where, tc.want, tc.got, in64)
			c := replayed(t, tc.rest)
			require.ErrorContains(t, tc.send(c), want)
			require.EqualError(t, c.Close(), want)
		})
	}
}

func TestReplayMustComeToItsEnd(t *testing.T) {
	c := replayed(t, "1 > aabbccdd90000304")
	require.EqualError(t, c.Close(),
		"transcript: line 5: expected CBOR of 3 bytes on channel aabbccdd in a report of 64 bytes, not the end")
}

func TestReplayFailsAsTheDeviceDid(t *testing.T) {
	c := replayed(t, `
1.000000 > aabbccdd90000304
1.100000 < aabbccddbb000102
2.000000 <! "no such device"
`)
	_, err := c.CBOR(t.Context(), []byte{4, 5, 6}, nil)
	require.EqualError(t, err, "ctaphid: CBOR: no such device")
	require.NoError(t, c.Close())

	r := readTranscript(t, "ctaphid transcript 1: reports of 8 bytes in, 8 out\n0 > 01\n0 >! \"too \\\"late\\\"\"").Replay()
	_, err = r.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.EqualError(t, err, `too "late"`)
	require.NoError(t, r.Close())
	_, err = r.Write(make([]byte, 8))
	require.ErrorIs(t, err, fs.ErrClosed)
}

// A device that said nothing says nothing again.
func TestReplayOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := replayed(t, "1 > aabbccdd90000304")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.CBOR(ctx, []byte{1, 2, 3}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, c.Close(), "expected the end, not CANCEL of 0 bytes")
	})
}

func TestWhatIsNoTranscript(t *testing.T) {
	const header = "ctaphid transcript 1: reports of 64 bytes in, 64 out\n"
	const long = "ctaphid transcript 1: reports of 64 bytes in, 4096 out\n"
	many := long + strings.Repeat("0 > -\n", maxTranscript/maxReportSize)
	for name, text := range map[string]string{
		"nothing":              "",
		"comments":             "# x\n\n#y\n",
		"another text":         "hello\n",
		"another version":      "ctaphid transcript 2: reports of 64 bytes in, 64 out\n",
		"something behind":     "ctaphid transcript 1: reports of 64 bytes in, 64 out, and more\n",
		"tiny reports":         "ctaphid transcript 1: reports of 7 bytes in, 64 out\n",
		"huge reports":         "ctaphid transcript 1: reports of 64 bytes in, 4097 out\n",
		"two headers":          header + header,
		"no kind":              header + "0.1\n",
		"unknown kind":         header + "0.1 ? 00\n",
		"no report":            header + "0.1 >\n",
		"no hex":               header + "0.1 > xx\n",
		"half a byte":          header + "0.1 > 000\n",
		"longer than its size": header + "0.1 > 0102 1\n",
		"longer than any":      header + "0.1 > " + strings.Repeat("01", 65) + "\n",
		"bad size":             header + "0.1 > 00 x\n",
		"negative size":        header + "0.1 > - -1\n",
		"huge size":            header + "0.1 > 00 4098\n",
		"three words":          header + "0.1 > 00 64 64\n",
		"negative time":        header + "-0.1 > 00\n",
		"no time":              header + "x > 00\n",
		"endless time":         header + "1e99 > 00\n",
		"bare error":           header + "0.1 <! gone\n",
		"open quote":           header + "0.1 <! \"gone\n",
		"talkative end":        header + "0.1 close now\n",
		"endless line":         header + strings.Repeat("0", maxLine+1),
		"too many":             many + "0 > -\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadTranscript(strings.NewReader(text))
			require.ErrorContains(t, err, "ctaphid: transcript: ")
		})
	}
	transcript, err := ReadTranscript(strings.NewReader(many))
	require.NoError(t, err)
	require.Len(t, transcript.events, maxTranscript/maxReportSize)
}

// Texts pass through mail and web forms, which change the ends of lines.
func TestTranscriptWithForeignLineEnds(t *testing.T) {
	text := strings.ReplaceAll(initLines, "\n", " \r\n")
	require.Len(t, readTranscript(t, text).events, 2)
}

// Whatever the text: an error, or a transcript that is the same when it is written again, whose messages are within
// bounds, and which replays with the reports that it holds.
func FuzzTranscript(f *testing.F) {
	f.Add(initLines)
	f.Add(initLines + "1 > aabbccdd9000640102\n1 > aabbccdd00\n2 < aabbccddbb000102\n2 < aabbccdd90000100\n3 close\n")
	f.Add(initLines + "1.5 > - 3\n1.5 >! \"x\"\n2 < 00 65\n2 <! \"\\n\"")
	f.Add("ctaphid transcript 1: reports of 8 bytes in, 4096 out\n0 < 0000000190ffff\n0 < -\n0 > 010203 4097")
	f.Fuzz(func(t *testing.T, text string) {
		transcript, err := ReadTranscript(strings.NewReader(text))
		if err != nil {
			return
		}
		again := readTranscript(t, written(transcript))
		require.Equal(t, written(transcript), written(again))
		for _, m := range transcript.Messages() {
			if len(m.Data) > maxMessage(max(transcript.in, transcript.out)) {
				t.Fatalf("message of %d bytes", len(m.Data))
			}
		}
		play(t, transcript)
	})
}

func written(t *Transcript) string {
	var b strings.Builder
	fmt.Fprintln(&b, header(t.in, t.out))
	for _, e := range t.events {
		fmt.Fprintln(&b, e.format(t.sizeOf(e.kind)))
	}
	return b.String()
}

// play writes and reads all that the transcript holds, in its order.
func play(t *testing.T, transcript *Transcript) {
	t.Helper()
	r := transcript.Replay().(*replay)
	buffer := make([]byte, maxEventSize)
	for _, e := range transcript.events {
		switch e.kind {
		case toDevice:
			_, err := r.Write(e.report())
			if failure := r.cues[r.heard-1].failure; failure == nil {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, failure.text)
			}
		case fromDevice:
			n, err := r.Read(buffer)
			require.NoError(t, err)
			require.Equal(t, e.report(), buffer[:n])
		case noMore:
			_, err := r.Read(buffer)
			require.EqualError(t, err, e.text)
			return
		}
	}
	require.NoError(t, r.Close())
}
