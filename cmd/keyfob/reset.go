package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func defineReset(f *flags) action {
	f.forKey()
	yes := f.Bool("yes", false, "do not ask whether that is meant")
	return withKey(func(ctx context.Context, inv *invocation, key *authenticator.Authenticator) (output, error) {
		if !*yes {
			if err := inv.confirmReset(ctx, key); err != nil {
				return nil, err
			}
		}
		err := key.Reset(ctx)
		if errors.Is(err, ctap2.ErrNotAllowed) {
			return nil, failuref(exitError,
				`unplug the key, plug it in again, and within ten seconds run "keyfob reset --yes"`, "%w", err)
		}
		if err != nil {
			return nil, err
		}
		return inv.done("The key is as good as new.")
	})
}

// confirmReset makes the user type that everything on the key may go.
func (inv *invocation) confirmReset(ctx context.Context, key *authenticator.Authenticator) error {
	question := fmt.Sprintf("This destroys every credential on %s, %sand all its settings, for ever.\n"+
		"Whatever it opens stays locked. Type yes to go on: ", inv.nameOf(key.Key()), itsPIN(key.Info()))
	answer, err := inv.line(ctx, question)
	switch {
	case errors.Is(err, errNoTerminal):
		return usageError("without a terminal to ask on, reset wants --yes")
	case err != nil:
		return err
	case string(answer) != "yes":
		return failuref(exitCancelled, "", "nothing was reset")
	}
	return nil
}

func itsPIN(info *ctap2.Info) string {
	if set, _ := info.Option("clientPin"); set {
		return "its PIN "
	}
	return ""
}
