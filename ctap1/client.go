package ctap1

import (
	"context"
	"errors"
	"fmt"
)

// A Transport carries one message to an authenticator and returns the answer.
type Transport interface {
	// Msg sends a command APDU and returns the response APDU, data and a status word. It returns when the
	// authenticator answered, which never takes as long as a touch, or when ctx is done.
	Msg(ctx context.Context, apdu []byte) ([]byte, error)
}

// Client sends U2F messages to one authenticator. Its methods may be called concurrently if the Transport's may.
//
// Messages have the extended-length encoding, as U2F over HID wants it. What a key refuses with [ErrWrongLength] is
// repeated in the short one.
type Client struct {
	Transport Transport

	// Keepalive, unless nil, is called with the status 2, user presence needed, when an authenticator waits for a
	// touch: once in each call that waits, on the caller's goroutine. It must not block.
	Keepalive func(status byte)
}

// ErrInvalidResponse is wrapped by every error that says that an authenticator's answer broke the protocol.
var ErrInvalidResponse = errors.New("invalid response")

// send runs cmd in the encoding that the key understands. Where none of the others gets any further the first answer
// stands, since ErrWrongLength is also what some keys say to a key handle that is not theirs.
func (c *Client) send(ctx context.Context, cmd command) ([]byte, error) {
	data, err := c.exchange(ctx, cmd.extended())
	if !errors.Is(err, ErrWrongLength) {
		return data, err
	}
	for _, apdu := range cmd.fallbacks() {
		data, other := c.exchange(ctx, apdu)
		if !refused(other) {
			return data, other
		}
	}
	return nil, err
}

// refused reports whether the key answered with a status word that is neither a success nor a wish for a touch.
func refused(err error) bool {
	sw, ok := errors.AsType[StatusWord](err)
	return ok && sw != ErrConditionsNotSatisfied
}

// maxPieces bounds an answer that comes in pieces. In the short encoding they have 256 bytes, and 32 of them are more
// than the longest message that U2F over HID can carry.
const maxPieces = 32

// exchange sends one APDU and returns the data of the answer, with the pieces put together that a key announces by
// the status word 61xx (ISO 7816-4). The result shares nothing with the transport.
func (c *Client) exchange(ctx context.Context, apdu []byte) ([]byte, error) {
	var data []byte
	for range maxPieces {
		answer, err := c.Transport.Msg(ctx, apdu)
		if err != nil {
			return nil, err
		}
		piece, sw, err := splitAnswer(answer)
		if err != nil {
			return nil, err
		}
		data = append(data, piece...)
		if sw == statusOK {
			return data, nil
		}
		if sw>>8 != statusMoreData {
			return nil, sw
		}
		apdu = getResponse(byte(sw))
	}
	return nil, fmt.Errorf("%w: more than %d pieces", ErrInvalidResponse, maxPieces)
}
