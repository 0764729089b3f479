package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
)

// The kinds of questions.
const (
	askPIN     = "pin"
	askNewPIN  = "newPin"
	askAccount = "account"
)

// questionMessage asks the parent, who answers it with the same number.
type questionMessage struct {
	Type     string `json:"type"`
	ID       string `json:"id"`
	Question int    `json:"question"`
	Ask      string `json:"ask"`
	Key      key    `json:"key"`

	Reason    string    `json:"reason,omitempty"`
	Retries   *int      `json:"retries,omitempty"`
	MinLength int       `json:"minLength,omitempty"`
	MaxLength int       `json:"maxLength,omitempty"`
	Policy    bool      `json:"policy,omitempty"`
	PolicyURL string    `json:"policyUrl,omitempty"`
	RPID      string    `json:"rpId,omitempty"`
	Accounts  []account `json:"accounts,omitempty"`
}

type account struct {
	ID          base64url `json:"id"`
	Name        string    `json:"name"`
	DisplayName string    `json:"displayName"`
}

var pinReasons = [...]string{
	authenticator.PINNeeded:      "needed",
	authenticator.PINInvalid:     "invalid",
	authenticator.PINRepeated:    "repeated",
	authenticator.PINTooShort:    "tooShort",
	authenticator.PINTooLong:     "tooLong",
	authenticator.PINInsteadOfUV: "insteadOfUV",
}

var newPINReasons = [...]string{
	authenticator.NewPINNotSet:   "notSet",
	authenticator.NewPINForced:   "forced",
	authenticator.NewPINRejected: "rejected",
	authenticator.NewPINTooShort: "tooShort",
	authenticator.NewPINTooLong:  "tooLong",
}

func (r *request) askPIN(ctx context.Context, req *authenticator.PINRequest) (pin []byte, err error) {
	q := questionMessage{Key: keyOf(req.Key), Reason: pinReasons[req.Reason], MinLength: req.MinLength}
	if left, err := req.Retries(ctx); err == nil {
		q.Retries = &left
	}
	err = r.ask(ctx, askPIN, q, takePIN(&pin))
	return pin, err
}

func (r *request) askNewPIN(ctx context.Context, req *authenticator.NewPINRequest) (pin []byte, err error) {
	err = r.ask(ctx, askNewPIN, questionMessage{
		Key: keyOf(req.Key), Reason: newPINReasons[req.Reason],
		MinLength: req.MinLength, MaxLength: req.MaxLength, Policy: req.Policy, PolicyURL: req.PolicyURL,
	}, takePIN(&pin))
	return pin, err
}

func (r *request) askAccount(ctx context.Context, req *authenticator.AccountRequest) (n int, err error) {
	q := questionMessage{Key: keyOf(req.Key), RPID: req.RPID}
	for _, user := range req.Accounts {
		q.Accounts = append(q.Accounts, account{user.ID, user.Name, user.DisplayName})
	}
	err = r.ask(ctx, askAccount, q, func(value json.RawMessage) error {
		if json.Unmarshal(value, &n) != nil {
			return errors.New("not an integer")
		}
		if n < 0 || n >= len(q.Accounts) {
			return fmt.Errorf("%d, want 0 to %d", n, len(q.Accounts)-1)
		}
		return nil
	})
	return n, err
}
