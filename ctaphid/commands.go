package ctaphid

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// CBOR sends a CTAP2 request, a command byte and its parameters, and returns the response, a status byte and its
// members; both are at most 7609 bytes long over 64-byte reports. The device may wait for the user meanwhile: keepalive,
// unless nil, is called on the caller's goroutine with the status that the device reports, each time that it changes. It
// must not block and must not use the channel.
func (c *Channel) CBOR(ctx context.Context, request []byte, keepalive func(status byte)) ([]byte, error) {
	return c.transact(ctx, CommandCBOR, request, keepalive)
}

// Msg sends a U2F request APDU and returns the response APDU (CTAP 2.3, section 11.2.9.1.1). The device never waits for the user.
func (c *Channel) Msg(ctx context.Context, request []byte) ([]byte, error) {
	return c.transact(ctx, CommandMsg, request, nil)
}

// Ping sends data, which the device must send back unchanged.
func (c *Channel) Ping(ctx context.Context, data []byte) error {
	answer, err := c.transact(ctx, CommandPing, data, nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(answer, data) {
		return fmt.Errorf("ctaphid: PING: %w: other data came back", ErrProtocol)
	}
	return nil
}

// Wink makes the device show itself, by a blinking light for example, if it has [CapabilityWink].
func (c *Channel) Wink(ctx context.Context) error {
	_, err := c.transact(ctx, CommandWink, nil, nil)
	return err
}

// MaxLock is the longest time that a device can be locked.
const MaxLock = 10 * time.Second

// Lock keeps other channels off the device for up to [MaxLock], in whole seconds; zero unlocks it. Not all devices know
// the command.
func (c *Channel) Lock(ctx context.Context, d time.Duration) error {
	if d < 0 || d > MaxLock {
		return fmt.Errorf("ctaphid: LOCK: %v is not between 0 and %v", d, MaxLock)
	}
	seconds := (d + time.Second - 1) / time.Second
	_, err := c.transact(ctx, CommandLock, []byte{byte(seconds)}, nil)
	return err
}

// Vendor runs a command of the device's maker, 0x40 to 0x7f, whose request and answer mean what the maker says.
func (c *Channel) Vendor(ctx context.Context, cmd Command, request []byte) ([]byte, error) {
	if cmd < vendorFirst || cmd > vendorLast {
		return nil, fmt.Errorf("ctaphid: %v is no vendor command", cmd)
	}
	return c.transact(ctx, cmd, request, nil)
}

const vendorFirst, vendorLast Command = 0x40, 0x7f
