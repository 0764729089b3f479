package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/internal/helper"
	"github.com/keyfob-go/keyfob/webauthn"
)

// The exit statuses of "helper register" and "helper assert", which others have defined before keyfob.
const (
	oneShotError   = 1
	oneShotTimeout = 2
	oneShotPIN     = 3
)

func helperRegisterCommand(inv *invocation) *cobra.Command {
	return inv.oneShot("register", "Register a key for what is on standard input, once.", func(
		ctx context.Context, c *authenticator.Client, origin string, options []byte,
	) (json.Marshaler, error) {
		var o webauthn.CreationOptions
		if err := json.Unmarshal(options, &o); err != nil {
			return nil, err
		}
		return c.Register(ctx, origin, &o)
	})
}

func helperAssertCommand(inv *invocation) *cobra.Command {
	return inv.oneShot("assert", "Sign in with a key for what is on standard input, once.", func(
		ctx context.Context, c *authenticator.Client, origin string, options []byte,
	) (json.Marshaler, error) {
		var o webauthn.RequestOptions
		if err := json.Unmarshal(options, &o); err != nil {
			return nil, err
		}
		return c.Authenticate(ctx, origin, &o)
	})
}

// oneShot is a ceremony with all it needs in three lines of standard input: options, PIN, which may be empty, and origin.
func (inv *invocation) oneShot(
	name, short string,
	ceremony func(ctx context.Context, c *authenticator.Client, origin string, options []byte) (json.Marshaler, error),
) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs}
	inv.forClient(cmd)
	cmd.RunE = inv.run(func(ctx context.Context) (output, error) {
		var lines [3][]byte
		_, err := await(ctx, func() (_ []byte, err error) {
			lines, err = readThree(inv.stdin)
			return nil, err
		})
		if err != nil {
			return nil, failuref(oneShotError, "give three lines: options, PIN or nothing, and origin", "standard input: %w", err)
		}
		client := inv.client()
		client.UI = &authenticator.UI{Notify: inv.notify}
		if pin := lines[1]; len(pin) > 0 {
			client.UI.PIN = onlyPIN(pin)
		}
		response, err := ceremony(ctx, &client, string(lines[2]), lines[0])
		if err != nil {
			return nil, oneShotFailure(err)
		}
		encoded, err := response.MarshalJSON()
		return jsonLine(encoded), err
	})
	return cmd
}

// readThree returns three lines, and does not wait for the end of the input.
func readThree(r io.Reader) (lines [3][]byte, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, helper.MaxMessage)
	for i := range lines {
		if !s.Scan() {
			return lines, cmp.Or(s.Err(), fmt.Errorf("%d lines, want %d", i, len(lines)))
		}
		lines[i] = bytes.Clone(s.Bytes())
	}
	return lines, nil
}

// onlyPIN answers with the PIN once: each try costs a retry.
func onlyPIN(pin []byte) func(context.Context, *authenticator.PINRequest) ([]byte, error) {
	return func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
		if req.Reason != authenticator.PINNeeded && req.Reason != authenticator.PINInsteadOfUV {
			return nil, refused(ctx, req)
		}
		return bytes.Clone(pin), nil
	}
}

// oneShotFailure has the exit status that callers know. After 3 they ask for the PIN, so it is only for what another PIN
// can help with.
func oneShotFailure(err error) error {
	status := oneShotError
	switch authenticator.KindOf(err) {
	case authenticator.KindTimeout:
		status = oneShotTimeout
	case authenticator.KindNoDevice:
		if errors.Is(err, context.DeadlineExceeded) { // nobody plugged one in
			status = oneShotTimeout
		}
	case authenticator.KindPINRequired, authenticator.KindPINInvalid, authenticator.KindPINPolicy:
		status = oneShotPIN
	}
	return failuref(status, authenticator.AdviceOn(err).Hint, "%w", err)
}

// jsonLine is a result that is JSON in any case.
type jsonLine json.RawMessage

// MarshalJSON implements [json.Marshaler].
func (l jsonLine) MarshalJSON() ([]byte, error) { return l, nil }

func (l jsonLine) text(p *page) { fmt.Fprintf(p, "%s\n", l) }
