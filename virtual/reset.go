package virtual

import (
	"context"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// reset is authenticatorReset, section 6.6. The attestation key stays: it is of the make, not of the user.
func (a *Authenticator) reset(ctx context.Context, c *call, _ []byte) (any, error) {
	window := a.config.Reset.Window
	if window > 0 && time.Since(a.volatile.poweredAt) >= window {
		return nil, ctap2.ErrNotAllowed
	}
	if err := a.touch(ctx, c, ""); err != nil {
		return nil, err
	}
	fresh := newState(&a.config)
	fresh.Attestation = a.state.Attestation
	if err := a.update(func(s *state) { *s = *fresh }); err != nil {
		return nil, err
	}
	poweredAt := a.volatile.poweredAt
	a.powerUp()
	a.volatile.poweredAt = poweredAt
	return nil, nil
}

// selection is authenticatorSelection, section 6.9.
func (a *Authenticator) selection(ctx context.Context, c *call, _ []byte) (any, error) {
	return nil, a.touch(ctx, c, "")
}
