package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/keyfob-go/keyfob/authenticator"
)

// readPIN asks on the terminal, since standard input is the connection. The answer does not show.
func readPIN(ctx context.Context, question string) ([]byte, error) {
	terminal, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("%w, and there is no terminal to ask for it", authenticator.ErrPINRequired)
	}
	state, err := term.MakeRaw(int(terminal.Fd())) // before the question, for those who type fast
	if err != nil {
		return nil, err
	}
	defer term.Restore(int(terminal.Fd()), state)
	pin, err := readPassword(ctx, terminal, question)
	if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	return []byte(pin), err
}

// openTerminal returns the terminal that the program was started in.
func openTerminal() (terminal *os.File, err error) {
	for _, name := range []string{"/dev/tty", "CONIN$"} { // of Unix, of Windows
		if terminal, err = os.OpenFile(name, os.O_RDWR, 0); err == nil {
			break
		}
	}
	return terminal, err
}

// readPassword leaves the reader behind when ctx is done first: nothing can interrupt it. The terminal stays open for it.
func readPassword(ctx context.Context, terminal *os.File, question string) (string, error) {
	type result struct {
		pin string
		err error
	}
	done := make(chan result, 1)
	go func() {
		screen := term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{terminal, os.Stderr}, "")
		pin, err := screen.ReadPassword(question)
		done <- result{pin, err}
	}()
	select {
	case r := <-done:
		return r.pin, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
