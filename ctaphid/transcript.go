package ctaphid

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Transcript is what [Record] wrote of one open device: all reports and how it ended. It is a text of lines
//
//	ctaphid transcript 1: reports of 64 bytes in, 64 out
//	0.000000 > ffffffff860008d1e9f0a6c2b45873
//	0.000412 < ffffffff860011d1e9f0a6c2b45873000000010205040305
//	2.731054 <! "no such device"
//	2.731077 close
//
// with the seconds since the beginning, then > for a report to the device and < for one from it, in hex without the
// zeros at its end and followed by its size if that is not the device's; "-" stands for a report of zeros. After >!
// and <! is why a report was not taken or none will come. Empty lines and lines that begin with # mean nothing.
type Transcript struct {
	in, out int
	events  []event
}

// An event is one line of a transcript.
type event struct {
	at   time.Duration
	kind string
	data []byte // a report without the zeros at its end
	size int    // of the report with them
	text string // of an error
	line int    // in the text; 0 while recording
}

// The kinds of events.
const (
	toDevice   = ">"
	fromDevice = "<"
	notTaken   = ">!"
	noMore     = "<!"
	hostCloses = "close"
)

const (
	headerFormat  = "ctaphid transcript 1: reports of %d bytes in, %d out"
	emptyReport   = "-"
	maxEventSize  = maxReportSize + 1 // as many as a Channel reads
	maxLine       = 2*maxEventSize + 128
	maxTranscript = 64 << 20 // bytes of reports
	minEventCost  = 64       // what an event counts for at least
)

// ReadTranscript reads a transcript of at most a million reports. It takes memory in proportion to what it reads.
func ReadTranscript(r io.Reader) (*Transcript, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	t := new(Transcript)
	number, left := 0, maxTranscript
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.add(line, number, &left); err != nil {
			return nil, fmt.Errorf("ctaphid: transcript: line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("ctaphid: transcript: after line %d: %w", number, err)
	}
	if t.in == 0 {
		return nil, errors.New("ctaphid: transcript: empty")
	}
	return t, nil
}

func (t *Transcript) add(line string, number int, left *int) error {
	if t.in == 0 {
		return t.parseHeader(line)
	}
	e, err := t.parseEvent(line)
	if err != nil {
		return err
	}
	if *left -= max(e.size, minEventCost); *left < 0 {
		return errors.New("too many reports")
	}
	e.line = number
	t.events = append(t.events, e)
	return nil
}

func header(in, out int) string { return fmt.Sprintf(headerFormat, in, out) }

func (t *Transcript) parseHeader(line string) error {
	var in, out int
	fmt.Sscanf(line, headerFormat, &in, &out)
	if line != header(in, out) || !validReportSize(in) || !validReportSize(out) {
		return errors.New("not the header of a transcript that this version can read")
	}
	t.in, t.out = in, out
	return nil
}

func (t *Transcript) parseEvent(line string) (e event, err error) {
	seconds, rest, _ := strings.Cut(line, " ")
	e.kind, rest, _ = strings.Cut(rest, " ")
	if e.at, err = time.ParseDuration(seconds + "s"); err != nil || e.at < 0 {
		return e, fmt.Errorf("bad time %q", seconds)
	}
	switch e.kind {
	case toDevice, fromDevice:
		e.size = t.sizeOf(e.kind)
		err = e.parseReport(rest)
	case notTaken, noMore:
		e.text, err = strconv.Unquote(rest)
	case hostCloses:
		if rest != "" {
			err = errors.New("more than one word")
		}
	default:
		err = fmt.Errorf("unknown event %q", e.kind)
	}
	return e, err
}

// sizeOf returns how long a report should be.
func (t *Transcript) sizeOf(kind string) int {
	if kind == fromDevice {
		return t.in
	}
	return t.out
}

func (e *event) parseReport(text string) (err error) {
	digits, size, odd := strings.Cut(text, " ")
	if odd {
		if e.size, err = strconv.Atoi(size); err != nil || e.size < 0 || e.size > maxEventSize {
			return fmt.Errorf("bad size %q", size)
		}
	}
	if e.data, err = parseDigits(digits); err != nil {
		return err
	}
	if len(e.data) > e.size {
		return fmt.Errorf("%d bytes in a report of %d", len(e.data), e.size)
	}
	return nil
}

func parseDigits(digits string) ([]byte, error) {
	switch digits {
	case "":
		return nil, errors.New("no report")
	case emptyReport:
		return nil, nil
	}
	report, err := hex.DecodeString(digits)
	return trimZeros(report), err
}

func trimZeros(report []byte) []byte { return bytes.TrimRight(report, "\x00") }

// format returns the line of e, where reports of the same direction should have size bytes.
func (e *event) format(size int) string {
	stamp := e.at.Microseconds()
	line := fmt.Sprintf("%d.%06d %s", stamp/1e6, stamp%1e6, e.kind)
	switch e.kind {
	case toDevice, fromDevice:
		return line + e.formatReport(size)
	case notTaken, noMore:
		return line + " " + strconv.Quote(e.text)
	}
	return line
}

func (e *event) formatReport(size int) string {
	text := " " + emptyReport
	if len(e.data) > 0 {
		text = " " + hex.EncodeToString(e.data)
	}
	if e.size != size {
		text += " " + strconv.Itoa(e.size)
	}
	return text
}

// isReport says that e is a report and not an error or the end.
func (e *event) isReport() bool { return e.kind == toDevice || e.kind == fromDevice }

// report returns the whole report, zeros and all.
func (e *event) report() []byte { return append(make([]byte, 0, e.size), e.data...)[:e.size] }
