package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"golang.org/x/term"
)

type askPIN = func(context.Context, *authenticator.PINRequest) ([]byte, error)

// pinFrom returns what asks for the PIN: a file, or the console if there is none.
func pinFrom(file string) askPIN {
	if file == "" {
		return askConsole
	}
	return func(_ context.Context, req *authenticator.PINRequest) ([]byte, error) {
		if req.Reason != authenticator.PINNeeded && req.Reason != authenticator.PINInsteadOfUV {
			return nil, errors.New("the PIN in the file is wrong") // and will not become right
		}
		pin, err := os.ReadFile(file)
		return bytes.TrimRight(pin, "\r\n"), err
	}
}

func askConsole(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	console, err := openConsole()
	if err != nil {
		return nil, fmt.Errorf("nowhere to ask for the PIN: %w", err)
	}
	defer console.Close()
	question := fmt.Sprintf("PIN of %v: ", req.Key)
	if req.Reason == authenticator.PINInvalid || req.Reason == authenticator.PINRepeated {
		retries, err := req.Retries(ctx)
		if err != nil {
			return nil, err
		}
		question = fmt.Sprintf("Wrong PIN, %d tries left. %s", retries, question)
	}
	return readPIN(ctx, console, question)
}

// openConsole opens the terminal that the program was started in, or the machine's console, which is what there is early
// at boot. Standard input may be anything else.
func openConsole() (*os.File, error) {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty, nil
	}
	return os.OpenFile("/dev/console", os.O_RDWR, 0)
}

// readPIN asks without showing the answer, until ctx is done: it is time to give up, or the key was pulled.
func readPIN(ctx context.Context, console *os.File, question string) ([]byte, error) {
	restore, err := makeRaw(console)
	if err != nil {
		return nil, err
	}
	defer restore()
	stop := context.AfterFunc(ctx, func() { console.SetReadDeadline(time.Now()) })
	defer stop()
	pin, err := term.NewTerminal(console, "").ReadPassword(question)
	if err == nil {
		return []byte(pin), nil
	}
	fmt.Fprint(console, "\r\n")
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	return nil, err
}

// makeRaw takes the echo from a terminal. It does without Fd, which would take the deadline from it.
func makeRaw(console *os.File) (restore func(), err error) {
	conn, err := console.SyscallConn()
	if err != nil {
		return nil, err
	}
	var state *term.State
	if controlErr := conn.Control(func(fd uintptr) { state, err = term.MakeRaw(int(fd)) }); controlErr != nil {
		return nil, controlErr
	}
	return func() { conn.Control(func(fd uintptr) { term.Restore(int(fd), state) }) }, err
}
