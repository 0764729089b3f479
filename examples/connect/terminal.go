package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/keyfob-go/keyfob/authenticator"
)

// readPIN asks on the terminal, since standard input is the connection. The answer does not show.
func readPIN(ctx context.Context, question string) ([]byte, error) {
	keys, err := openKeyboard()
	if err != nil {
		return nil, fmt.Errorf("%w, and there is no terminal to ask for it", authenticator.ErrPINRequired)
	}
	state, err := term.MakeRaw(keys.fd) // before the question, for those who type fast
	if err != nil {
		return nil, err
	}
	defer term.Restore(keys.fd, state)
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{readerFunc(func(p []byte) (int, error) { return keys.read(ctx, p) }), os.Stderr}, "")
	pin, err := screen.ReadPassword(question)
	if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	return []byte(pin), err
}

// openKeyboard returns the terminal that the program was started in, which stays open.
var openKeyboard = sync.OnceValues(func() (*keyboard, error) {
	var terminal *os.File
	var err error
	for _, name := range []string{"/dev/tty", "CONIN$"} { // of Unix, of Windows
		if terminal, err = os.OpenFile(name, os.O_RDWR, 0); err == nil {
			return newKeyboard(terminal), nil
		}
	}
	return nil, err
})

// A keyboard is read for one question at a time, and never without a question: what is typed then is for other programs.
// Nothing can interrupt a read, so the one that a withdrawn question leaves behind goes to the next question. If that
// had another, the two would share the PIN, and a wrong one costs a try.
type keyboard struct {
	terminal io.Reader
	fd       int
	typed    chan typed // what the read that goes on returns
	reading  bool       // there is one
}

type typed struct {
	bytes []byte
	err   error
}

func newKeyboard(terminal *os.File) *keyboard {
	return &keyboard{terminal: terminal, fd: int(terminal.Fd()), typed: make(chan typed, 1)}
}

func (k *keyboard) read(ctx context.Context, p []byte) (int, error) {
	if !k.reading {
		k.reading = true
		go func() {
			b := make([]byte, 1) // no more than the question takes
			n, err := k.terminal.Read(b)
			k.typed <- typed{b[:n], err}
		}()
	}
	select {
	case t := <-k.typed:
		k.reading = false
		return copy(p, t.bytes), t.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
