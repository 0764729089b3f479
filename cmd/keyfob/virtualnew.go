package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/virtual"
)

// creation is what the command line of "virtual new" says.
type creation struct {
	preset virtual.Preset
	file   string
}

func virtualNewCommand(inv *invocation) *cobra.Command {
	c := &creation{}
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a virtual key, and keep it in a file.",
		Long: "Make a virtual key, and keep it in a file, for \"keyfob virtual serve --state FILE\", or for --device virtual\n" +
			"with FILE in the environment as KEYFOB_VIRTUAL_STATE. With a PIN, if one is given.",
		Args: cobra.ExactArgs(1),
		PreRunE: func(_ *cobra.Command, args []string) error {
			c.file = args[0]
			if c.file == "" { // a key without a file would be forgotten at once
				return usageError("FILE is empty")
			}
			return nil
		},
		RunE: inv.run(func(ctx context.Context) (output, error) { return c.create(ctx, inv) }),
	}
	c.preset = defaultPreset
	presetVar(cmd, &c.preset)
	inv.forGivenPIN(cmd)
	return cmd
}

const defaultPreset = virtual.Preset21

// presetVar adds the flag that names a class of keys.
func presetVar(cmd *cobra.Command, p *virtual.Preset) {
	names := make([]string, len(virtual.Presets()))
	for i, preset := range virtual.Presets() {
		names[i] = string(preset)
	}
	cmd.Flags().Func("preset", "be a key of the class `NAME`: "+strings.Join(names, ", "), func(value string) error {
		if !slices.Contains(names, value) {
			return fmt.Errorf("not one of %s", strings.Join(names, ", "))
		}
		*p = virtual.Preset(value)
		return nil
	})
	cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func (c *creation) create(ctx context.Context, inv *invocation) (output, error) {
	config := c.preset.Config()
	config.StateFile = c.file
	switch _, err := os.Lstat(c.file); {
	case err == nil:
		return nil, failuref(exitError, "name a file that is not there yet", "%s is there already", c.file)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, failuref(exitError, "name another file", "%w", err)
	}
	if inv.pinGiven() {
		lines, err := inv.givenPINs(ctx, 1)
		if err != nil {
			return nil, err
		}
		defer clear(lines[0])
		config.PIN.Initial = lines[0]
	}
	key, err := virtual.New(config)
	if err != nil {
		return nil, failuref(exitError, "", "%w", err)
	}
	return record{{"preset", string(c.preset)}, {"stateFile", c.file}, {"clientPin", inv.pinGiven()}}, key.Close()
}

// savedConfig is that of the key in a file, which a command line may repeat but not contradict. Without a file, or without
// a class in it, it is what the command line wants, and that may be none.
func savedConfig(stateFile string, wanted virtual.Preset) (virtual.Config, error) {
	saved, err := virtual.Preset(""), error(nil)
	if stateFile != "" {
		saved, err = virtual.PresetOf(stateFile)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return virtual.Config{}, err
	}
	if saved != "" && wanted != "" && saved != wanted {
		return virtual.Config{}, fmt.Errorf("the key in %s is of the class %s, not %s", stateFile, saved, wanted)
	}
	c := virtual.Config{}
	if preset := cmp.Or(saved, wanted); preset != "" {
		c = preset.Config()
	}
	c.StateFile = stateFile
	return c, nil
}
