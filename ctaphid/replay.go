package ctaphid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// Replay returns a device that answers as the transcript says, as fast as it is asked: a bug that somebody saw becomes
// a test. Several replays of one transcript do not disturb each other. Methods may be called concurrently.
//
// It wants the reports that were recorded, in their order: the same channels, commands, lengths and sequence numbers.
// Their contents may differ, since keys and challenges are new each time; the nonce of an INIT is answered with
// itself. The first report that does not fit is an error, which all further calls return, too. So does Close, also
// when the transcript goes on with a report that was not sent.
func (t *Transcript) Replay() io.ReadWriteCloser {
	r := &replay{in: t.in, out: t.out, nonces: make(map[nonce]nonce)}
	r.news.L = &r.mu
	for i := range t.events {
		r.schedule(&t.events[i])
	}
	return r
}

type replay struct {
	in, out int
	cues    []cue
	replies []reply

	mu       sync.Mutex // guards the fields below
	news     sync.Cond  // any of them changed
	heard    int        // of cues
	spoken   int        // of replies
	nonces   map[nonce]nonce
	mismatch error
	closed   bool
}

// A cue is a report that the device waits for.
type cue struct {
	*event
	failure *event // nil if the device took it
}

// A reply is a report of the device, or its end, which comes after a number of cues.
type reply struct {
	*event
	after int
}

type nonce [nonceSize]byte

func (r *replay) schedule(e *event) {
	switch e.kind {
	case toDevice:
		r.cues = append(r.cues, cue{event: e})
	case notTaken:
		if n := len(r.cues); n > 0 {
			r.cues[n-1].failure = e
		}
	case fromDevice, noMore:
		r.replies = append(r.replies, reply{e, len(r.cues)})
	}
}

// ReportSizes returns the sizes of the recorded device's reports.
func (r *replay) ReportSizes() (in, out int) { return r.in, r.out }

// Write takes the next report that the transcript wants.
func (r *replay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ended(); err != nil {
		return 0, err
	}
	defer r.news.Broadcast()
	if r.heard == len(r.cues) {
		r.mismatch = fmt.Errorf("transcript: expected the end, not %s", describe(p))
		return 0, r.mismatch
	}
	next := r.cues[r.heard]
	recorded := next.report()
	if want, got := describe(recorded), describe(p); want != got {
		r.mismatch = fmt.Errorf("transcript: line %d: expected %s, not %s", next.event.line, want, got)
		return 0, r.mismatch
	}
	r.heard++
	if old, ok := nonceOf(recorded); ok {
		r.nonces[old], _ = nonceOf(p)
	}
	if next.failure != nil {
		return 0, errors.New(next.failure.text)
	}
	return len(p), nil
}

// Read blocks until the transcript has a report for the caller.
func (r *replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.ended() == nil && !r.speaks() {
		r.news.Wait()
	}
	if err := r.ended(); err != nil {
		return 0, err
	}
	next := r.replies[r.spoken]
	if next.kind == noMore {
		return 0, errors.New(next.text)
	}
	r.spoken++
	report := next.report()
	r.refresh(report)
	return copy(p, report), nil
}

// speaks says that it is the next reply's turn.
func (r *replay) speaks() bool {
	return r.spoken < len(r.replies) && r.replies[r.spoken].after <= r.heard
}

// refresh puts the nonce of the request into the answer to INIT.
func (r *replay) refresh(report []byte) {
	if old, ok := nonceOf(report); ok {
		if now, known := r.nonces[old]; known {
			copy(report[initHeader:], now[:])
		}
	}
}

func (r *replay) ended() error {
	switch {
	case r.mismatch != nil:
		return r.mismatch
	case r.closed:
		return fmt.Errorf("transcript: %w", fs.ErrClosed)
	}
	return nil
}

// Close makes Read return, and tells whether all was as recorded.
func (r *replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.news.Broadcast()
	if r.mismatch == nil && r.heard < len(r.cues) {
		next := r.cues[r.heard]
		return fmt.Errorf("transcript: line %d: expected %s, not the end", next.event.line, describe(next.report()))
	}
	return r.mismatch
}

// nonceOf returns the nonce of an INIT or of its answer.
func nonceOf(report []byte) (n nonce, ok bool) {
	if len(report) < initHeader+nonceSize || report[4] != byte(CommandInit)|initBit {
		return n, false
	}
	return nonce(report[initHeader:]), true
}

// describe tells all of a report that does not depend on chance.
func describe(report []byte) string {
	switch {
	case len(report) < minReportSize:
		return fmt.Sprintf("a report of %d bytes", len(report))
	case report[4]&initBit == 0:
		return fmt.Sprintf("packet %d on channel %08x in a report of %d bytes", report[4], packetCID(report), len(report))
	}
	return fmt.Sprintf("%v of %d bytes on channel %08x in a report of %d bytes",
		packetCommand(report), binary.BigEndian.Uint16(report[5:]), packetCID(report), len(report))
}
