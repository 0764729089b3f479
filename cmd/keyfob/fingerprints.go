package main

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func fingerprintsCommand(inv *invocation) *cobra.Command {
	return family("fingerprints", "See and change the fingers that a key knows.",
		fingerprintsListCommand(inv), fingerprintsEnrollCommand(inv), fingerprintsRenameCommand(inv),
		fingerprintsRemoveCommand(inv))
}

// finger is one that a key knows.
type finger ctap2.TemplateInfo

func (f finger) identity() binary { return f.ID }

// String returns the finger's name in quotes, which keep it from looking like the rest, and its ID.
func (f finger) String() string {
	if f.FriendlyName == "" {
		return fmt.Sprintf("without a name (%v)", f.identity())
	}
	return fmt.Sprintf("%q (%v)", cut(printable(f.FriendlyName), maxNameColumns), f.identity())
}

func readFingers(ctx context.Context, key *authenticator.Authenticator) ([]finger, error) {
	templates, err := key.Fingerprints(ctx)
	if err != nil {
		return nil, err
	}
	fingers := make([]finger, len(templates))
	for i, t := range templates {
		fingers[i] = finger(t)
	}
	return fingers, nil
}

func pickFinger(all []finger, meant string) (finger, error) {
	return pick(all, meant, "finger", "keyfob fingerprints list")
}

func fingerprintsListCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the fingers that a key knows, and describe its sensor.",
		Args:  cobra.NoArgs,
		RunE:  inv.withKey(inv.listFingers),
	}
	inv.forPIN(cmd)
	return cmd
}

func (inv *invocation) listFingers(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	sensor, err := key.FingerprintSensor(ctx)
	if err != nil {
		return nil, err
	}
	fingers, err := readFingers(ctx, key)
	if err != nil {
		return nil, err
	}
	inv.display.say("%s; the key has a %v sensor, which wants %s of each",
		count(len(fingers), "finger"), sensorKind(sensor.Kind), count(samplesOf(sensor), "sample"))
	t := table{columns: []column{wholeMember("ID", "templateId"), member("NAME", "name")}}
	for _, f := range fingers {
		t.rows = append(t.rows, fingerRecord(f))
	}
	return listing{about: record{{"sensor", sensorRecord(sensor)}}, name: "fingerprints", table: t}, nil
}

func fingerRecord(f finger) record {
	return record{{"templateId", f.identity()}, {"name", nonzero(f.FriendlyName)}}
}

func sensorRecord(s *ctap2.SensorInfo) record {
	return record{
		{"kind", sensorKind(s.Kind).String()},
		{"maxCaptureSamples", s.MaxCaptureSamples},
		{"maxNameLength", nonzero(s.MaxTemplateFriendlyName)},
	}
}

// sensorKind says how a sensor wants to be used.
type sensorKind uint64

func (k sensorKind) String() string {
	switch k {
	case ctap2.SensorTouch:
		return "touch"
	case ctap2.SensorSwipe:
		return "swipe"
	}
	return fmt.Sprintf("kind-%d", uint64(k))
}

const mostSamples = 1000 // that a sensor is believed to want

func samplesOf(s *ctap2.SensorInfo) int { return int(min(s.MaxCaptureSamples, mostSamples)) }

// checkFingerName finds out whether a name can be that of a finger.
func checkFingerName(name string) error {
	switch {
	case name == "":
		return usageError("the name is empty")
	case !utf8.ValidString(name):
		return usageError("the name is not UTF-8")
	}
	return nil
}

// fitName finds out whether a sensor can keep a name.
func fitName(s *ctap2.SensorInfo, name string) error {
	room := s.MaxTemplateFriendlyName
	if room == 0 || uint64(len(name)) <= room {
		return nil
	}
	return failuref(exitUsage, "choose a shorter one", "the name has %d bytes, and the key takes %d", len(name), room)
}

func fingerprintsRenameCommand(inv *invocation) *cobra.Command {
	var meant, name string
	cmd := &cobra.Command{
		Use:   "rename ID NAME",
		Short: "Give a finger a name.",
		PreRunE: func(_ *cobra.Command, args []string) error {
			name = args[1]
			return checkFingerName(name)
		},
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			return inv.renameFinger(ctx, key, meant, name)
		}),
	}
	wantsID(cmd, &meant, cobra.ExactArgs(2))
	inv.forPIN(cmd)
	return cmd
}

func (inv *invocation) renameFinger(
	ctx context.Context, key *authenticator.Authenticator, meant, name string,
) (output, error) {
	sensor, err := key.FingerprintSensor(ctx)
	if err != nil {
		return nil, err
	}
	if err := fitName(sensor, name); err != nil {
		return nil, err
	}
	all, err := readFingers(ctx, key)
	if err != nil {
		return nil, err
	}
	f, err := pickFinger(all, meant)
	if err != nil {
		return nil, err
	}
	if err := key.RenameFingerprint(ctx, f.ID, name); err != nil {
		return nil, err
	}
	return inv.done("The finger is renamed.")
}

func fingerprintsRemoveCommand(inv *invocation) *cobra.Command {
	var meant string
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Make a key forget a finger.",
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			return inv.removeFinger(ctx, key, meant)
		}),
	}
	wantsID(cmd, &meant, cobra.ExactArgs(1))
	inv.forPIN(cmd)
	inv.forDestruction(cmd)
	return cmd
}

func (inv *invocation) removeFinger(
	ctx context.Context, key *authenticator.Authenticator, meant string,
) (output, error) {
	all, err := readFingers(ctx, key)
	if err != nil {
		return nil, err
	}
	f, err := pickFinger(all, meant)
	if err != nil {
		return nil, err
	}
	loss := fmt.Sprintf("This makes %s forget the finger %v.", inv.nameOf(key.Key()), f)
	if len(all) == 1 {
		loss += "\nIt is the only one: the key will want its PIN instead."
	}
	if err := inv.confirm(ctx, loss, "nothing was removed"); err != nil {
		return nil, err
	}
	if err := key.RemoveFingerprint(ctx, f.ID); err != nil {
		return nil, err
	}
	return inv.done("The finger is forgotten.")
}
