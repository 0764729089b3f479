package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/hid"
)

// system is what a command finds around it.
type system struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	list           func() ([]hid.Info, error)
	survey         func() site
	terminal       func() (*os.File, error) // where the user can be asked; an error if nowhere
}

// invocation is one run of keyfob.
type invocation struct {
	system
	settings
	display *display // standard error

	began  bool     // the command line is in order, and the command at work
	opened hid.Info // what the system says about the key, where the authenticator does not know it
}

func newInvocation(sys system) *invocation {
	inv := &invocation{system: sys, settings: settings{pinFD: noPINFD}, display: newDisplay(sys.stderr)}
	inv.stderr = inv.display
	return inv
}

// run runs keyfob and returns its exit status.
func run(ctx context.Context, args []string, sys system) int {
	inv := newInvocation(sys)
	root := rootCommand(inv)
	root.SetArgs(append([]string{}, withoutDashes(root, forBrowser(args))...)) // for nil, cobra would take those of the process
	cmd, err := root.ExecuteContextC(ctx)
	inv.display.clear()
	var usage usageError
	var file *fs.PathError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), !inv.began && !errors.As(err, &file): // cobra has no type for the errors that it finds
		return wrongUsage(inv.display, cmd, err)
	}
	return fail(inv.display, err)
}

// The groups of commands in the overview.
const (
	keyGroup        = "key"
	credentialGroup = "credential"
	programGroup    = "program"
	topicGroup      = "topic"
)

func init() { cobra.EnableCommandSorting = false } // they stand in the order in which people need them

// more are commands that are only there with a build tag.
var more []func(*invocation) *cobra.Command

func rootCommand(inv *invocation) *cobra.Command {
	root := &cobra.Command{
		Use:               "keyfob COMMAND",
		Short:             "Talk to FIDO2 security keys.",
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return inv.checkSettings(cmd) },
		RunE:              wantsCommand,
	}
	root.SetIn(inv.stdin)
	root.SetOut(inv.stdout)
	root.SetErr(inv.stderr)
	root.SetUsageFunc(inv.usage)
	root.SetHelpFunc(inv.help)
	root.SetHelpCommand(helpCommand())
	inv.forAll(root)
	root.Flags().Bool("version", false, "show the version of keyfob")
	addCommands(root, inv)
	return root
}

func addCommands(root *cobra.Command, inv *invocation) {
	root.AddGroup(
		&cobra.Group{ID: keyGroup, Title: "keys"},
		&cobra.Group{ID: credentialGroup, Title: "credentials"},
		&cobra.Group{ID: programGroup, Title: "for other programs"},
		&cobra.Group{ID: topicGroup, Title: "to read"},
	)
	add(root, keyGroup, listCommand(inv), doctorCommand(inv), infoCommand(inv), pinCommand(inv),
		fingerprintsCommand(inv), configCommand(inv), resetCommand(inv), winkCommand(inv), pingCommand(inv))
	add(root, credentialGroup, registerCommand(inv), authenticateCommand(inv), deriveCommand(inv),
		passkeysCommand(inv), blobsCommand(inv))
	add(root, programGroup, helperCommand(inv), virtualCommand(inv), traceCommand(inv), installToolsCommand(inv))
	add(root, topicGroup, exitStatusTopic())
	root.AddCommand(versionCommand(inv))
	for _, command := range more {
		root.AddCommand(command(inv))
	}
}

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
}

// family is a command that only has others below it.
func family(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name + " COMMAND", Short: short, RunE: wantsCommand, Args: cobra.ArbitraryArgs}
	cmd.AddCommand(commands...)
	return cmd
}

// wantsCommand is what a command line does that names no command, or only the first word of some.
func wantsCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()))
	}
	return errNoCommand
}

// action does what the command line says, once that is known to be in order. What it returns goes to standard output,
// also if there is an error with it.
type action func(context.Context) (output, error)

// run is the RunE of a command.
func (inv *invocation) run(act action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		if inv.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, inv.timeout, timeoutError(inv.timeout))
			defer cancel()
		}
		inv.began = true
		out, err := act(ctx)
		inv.display.clear()
		if out != nil {
			err = also(err, inv.write(out))
		}
		return err
	}
}

// write writes a result to standard output.
func (inv *invocation) write(out output) error {
	err := write(newPage(inv.stdout, inv.color), out, inv.json)
	if errors.Is(err, syscall.EPIPE) {
		return errNobodyReads
	}
	return err
}

// errNobodyReads is no news to who has stopped to read the results, as head(1) does.
var errNobodyReads = errors.New("nobody reads standard output")

// timeoutError is the error when --timeout is over.
type timeoutError time.Duration

func (e timeoutError) Error() string { return fmt.Sprintf("not done within %v", time.Duration(e)) }

func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
