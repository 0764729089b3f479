package ctaphid

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// Record returns dev with all that happens to it written to w, one Write a line: see [Transcript]. It passes
// everything through, and an error of w only ends the recording; Close returns it if it has no worse to tell. A w that
// blocks makes the device block.
//
// The PINs and secrets of CTAP2 are encrypted in the reports and so in the transcript, but it shows where the user has
// which account. So redact, unless nil, is called with each complete message, from both directions and on every
// channel, and overwrites in its Data what must not be written; the length stays. It runs on the goroutine that reads
// or writes the last report, one call at a time, and must not use the device. What is no complete message is then
// written as zeros. Lines wait for the end of the message that they belong to, so that no raw byte reaches w.
func Record(dev io.ReadWriteCloser, w io.Writer, redact func(Message)) io.ReadWriteCloser {
	r := &recorder{dev: dev, w: w, redact: redact, start: time.Now()}
	r.in, r.out = reportSizes(dev)
	r.assembly = newAssembly(r.in, r.out)
	r.writeLine(header(r.in, r.out))
	return r
}

// reportSizes returns what the device says, or what all devices but few have.
func reportSizes(dev io.ReadWriteCloser) (in, out int) {
	if d, ok := dev.(interface{ ReportSizes() (in, out int) }); ok {
		return d.ReportSizes()
	}
	return 64, 64
}

type recorder struct {
	dev     io.ReadWriteCloser
	redact  func(Message)
	start   time.Time
	in, out int

	mu       sync.Mutex // guards the fields below
	w        io.Writer
	err      error // of w
	closed   bool
	assembly *assembly
	waiting  []*event // for the end of a message, to be redacted
}

// maxWaiting is more reports than any message has, with room for what comes between them.
const maxWaiting = 1024

// ReportSizes passes on what the device says.
func (r *recorder) ReportSizes() (in, out int) { return r.in, r.out }

// Read implements [io.Reader].
func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.dev.Read(p)
	if err != nil {
		r.note(&event{kind: noMore, text: cause(err)})
	} else {
		r.note(reportEvent(fromDevice, p[:n]))
	}
	return n, err
}

// Write implements [io.Writer]. The report is noted first: its answer may be read before the device's Write returns.
func (r *recorder) Write(p []byte) (int, error) {
	r.note(reportEvent(toDevice, p))
	n, err := r.dev.Write(p)
	if err != nil {
		r.note(&event{kind: notTaken, text: cause(err)})
	}
	return n, err
}

// Close closes the device. What happens to it from then on is of no interest.
func (r *recorder) Close() error {
	r.finish()
	if err := r.dev.Close(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return fmt.Errorf("ctaphid: record: %w", r.err)
	}
	return nil
}

func (r *recorder) finish() {
	r.note(&event{kind: hostCloses})
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.flush()
	}
}

func reportEvent(kind string, report []byte) *event {
	report = report[:min(len(report), maxEventSize)]
	return &event{kind: kind, data: bytes.Clone(trimZeros(report)), size: len(report)}
}

// cause returns the text of the innermost error: those around it may name a path, and so a user.
func cause(err error) string {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				err = inner
				continue
			}
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				err = all[len(all)-1]
				continue
			}
		}
		return err.Error()
	}
}

func (r *recorder) note(e *event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	e.at = time.Since(r.start)
	r.waiting = append(r.waiting, e)
	if r.redact != nil {
		r.hide(e)
	}
	if len(r.assembly.open) == 0 || len(r.waiting) >= maxWaiting {
		r.flush()
	}
}

// hide redacts what is complete with e.
func (r *recorder) hide(e *event) {
	done, stray := r.assembly.add(e)
	erase(stray)
	if done != nil {
		m := done.public()
		r.redact(m)
		done.scatter(m.Data)
	}
}

// erase leaves nothing of reports but their headers.
func erase(reports []*event) {
	for _, e := range reports {
		header := contHeader
		if e.size >= minReportSize && e.report()[4]&initBit != 0 {
			header = initHeader
		}
		e.data = trimZeros(e.data[:min(len(e.data), header)])
	}
}

// flush writes what waits, without what is not complete.
func (r *recorder) flush() {
	erase(r.assembly.abandonAll())
	for _, e := range r.waiting {
		size := r.out
		if e.kind == fromDevice {
			size = r.in
		}
		r.writeLine(e.format(size))
	}
	r.waiting = r.waiting[:0]
}

func (r *recorder) writeLine(line string) {
	if r.err == nil {
		_, r.err = io.WriteString(r.w, line+"\n")
	}
}
