package fido2tools

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// OpenTerminal opens the terminal that the process was started in. It is for [System].
func OpenTerminal() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

const (
	shortAnswer = 127 // bytes of an answer that count, where the tools have a buffer of 128
	longAnswer  = 255
)

// passphrase asks on the terminal, without echo. Where there is none it asks on standard error and reads a line of
// standard input, byte by byte; no more input is an empty answer. What is too long is cut.
func (t *tool) passphrase(prompt string, size int) ([]byte, error) {
	tty, err := t.Terminal()
	if err != nil {
		fmt.Fprint(t.Stderr, prompt)
		return await(t.ctx, func() []byte { return cut(readAnswer(t.Stdin), size) })
	}
	answer, err := t.hidden(tty, prompt)
	return cut(answer, size), err
}

// hidden asks on a terminal. It stays open when ctx ended the wait, for the reader is still at it; the echo comes back.
func (t *tool) hidden(tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	old, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("readpassphrase: %w", err)
	}
	defer term.Restore(fd, old)
	fmt.Fprint(tty, prompt)
	answer, err := await(t.ctx, func() []byte {
		b, _ := term.ReadPassword(fd) // the end of the input is an empty answer
		return b
	})
	fmt.Fprintln(tty)
	return answer, err
}

// await runs a read that nothing can interrupt, and leaves it behind when ctx is done.
func await(ctx context.Context, read func() []byte) ([]byte, error) {
	answer := make(chan []byte, 1)
	go func() { answer <- read() }()
	select {
	case b := <-answer:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// readAnswer reads to the end of a line and no byte more. It keeps what an answer can have.
func readAnswer(r io.Reader) []byte {
	answer, b := make([]byte, 0, longAnswer), make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil || b[0] == '\n' || b[0] == '\r' {
			return answer
		}
		if len(answer) < longAnswer {
			answer = append(answer, b[0])
		}
	}
}

// cut returns an answer, which is not nil, as far as it fits.
func cut(answer []byte, size int) []byte { return append([]byte{}, answer[:min(len(answer), size)]...) }

// askPIN asks for the PIN of a key, of whatever length.
func (t *tool) askPIN(device string) ([]byte, error) {
	return t.passphrase("Enter PIN for "+device+": ", longAnswer)
}

// askCheckedPIN asks for the PIN, which must be one.
func (t *tool) askCheckedPIN(device string) ([]byte, error) {
	pin, err := t.passphrase("Enter PIN for "+device+": ", shortAnswer)
	if err != nil {
		return nil, err
	}
	if !isPIN(pin) {
		return nil, errPINLength
	}
	return pin, nil
}

const errPINLength = invalidPIN("invalid PIN length")

// invalidPIN is an error about what the user typed.
type invalidPIN string

func (e invalidPIN) Error() string { return string(e) }

// isPIN reports whether the bytes are as many as a PIN may have.
func isPIN(pin []byte) bool { return len(pin) >= 4 && len(pin) <= 63 }
