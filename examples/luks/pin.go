package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

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
	if req.Reason == authenticator.PINInvalid {
		retries, err := req.Retries(ctx)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "Wrong PIN, %d tries left.\n", retries)
	}
	fmt.Fprintf(os.Stderr, "PIN of %v: ", req.Key)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(int(console.Fd()))
}

// openConsole opens the terminal that the program was started in, or the machine's console, which is what there is early
// at boot. Standard input may be anything else.
func openConsole() (*os.File, error) {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty, nil
	}
	return os.OpenFile("/dev/console", os.O_RDWR, 0)
}
