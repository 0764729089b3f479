package authenticator

import (
	"context"
	"errors"
	"net/url"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// NewPINRequest says why a new PIN is asked for, and what the key wants of it. Lengths are in characters (Unicode code
// points), counted in normalization form C, to which the answer is brought; it has 63 bytes at most.
type NewPINRequest struct {
	Key       hid.Info
	Reason    NewPINReason
	MinLength int
	MaxLength int

	// Policy says that the key enforces rules beyond the length, which it does not tell: PolicyURL may, an http or https
	// address where people can read them. It comes from the key, so do not trust it. It may be empty.
	Policy    bool
	PolicyURL string
}

// NewPINReason is why a new PIN is asked for.
type NewPINReason int

// The reasons.
const (
	NewPINNotSet   NewPINReason = iota // the key has none, and wants one for what is asked of it
	NewPINForced                       // the key wants the PIN changed before it does anything else
	NewPINRejected                     // the one before is against the key's policy
	NewPINTooShort                     // so was the one before; it was not sent
	NewPINTooLong                      // or no text
)

// newPINRequest asks for what the key says of itself.
func (a *Authenticator) newPINRequest(reason NewPINReason) *NewPINRequest {
	info := a.Info()
	return &NewPINRequest{
		Key:       a.key,
		Reason:    reason,
		MinLength: int(info.MinPINLength),
		MaxLength: int(info.MaxPINLength),
		Policy:    info.PINComplexityPolicy != nil && *info.PINComplexityPolicy,
		PolicyURL: webAddress(info.PINComplexityPolicyURL),
	}
}

// webAddress returns what may be shown of the address, which may be anything: nothing, unless it is one.
func webAddress(address []byte) string {
	u, err := url.Parse(string(address))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

const maxNewPINAnswers = 5 // that the key does not take, in a row

// choosePIN asks for a new PIN until the key takes the one that send sends, and returns it for the caller to clear. There
// must be somebody to ask.
func (a *Authenticator) choosePIN(ctx context.Context, reason NewPINReason, send func(pin []byte) error) ([]byte, error) {
	req := a.newPINRequest(reason)
	var last error
	for range maxNewPINAnswers {
		answer, err := a.ui.NewPIN(ctx, req)
		pin, err := taken(ctx, answer, err)
		if err != nil {
			return nil, err
		}
		if last = checkPIN(pin, req.MinLength, req.MaxLength); last == nil {
			last = send(pin)
		}
		if last == nil {
			return pin, nil
		}
		clear(pin)
		if !errors.Is(last, ctap2.ErrPINPolicyViolation) {
			return nil, last
		}
		req.Reason = newPINReason(last)
	}
	return nil, last
}

func newPINReason(err error) NewPINReason {
	switch {
	case errors.Is(err, errPINTooShort):
		return NewPINTooShort
	case errors.Is(err, errPINTooLong), errors.Is(err, errPINText):
		return NewPINTooLong
	}
	return NewPINRejected
}
