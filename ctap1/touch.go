package ctap1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// pollInterval is how long a key is left alone that waits for a touch. Half of it is what the user waits on
	// average after the touch.
	pollInterval = 100 * time.Millisecond

	// touchTimeout ends the polling where the context does not. Keys give up waiting on their own, but no key of U2F
	// ever says so.
	touchTimeout = 5 * time.Minute

	// upNeeded is the status that CTAPHID_KEEPALIVE has for the same thing (CTAP 2.3, section 11.2.9.2.2).
	upNeeded = 2
)

// Touch waits until the user touches the key, as [Client.Register] does: the selection command of keys that have none.
//
// The registration that it makes for this purpose is thrown away. It has the application and the challenge that
// Chromium uses, by which keys with a display recognize that it is only for the touch.
func (c *Client) Touch(ctx context.Context) error {
	challenge, application := [32]byte(bytes.Repeat([]byte("B"), 32)), [32]byte(bytes.Repeat([]byte("A"), 32))
	if _, err := c.untilTouched(ctx, registerCommand(challenge, application)); err != nil {
		return fmt.Errorf("ctap1: touch: %w", err)
	}
	return nil
}

// untilTouched repeats cmd while the key answers that it needs a touch: U2F has no other way to wait.
func (c *Client) untilTouched(ctx context.Context, cmd command) ([]byte, error) {
	data, err := c.send(ctx, cmd)
	if !errors.Is(err, ErrConditionsNotSatisfied) {
		return data, err
	}
	if c.Keepalive != nil {
		c.Keepalive(upNeeded)
	}
	for end := time.Now().Add(touchTimeout); errors.Is(err, ErrConditionsNotSatisfied) && time.Now().Before(end); {
		if err := pause(ctx); err != nil {
			return nil, err
		}
		data, err = c.send(ctx, cmd)
	}
	return data, err
}

// pause waits for the time of the next poll.
func pause(ctx context.Context) error {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
