package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// enrollTimeout is longer than that of other commands: the user has much to do.
const enrollTimeout = 5 * time.Minute

// enrollment teaches a key a finger.
type enrollment struct {
	*invocation
	name  string
	named bool // the command line has a name
	total int  // samples that the key wants, as far as is known
}

func fingerprintsEnrollCommand(inv *invocation) *cobra.Command {
	e := &enrollment{invocation: inv}
	cmd := &cobra.Command{
		Use:     "enroll",
		Short:   "Teach a key a finger.",
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return e.check(cmd) },
		RunE:    inv.withKey(e.perform),
	}
	inv.forPIN(cmd)
	cmd.Flags().StringVar(&e.name, "name", "", "call the finger `NAME`")
	cmd.Flags().Lookup("timeout").DefValue = enrollTimeout.String()
	return cmd
}

func (e *enrollment) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("timeout") {
		e.timeout = enrollTimeout
	}
	if e.named = cmd.Flags().Changed("name"); e.named {
		return checkFingerName(e.name)
	}
	return nil
}

func (e *enrollment) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	sensor, err := key.FingerprintSensor(ctx)
	if err != nil {
		return nil, err
	}
	if err := fitName(sensor, e.name); err != nil {
		return nil, err
	}
	if err := key.VerifyUser(ctx, ctap2.PermissionBioEnrollment); err != nil { // now, not amid the instructions
		return nil, err
	}
	e.total = samplesOf(sensor)
	e.display.say("%s", e.instruction(sensor.Kind))
	id, err := key.EnrollFingerprint(ctx, e.sampled)
	switch {
	case authenticator.KindOf(err) == authenticator.KindStoreFull:
		return nil, failuref(exitError, `make room with "keyfob fingerprints remove"`, "%w", err)
	case err != nil:
		return nil, err
	}
	return e.enrolled(ctx, key, id)
}

func (e *enrollment) instruction(kind uint64) string {
	how := "Lay the same finger on the sensor, a little differently each time"
	if kind == ctap2.SensorSwipe {
		how = "Draw the same finger over the sensor"
	}
	return fmt.Sprintf("%s, until the key has %s.", how, count(e.total, "good sample"))
}

// sampled tells what the key thinks of a sample. It may want more than it said at first.
func (e *enrollment) sampled(s ctap2.Sample) {
	left := int(min(s.Remaining, mostSamples))
	e.total = max(e.total, left)
	e.display.progress(e.total-left, e.total)
	if s.Status != ctap2.SampleGood {
		e.display.say("That one does not count: %v.", s.Status)
	}
}

// enrolled names the finger. It is known from here on, whatever becomes of the name.
func (e *enrollment) enrolled(
	ctx context.Context, key *authenticator.Authenticator, id []byte,
) (output, error) {
	f := finger{ID: id}
	if !e.named {
		return fingerRecord(f), nil
	}
	if err := key.RenameFingerprint(ctx, id, e.name); err != nil {
		return fingerRecord(f), fmt.Errorf("the finger is enrolled, but has no name: %w", err)
	}
	f.FriendlyName = e.name
	return fingerRecord(f), nil
}
