package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func resetCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Destroy all credentials, the PIN and the settings of a key.",
		Args:  cobra.NoArgs,
		RunE:  inv.withKey(inv.reset),
	}
	inv.forKey(cmd)
	inv.forDestruction(cmd)
	return cmd
}

func (inv *invocation) reset(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	loss := fmt.Sprintf("This destroys every credential on %s, %sand all its settings, for ever.\n"+
		"Whatever it opens stays locked.", inv.nameOf(key.Key()), itsPIN(key.Info()))
	if err := inv.confirm(ctx, loss, "nothing was reset"); err != nil {
		return nil, err
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
}

func itsPIN(info *ctap2.Info) string {
	if set, _ := info.Option("clientPin"); set {
		return "its PIN "
	}
	return ""
}
