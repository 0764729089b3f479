package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/term"

	"github.com/keyfob-go/keyfob/authenticator"
)

// ui talks to the user on standard error, and asks for the PIN where ssh would: on the terminal, or by the program that
// SSH_ASKPASS names if there is none or SSH_ASKPASS_REQUIRE says so.
var ui = &authenticator.UI{PIN: askPIN, Notify: tell}

func tell(e authenticator.Event) {
	switch e.Kind {
	case authenticator.EventInsert:
		fmt.Fprintln(os.Stderr, "Plug in a security key.")
	case authenticator.EventSelect:
		fmt.Fprintln(os.Stderr, "Touch one of the security keys.")
	case authenticator.EventTouch:
		fmt.Fprintf(os.Stderr, "Touch %v to %v.\n", e.Key, e.Touch)
	case authenticator.EventDropped:
		fmt.Fprintf(os.Stderr, "%v can't be used: %v\n", e.Key, e.Err)
	}
}

// once returns a UI that does not ask for a PIN again that was right, until forget is called.
func once(ui *authenticator.UI) (asking *authenticator.UI, forget func()) {
	var known []byte
	again := *ui
	again.PIN = func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
		if known != nil && req.Reason == authenticator.PINNeeded {
			return bytes.Clone(known), nil
		}
		pin, err := ui.PIN(ctx, req)
		clear(known)
		known = bytes.Clone(pin)
		return pin, err
	}
	return &again, func() { clear(known) }
}

func askPIN(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	question, err := question(ctx, req)
	if err != nil {
		return nil, err
	}
	required, program := os.Getenv("SSH_ASKPASS_REQUIRE"), os.Getenv("SSH_ASKPASS")
	tty, err := openTerminal()
	if err == nil {
		defer tty.Close()
	}
	switch {
	case program != "" && required != "never" && (err != nil || required == "force" || required == "prefer"):
		return runAskpass(ctx, program, question)
	case err != nil:
		return nil, fmt.Errorf("%w: no terminal to ask on, and no SSH_ASKPASS", authenticator.ErrPINRequired)
	}
	return readPIN(ctx, tty, question)
}

func question(ctx context.Context, req *authenticator.PINRequest) (string, error) {
	text := fmt.Sprintf("PIN of %v: ", req.Key)
	switch req.Reason {
	case authenticator.PINInvalid, authenticator.PINRepeated:
		left, err := req.Retries(ctx)
		return fmt.Sprintf("Wrong PIN, %d tries left. %s", left, text), err
	case authenticator.PINTooShort, authenticator.PINTooLong:
		return "That can't be the PIN. " + text, nil
	case authenticator.PINInsteadOfUV:
		return "The security key did not recognize you. " + text, nil
	}
	return text, nil
}

func runAskpass(ctx context.Context, program, question string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, question)
	c.Stderr = os.Stderr
	answer, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return bytes.TrimRight(answer, "\r\n"), nil
}

// openTerminal opens the one that the program was started in, also if its standard input is something else.
func openTerminal() (tty *os.File, err error) {
	for _, name := range []string{"/dev/tty", "CONIN$"} { // of Unix, of Windows
		if tty, err = os.OpenFile(name, os.O_RDWR, 0); err == nil {
			break
		}
	}
	return tty, err
}

// readPIN asks without showing the answer. When ctx is done it stops to read, or it would take the answer to the next
// question; where terminals know no deadlines, as on macOS and Windows, only Enter or Ctrl-C stop it.
func readPIN(ctx context.Context, tty *os.File, question string) ([]byte, error) {
	restore, err := makeRaw(tty)
	if err != nil {
		return nil, err
	}
	defer restore()
	stop := context.AfterFunc(ctx, func() { tty.SetReadDeadline(time.Now()) })
	defer stop()
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{tty, os.Stderr}, "")
	pin, err := screen.ReadPassword(question)
	if err == nil {
		return []byte(pin), nil
	}
	fmt.Fprint(os.Stderr, "\r\n")
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	return nil, err
}

// makeRaw takes the echo from a terminal. It does without tty.Fd, which would take the deadline from it.
func makeRaw(tty *os.File) (restore func(), err error) {
	conn, err := tty.SyscallConn()
	if err != nil {
		return nil, err
	}
	var state *term.State
	if controlErr := conn.Control(func(fd uintptr) { state, err = term.MakeRaw(int(fd)) }); controlErr != nil {
		return nil, controlErr
	}
	return func() { conn.Control(func(fd uintptr) { term.Restore(int(fd), state) }) }, err
}
