package virtual

import (
	"context"
	"slices"
	"time"
)

// fingerprint is a finger that the key knows: a template.
type fingerprint struct {
	ID     []byte `json:"id"`
	Finger string `json:"finger"`         // as Config.Finger names it
	Name   string `json:"name,omitempty"` // that the user gave it
}

const templateIDSize = 4

// scan waits for a finger on the reader.
func (a *Authenticator) scan(ctx context.Context, c *call, p Prompt, timeout time.Duration) (s Sample, err error) {
	err = a.askFor(ctx, c, p, timeout, func(ctx context.Context, p Prompt) (err error) {
		s, err = a.config.Finger(ctx, p)
		return err
	})
	return s, err
}

// matches reports whether the sample is one of an enrolled finger.
func (s *state) matches(sample Sample) bool {
	return sample.Status == 0 && slices.ContainsFunc(s.Fingerprints, func(f *fingerprint) bool {
		return f.Finger == sample.Finger
	})
}
