package ctap2

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A Transport carries one message to an authenticator and returns the answer.
type Transport interface {
	// CBOR sends request, a command byte followed by its parameters, and returns the response, a status byte followed
	// by its members. It blocks until the authenticator answered or ctx is done. While it waits it calls keepalive,
	// unless that is nil, with each keepalive status that arrives (CTAP 2.3, section 11.2.9.2.2: 1 processing, 2 user
	// presence needed). The callback runs on the caller's goroutine and must not block.
	CBOR(ctx context.Context, request []byte, keepalive func(status byte)) (response []byte, err error)
}

// Client sends CTAP2 commands to one authenticator. Its methods may be called concurrently if the Transport's may.
type Client struct {
	Transport Transport

	// Keepalive, unless nil, is handed to the transport with every command.
	Keepalive func(status byte)

	entropy entropy // nil outside of tests
}

// ErrInvalidResponse is wrapped by every error that says that an authenticator's answer broke the protocol: CBOR that
// does not decode, a required member that is missing, a value out of its bounds.
var ErrInvalidResponse = errors.New("invalid response")

// call sends one command. req and resp are nil where the command has no parameters or no members.
func (c *Client) call(ctx context.Context, cmd Command, req, resp any) error {
	message := []byte{byte(cmd)}
	if req != nil {
		params, err := ctapcbor.Marshal(req)
		if err != nil {
			return fmt.Errorf("ctap2: %v: %w", cmd, err)
		}
		message = append(message, params...)
	}
	answer, err := c.Transport.CBOR(ctx, message, c.Keepalive)
	if err != nil {
		return fmt.Errorf("ctap2: %v: %w", cmd, err)
	}
	if err := decodeAnswer(answer, resp); err != nil {
		return fmt.Errorf("ctap2: %v: %w", cmd, err)
	}
	return nil
}

func decodeAnswer(answer []byte, resp any) error {
	if len(answer) == 0 {
		return fmt.Errorf("%w: no status byte", ErrInvalidResponse)
	}
	if status := Status(answer[0]); status != 0 {
		return status
	}
	members := answer[1:]
	if resp == nil || len(members) == 0 { // an empty map may be left out
		return nil
	}
	if err := ctapcbor.Unmarshal(members, resp); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	return nil
}

// missing is the error for a response of cmd that lacks a member or holds one of the wrong size.
func missing(cmd Command, member string) error {
	return fmt.Errorf("ctap2: %v: %w: %s missing or of the wrong size", cmd, ErrInvalidResponse, member)
}
