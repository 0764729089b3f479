package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

var errNoTerminal = errors.New("no terminal")

// openTerminal returns the terminal that keyfob was started in, even when its standard input is another file.
func openTerminal() (*os.File, error) {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty, nil
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return os.Stdin, nil
	}
	return nil, errNoTerminal
}

// secret asks a question on the terminal and returns the answer, which does not show. The echo is off before the
// question appears, for those who type fast.
func (inv *invocation) secret(ctx context.Context, question string) ([]byte, error) {
	answer, err := inv.ask(ctx, question, term.MakeRaw, readHidden)
	if !errors.Is(err, errNoTerminal) {
		fmt.Fprintln(inv.stderr) // the end of the line did not show either
	}
	return answer, err
}

// line asks a question on the terminal and returns the answer.
func (inv *invocation) line(ctx context.Context, question string) ([]byte, error) {
	answer, err := inv.ask(ctx, question, term.GetState, readLine)
	if err != nil && !errors.Is(err, errNoTerminal) {
		fmt.Fprintln(inv.stderr) // nobody has ended the line of the question
	}
	return answer, err
}

// confirm makes the user type that what will be lost may go, unless the command line says so. loss names it in whole
// sentences; unchanged is the error if the user would rather not: "nothing was reset".
func (inv *invocation) confirm(ctx context.Context, loss, unchanged string) error {
	if inv.yes {
		return nil
	}
	answer, err := inv.line(ctx, inv.display.fold(loss+" Type yes to go on: "))
	switch {
	case errors.Is(err, errNoTerminal):
		return usageError("without a terminal to ask on, it wants --yes")
	case err != nil:
		return err
	case string(answer) != "yes":
		return failuref(exitCancelled, "", "%s", unchanged)
	}
	return nil
}

// ask asks a question on the terminal, in the mode that setMode sets. The terminal gets its old mode back in any case
// but is not closed: when ctx ends the wait for an answer, the reader is still at it.
func (inv *invocation) ask(
	ctx context.Context, question string,
	setMode func(fd int) (old *term.State, err error), read func(io.Reader) ([]byte, error),
) ([]byte, error) {
	tty, err := inv.terminal()
	if err != nil {
		return nil, err
	}
	old, err := setMode(int(tty.Fd()))
	if err != nil {
		return nil, err
	}
	defer term.Restore(int(tty.Fd()), old)
	fmt.Fprint(inv.stderr, question)
	answer, err := await(ctx, func() ([]byte, error) { return read(tty) })
	if errors.Is(err, io.EOF) {
		return nil, failuref(exitCancelled, "", "no answer")
	}
	return answer, err
}

// await runs a read that nothing can interrupt, and leaves it behind when ctx is done.
func await(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := read()
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

const maxLine = 1024 // bytes; a PIN has at most 63

var errLongLine = fmt.Errorf("a line of %d bytes or more", maxLine)

// readLine reads a line and no byte more, without its end: LF or CR LF. The last line may have none.
func readLine(r io.Reader) ([]byte, error) {
	line, b := make([]byte, 0, maxLine), make([]byte, 1)
	for len(line) < maxLine {
		_, err := io.ReadFull(r, b)
		switch {
		case err == io.EOF && len(line) > 0, err == nil && b[0] == '\n':
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case err != nil:
			return nil, err
		}
		line = append(line, b[0])
	}
	return nil, errLongLine
}

// What a terminal in raw mode sends for keys that edit.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	ctrlU     = 0x15
	backspace = '\b'
	del       = 0x7f
)

// readHidden reads a line from a terminal in raw mode, which leaves the editing to the program.
func readHidden(r io.Reader) ([]byte, error) {
	line, b := make([]byte, 0, maxLine), make([]byte, 1)
	for len(line) < maxLine {
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		switch b[0] {
		case '\r', '\n':
			return line, nil
		case ctrlC:
			return nil, failuref(exitCancelled, "", "%w", context.Canceled) // as by a signal
		case ctrlD:
			return nil, io.EOF
		case ctrlU:
			line = line[:0]
		case backspace, del:
			_, n := utf8.DecodeLastRune(line)
			line = line[:len(line)-n]
		default:
			line = append(line, b[0])
		}
	}
	return nil, errLongLine
}
