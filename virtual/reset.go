package virtual

import (
	"context"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// reset is authenticatorReset, section 6.6. The attestation key stays: it is of the make, not of the user.
func (a *Authenticator) reset(ctx context.Context, c *call, _ []byte) (any, error) {
	if !a.mayReset() {
		return nil, ctap2.ErrNotAllowed
	}
	if err := a.touchFor(ctx, c, Prompt{Command: c.command, Long: a.longTouchForReset()}); err != nil {
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

// mayReset reports whether this is the time and the place for it.
func (a *Authenticator) mayReset() bool {
	r := a.config.Reset
	inTime := r.Window == 0 || time.Since(a.volatile.poweredAt) < r.Window
	return inTime && (r.Transports == nil || slices.Contains(r.Transports, transport))
}

func (a *Authenticator) longTouchForReset() bool {
	return a.config.Reset.LongTouch || a.state.Settings.LongTouchForReset
}

// selection is authenticatorSelection, section 6.9.
func (a *Authenticator) selection(ctx context.Context, c *call, _ []byte) (any, error) {
	return nil, a.touch(ctx, c, "")
}
