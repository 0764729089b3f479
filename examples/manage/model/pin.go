package model

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/keyfob-go/keyfob/authenticator"
)

// SetPIN gives the key its first PIN, or changes the one that it has.
func (d *Desk) SetPIN() {
	d.manage(task{name: "Setting the PIN", done: "The PIN is set.", run: func(ctx context.Context) error {
		info := d.key.Info()
		wanted := &authenticator.NewPINRequest{
			Key: d.key.Key(), MinLength: int(min(info.MinPINLength, 63)), MaxLength: int(min(info.MaxPINLength, 63)),
		}
		if set, _ := info.Option("clientPin"); set {
			return d.changePIN(ctx, wanted)
		}
		pin, err := d.askNewPIN(ctx, wanted)
		if err != nil {
			return err
		}
		defer clear(pin)
		return d.key.SetPIN(ctx, pin)
	}})
}

func (d *Desk) changePIN(ctx context.Context, wanted *authenticator.NewPINRequest) error {
	left, _, err := d.key.PINRetries(ctx)
	if err != nil {
		return err
	}
	old, err := d.ask(ctx, &Question{
		Kind: AskSecret, Title: "Present PIN of " + d.keyName(), Detail: retries(left) + " left.",
	})
	if err != nil {
		return err
	}
	defer clear(old)
	pin, err := d.askNewPIN(ctx, wanted)
	if err != nil {
		return err
	}
	defer clear(pin)
	return d.key.ChangePIN(ctx, old, pin)
}

// askPIN is the PIN callback of the key's UI.
func (d *Desk) askPIN(ctx context.Context, r *authenticator.PINRequest) ([]byte, error) {
	q := &Question{Kind: AskSecret, Title: "PIN of " + d.keyName()}
	if left, err := r.Retries(ctx); err == nil {
		q.Detail = retries(left) + " left."
	}
	switch r.Reason {
	case authenticator.PINInvalid:
		q.Complaint = "Wrong PIN."
	case authenticator.PINRepeated:
		q.Complaint = "The key has rejected that PIN already."
	case authenticator.PINTooShort:
		q.Complaint = fmt.Sprintf("A PIN has at least %d characters.", r.MinLength)
	case authenticator.PINTooLong:
		q.Complaint = "A PIN is text of at most 63 bytes."
	case authenticator.PINInsteadOfUV:
		q.Complaint = "The key did not recognize you."
	}
	return d.ask(ctx, q)
}

// askNewPIN is the NewPIN callback of the key's UI. It asks until the PIN was typed the same way twice.
func (d *Desk) askNewPIN(ctx context.Context, r *authenticator.NewPINRequest) ([]byte, error) {
	q := Question{
		Kind: AskSecret, Title: "New PIN of " + d.keyName(), Detail: fmt.Sprintf("At least %d characters.", r.MinLength),
	}
	if r.Policy {
		q.Detail += " The key refuses simple ones."
	}
	switch r.Reason {
	case authenticator.NewPINForced:
		q.Complaint = "The key wants its PIN changed first."
	case authenticator.NewPINRejected:
		q.Complaint = "The key refuses that PIN."
	case authenticator.NewPINTooShort:
		q.Complaint = "That was too short."
	case authenticator.NewPINTooLong:
		q.Complaint = fmt.Sprintf("A PIN is text of at most %d characters and 63 bytes.", r.MaxLength)
	}
	for {
		pin, complaint, err := d.askTwice(ctx, q, r.MinLength)
		if err != nil || complaint == "" {
			return pin, err
		}
		q.Complaint = complaint
	}
}

// askTwice asks for a new PIN and for the same again, or returns what is wrong with it. What else the key wants of a PIN
// it says itself.
func (d *Desk) askTwice(ctx context.Context, q Question, least int) (pin []byte, complaint string, err error) {
	first, err := d.ask(ctx, &q)
	if err != nil {
		return nil, "", err
	}
	if utf8.RuneCount(first) < least {
		clear(first)
		return nil, "That was too short.", nil
	}
	second, err := d.ask(ctx, &Question{Kind: AskSecret, Title: "The new PIN again"})
	defer clear(second)
	if err != nil || !bytes.Equal(first, second) {
		clear(first)
		return nil, "They differ.", err
	}
	return first, "", nil
}

// PINState says in words how it stands with the PIN.
func (o *Open) PINState() string {
	switch {
	case !o.Can("clientPin"):
		return "not supported"
	case !o.PINSet:
		return "not set"
	case o.PINRetries == 0:
		return "blocked: only a reset helps"
	case o.PINLocked:
		return "locked until plugged in again"
	case o.Info.ForcePINChange:
		return "must be changed"
	case o.PINRetries > 0:
		return fmt.Sprintf("set, %s left", retries(o.PINRetries))
	}
	return "set"
}
