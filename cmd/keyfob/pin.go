package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// askPIN gets a key's PIN from where the command line says, or from the terminal.
func (inv *invocation) askPIN(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	if !inv.pinGiven() {
		return inv.askPINOnTerminal(ctx, req)
	}
	if req.Reason != authenticator.PINNeeded && req.Reason != authenticator.PINInsteadOfUV {
		return nil, refused(ctx, req)
	}
	lines, err := inv.givenPINs(ctx, 1)
	if err != nil {
		return nil, err
	}
	return lines[0], nil
}

// refused says why the PIN of a file was of no use. It is not tried again: each try costs a retry.
func refused(ctx context.Context, req *authenticator.PINRequest) error {
	if req.Reason != authenticator.PINInvalid {
		return fmt.Errorf("%w: that cannot be the PIN of a key", ctap2.ErrPINPolicyViolation)
	}
	failure := &authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: -1}
	if left, err := req.Retries(ctx); err == nil {
		failure.Retries = left
	}
	return failure
}

func (inv *invocation) askPINOnTerminal(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
	retries := ""
	if left, err := req.Retries(ctx); err == nil {
		retries = " " + retriesLeft(left)
	}
	question := fmt.Sprintf("%sPIN of %s%s: ", complaint(req), inv.nameOf(req.Key), retries)
	return inv.askSecret(ctx, question)
}

// askSecret is secret for a question that must have an answer.
func (inv *invocation) askSecret(ctx context.Context, question string) ([]byte, error) {
	answer, err := inv.secret(ctx, question)
	if errors.Is(err, errNoTerminal) {
		return nil, fmt.Errorf("%w, and there is no terminal to ask for it", authenticator.ErrPINRequired)
	}
	return answer, err
}

// complaint says what was wrong with the PIN before.
func complaint(req *authenticator.PINRequest) string {
	switch req.Reason {
	case authenticator.PINInvalid:
		return "Wrong PIN. "
	case authenticator.PINRepeated:
		return "The key has rejected that PIN already. "
	case authenticator.PINTooShort:
		return fmt.Sprintf("A PIN has at least %d characters. ", req.MinLength)
	case authenticator.PINTooLong:
		return "A PIN is text of at most 63 bytes. "
	case authenticator.PINInsteadOfUV:
		return "The key did not recognize you. "
	}
	return ""
}

func retriesLeft(n int) string {
	if n == 1 {
		return "(1 retry left)"
	}
	return fmt.Sprintf("(%d retries left)", n)
}

func (inv *invocation) pinGiven() bool { return inv.pinFile != "" || inv.pinFD != noPINFD }

// givenPINs reads the first n lines of what the command line names.
func (inv *invocation) givenPINs(ctx context.Context, n int) ([][]byte, error) {
	f, err := inv.openPINs()
	if err != nil {
		return nil, pinFileFailure(err)
	}
	lines := make([][]byte, n)
	for i := range lines {
		lines[i], err = await(ctx, func() ([]byte, error) { return readLine(f) })
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // the reader still has the file
		}
		if err != nil {
			f.Close()
			return nil, pinFileFailure(noLine(err, i+1))
		}
	}
	f.Close()
	return lines, nil
}

func (inv *invocation) openPINs() (*os.File, error) {
	if inv.pinFile != "" {
		return os.Open(inv.pinFile)
	}
	return os.NewFile(uintptr(inv.pinFD), fmt.Sprintf("file descriptor %d", inv.pinFD)), nil
}

func noLine(err error, number int) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("there is no line %d", number)
	}
	return err
}

// pinFileFailure keeps an error about the file from being taken for one about the key.
func pinFileFailure(err error) error {
	return failuref(exitError, "check --pin-file and --pin-fd", "cannot read the PIN: %w", err)
}

const newPINAttempts = 3

// newPIN asks for a new PIN on the terminal until it was typed the same way twice.
func (inv *invocation) newPIN(ctx context.Context, minLength uint64) ([]byte, error) {
	wanted := fmt.Sprintf("New PIN (at least %d characters): ", minLength)
	question := wanted
	for range newPINAttempts {
		first, err := inv.askSecret(ctx, question)
		if err != nil {
			return nil, err
		}
		second, err := inv.askSecret(ctx, "The new PIN again: ")
		if err != nil {
			clear(first)
			return nil, err
		}
		same := bytes.Equal(first, second)
		clear(second)
		if same {
			return first, nil
		}
		clear(first)
		question = "They differ. " + wanted
	}
	return nil, failuref(exitPINInvalid, "", "the new PIN was never typed the same way twice")
}
