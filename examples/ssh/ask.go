package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"

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

// once returns a UI that does not ask for a PIN again that was right.
func once(ui *authenticator.UI) *authenticator.UI {
	var known []byte
	asking := *ui
	asking.PIN = func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
		if known == nil || req.Reason != authenticator.PINNeeded {
			pin, err := ui.PIN(ctx, req)
			known = bytes.Clone(pin)
			return pin, err
		}
		return bytes.Clone(known), nil
	}
	return &asking
}

func askPIN(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	question, err := question(ctx, req)
	if err != nil {
		return nil, err
	}
	required, program := os.Getenv("SSH_ASKPASS_REQUIRE"), os.Getenv("SSH_ASKPASS")
	tty := terminal()
	switch {
	case program != "" && required != "never" && (tty == nil || required == "force" || required == "prefer"):
		return runAskpass(ctx, program, question)
	case tty == nil:
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

// terminal returns the one that the program was started in, also if its standard input is something else, or nil.
func terminal() *os.File {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return os.Stdin
	}
	return nil
}

// readPIN leaves the reader behind when ctx is done: nothing can interrupt it, and the program ends then.
func readPIN(ctx context.Context, tty *os.File, question string) ([]byte, error) {
	fd := int(tty.Fd())
	if old, err := term.GetState(fd); err == nil {
		defer term.Restore(fd, old)
	}
	fmt.Fprint(os.Stderr, question)
	defer fmt.Fprintln(os.Stderr)
	var pin []byte
	done := make(chan error, 1)
	go func() {
		typed, err := term.ReadPassword(fd)
		pin = typed
		done <- err
	}()
	select {
	case err := <-done:
		return pin, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
