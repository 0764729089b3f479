package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"golang.org/x/term"
)

// askPIN asks on the terminal, since standard input is the file.
func askPIN(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	question, err := pinQuestion(ctx, req)
	if err != nil {
		return nil, err
	}
	return readPIN(ctx, tty, question+": ")
}

func pinQuestion(ctx context.Context, req *authenticator.PINRequest) (string, error) {
	if req.Reason != authenticator.PINInvalid && req.Reason != authenticator.PINRepeated {
		return fmt.Sprintf("PIN of %v", req.Key), nil
	}
	retries, err := req.Retries(ctx)
	return fmt.Sprintf("wrong PIN, %d tries left; PIN of %v", retries, req.Key), err
}

// readPIN asks without showing the answer, until ctx is done: the program is interrupted, or the key was pulled.
func readPIN(ctx context.Context, tty *os.File, question string) ([]byte, error) {
	restore, err := makeRaw(tty)
	if err != nil {
		return nil, err
	}
	defer restore()
	stop := context.AfterFunc(ctx, func() { tty.SetReadDeadline(time.Now()) })
	defer stop()
	pin, err := term.NewTerminal(tty, "").ReadPassword(question)
	if err == nil {
		return []byte(pin), nil
	}
	fmt.Fprint(tty, "\r\n")
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
