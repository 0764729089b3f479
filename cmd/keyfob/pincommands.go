package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func pinCommand(inv *invocation) *cobra.Command {
	return family("pin", "Set or change the PIN of a key, or see how it stands.",
		pinSetCommand(inv), pinChangeCommand(inv), pinRetriesCommand(inv),
		pinMinLengthCommand(inv), pinForceChangeCommand(inv))
}

func pinSetCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set the first PIN of a key.",
		Args:  cobra.NoArgs,
		RunE:  inv.withKey(inv.setPIN),
	}
	inv.forPIN(cmd)
	return cmd
}

var errNoPINs = fmt.Errorf("%w: it cannot have a PIN", authenticator.ErrUnsupported)

func (inv *invocation) setPIN(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	if set, _ := key.Info().Option("clientPin"); set {
		return nil, failuref(exitError, `use "keyfob pin change"`, "the key has a PIN already")
	}
	pin, err := inv.firstPIN(ctx, key)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	if err := key.SetPIN(ctx, pin); err != nil {
		return nil, err
	}
	return inv.done("The PIN is set.")
}

func (inv *invocation) firstPIN(ctx context.Context, key *authenticator.Authenticator) ([]byte, error) {
	info := key.Info()
	if _, supported := info.Option("clientPin"); !supported {
		return nil, errNoPINs
	}
	if !inv.pinGiven() {
		return inv.newPIN(ctx, info.MinPINLength)
	}
	lines, err := inv.givenPINs(ctx, 1)
	if err != nil {
		return nil, err
	}
	return lines[0], nil
}

func pinChangeCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "change",
		Short: "Change the PIN of a key.",
		Args:  cobra.NoArgs,
		RunE:  inv.withKey(inv.changePIN),
	}
	inv.forPIN(cmd)
	return cmd
}

func (inv *invocation) changePIN(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	switch set, supported := key.Info().Option("clientPin"); {
	case !supported:
		return nil, errNoPINs
	case !set:
		return nil, ctap2.ErrPINNotSet
	}
	current, next, err := inv.currentAndNewPIN(ctx, key)
	if err != nil {
		return nil, err
	}
	defer clear(current)
	defer clear(next)
	if err := key.ChangePIN(ctx, current, next); err != nil {
		return nil, err
	}
	return inv.done("The PIN is changed.")
}

func (inv *invocation) currentAndNewPIN(
	ctx context.Context, key *authenticator.Authenticator,
) (current, next []byte, err error) {
	if inv.pinGiven() {
		lines, err := inv.givenPINs(ctx, 2)
		if err != nil {
			return nil, nil, err
		}
		return lines[0], lines[1], nil
	}
	left, powerCycle, err := key.PINRetries(ctx)
	if err != nil {
		return nil, nil, err
	}
	if powerCycle || left == 0 { // nothing that is typed now could be right
		return nil, nil, &authenticator.PINError{Status: ctap2.ErrPINAuthBlocked, Retries: left, PowerCycle: powerCycle}
	}
	current, err = inv.askSecret(ctx, fmt.Sprintf("Current PIN of %s %s: ", inv.nameOf(key.Key()), retriesLeft(left)))
	if err != nil {
		return nil, nil, err
	}
	next, err = inv.newPIN(ctx, key.Info().MinPINLength)
	if err != nil {
		clear(current)
		return nil, nil, err
	}
	return current, next, nil
}

func pinRetriesCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retries",
		Short: "Show how many wrong PINs a key still accepts.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			left, powerCycle, err := key.PINRetries(ctx)
			if err != nil {
				return nil, err
			}
			return record{{"pinRetries", left}, {"powerCycleState", powerCycle}}, nil
		}),
	}
	inv.forKey(cmd)
	return cmd
}

// done is the end of a command that has no result but being done.
func (inv *invocation) done(message string) (output, error) {
	inv.display.say("%s", message)
	return record{}, nil
}
