package fido2tools

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxLine is the number of bytes that a line of input may have. Nothing that fits into a CTAP message is longer.
const maxLine = 1 << 20

var (
	errInput  = errors.New("input error")
	errOutput = errors.New("output error")
)

// lines reads the parameters of a tool. The first error sticks: all later values are empty.
type lines struct {
	r   *bufio.Reader
	err error
}

// read returns the next line with its end, and nil once something went wrong.
func (l *lines) read() []byte {
	if l.err != nil {
		return nil
	}
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
			break
		}
	}
	if len(line) == 0 || len(line) > maxLine || bytes.IndexByte(line, 0) >= 0 {
		l.err = errInput
		return nil
	}
	return line
}

// text returns a line without its last character, which is cut off even if it is no line feed.
func (l *lines) text() string {
	line := l.read()
	if line == nil {
		return ""
	}
	return string(line[:len(line)-1])
}

// bytes returns the bytes of a line of base64, at least one.
func (l *lines) bytes() []byte {
	line := l.read()
	if line == nil {
		return nil
	}
	b, err := decodeBase64(line)
	if err != nil {
		l.err = errInput
	}
	return b
}

// optionalBytes is bytes for a line that need not be there, and need not be right.
func (l *lines) optionalBytes() []byte {
	optional := lines{r: l.r, err: l.err}
	return optional.bytes()
}

// input opens the file with the parameters: standard input if the path is empty or "-". It takes from that what a C
// program would, so that a PIN which follows in the same pipe is as lost as it is there.
func (t *tool) input(path string) (*lines, io.Closer, error) {
	if path == "" || path == "-" {
		return &lines{r: bufio.NewReaderSize(t.Stdin, 4096)}, io.NopCloser(nil), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %s", path, strerror(err))
	}
	return &lines{r: bufio.NewReader(f)}, f, nil
}

// output is where results go. A file is there, for its owner only, as soon as it is opened; what it held goes only when
// there is something to write in its place.
type output struct {
	w io.Writer
	f *os.File // nil for standard output
}

func (t *tool) output(path string) (*output, error) {
	if path == "" || path == "-" {
		return &output{w: t.out}, nil
	}
	f, err := createPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %s", path, strerror(err))
	}
	return &output{w: f, f: f}, nil
}

// withFiles works on a command's two files, which are opened before anything else is looked at: a script finds an empty
// output where it went wrong later.
func (t *tool) withFiles(in, out string, work func(*lines, *output) error) error {
	from, closer, err := t.input(in)
	if err != nil {
		return err
	}
	defer closer.Close()
	to, err := t.output(out)
	if err != nil {
		return err
	}
	defer to.close()
	return work(from, to)
}

func createPrivate(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
}

// write puts the whole result in its place.
func (o *output) write(b []byte) error {
	if err := o.clear(); err != nil {
		return fmt.Errorf("%w: %s", errOutput, strerror(err))
	}
	if _, err := o.w.Write(b); err != nil {
		return fmt.Errorf("%w: %s", errOutput, strerror(err))
	}
	return nil
}

// clear empties a file of its old content. What cannot be cut, such as a pipe, has none.
func (o *output) clear() error {
	if o.f == nil {
		return nil
	}
	if info, err := o.f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return o.f.Truncate(0)
}

func (o *output) close() {
	if o.f != nil {
		o.f.Close()
	}
}

// strerror returns what C's strerror says of a system error.
func strerror(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err.Error()
	}
	text := number.Error()
	return string(bytes.ToUpper([]byte(text[:1]))) + text[1:]
}
