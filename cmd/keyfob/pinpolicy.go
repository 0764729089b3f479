package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
)

func pinMinLengthCommand(inv *invocation) *cobra.Command {
	o := &authenticator.MinPINLengthOptions{}
	cmd := &cobra.Command{
		Use:   "min-length CHARACTERS",
		Short: "Make a key want longer PINs, until it is reset.",
		Long: "Make a key want longer PINs, until it is reset: the length can only grow. A PIN that is too short by then\n" +
			"must be changed before it is good for anything else.",
		Args:    cobra.ExactArgs(1),
		PreRunE: func(_ *cobra.Command, args []string) (err error) { return setPINLength(o, args[0]) },
		RunE:    inv.withPINPolicy(o),
	}
	inv.forPIN(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&o.RPIDs, "rp", nil, "let the relying party `ID` ask for the length; may be repeated, and replaces those before")
	f.BoolVar(&o.PINComplexityPolicy, "complexity", false, "make the key refuse simple PINs, too")
	return cmd
}

func setPINLength(o *authenticator.MinPINLengthOptions, text string) error {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return usageError(fmt.Sprintf("%q is no number of characters", text))
	}
	o.MinPINLength = int(n)
	return nil
}

func pinForceChangeCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "force-change",
		Short: "Make a key want another PIN before it does anything else.",
		Args:  cobra.NoArgs,
		RunE:  inv.withPINPolicy(&authenticator.MinPINLengthOptions{ForcePINChange: true}),
	}
	inv.forPIN(cmd)
	return cmd
}

// withPINPolicy is the RunE of a command that changes which PINs a key takes.
func (inv *invocation) withPINPolicy(o *authenticator.MinPINLengthOptions) func(*cobra.Command, []string) error {
	return inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
		if err := key.SetMinPINLength(ctx, o); err != nil {
			return nil, err
		}
		info := key.Info()
		return record{{"minPINLength", info.MinPINLength}, {"forcePINChange", info.ForcePINChange}}, nil
	})
}
