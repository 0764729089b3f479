package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// serving is what the command line of "virtual serve" says.
type serving struct {
	unix    string
	uhid    bool
	state   string
	preset  virtual.Preset
	verbose bool
	manual  bool
}

func virtualCommand(inv *invocation) *cobra.Command {
	return family("virtual", "Be a security key.", virtualServeCommand(inv), virtualNewCommand(inv))
}

func virtualServeCommand(inv *invocation) *cobra.Command {
	v := &serving{}
	cmd := &cobra.Command{
		Use:     "serve --unix PATH | --uhid",
		Short:   "Be a security key that other programs can use.",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return v.check() },
		RunE:    inv.run(func(ctx context.Context) (output, error) { return v.serve(ctx, inv) }),
	}
	f := cmd.Flags()
	f.StringVar(&v.unix, "unix", "", "serve at the Unix-domain socket `PATH`; others use the key as unix:PATH")
	f.BoolVar(&v.uhid, "uhid", false, "be a /dev/hidraw device of this machine (Linux, as root)")
	f.StringVar(&v.state, "state", "", "keep credentials and PIN in `FILE` (default: forget them at the end)")
	presetVar(cmd, &v.preset)
	f.BoolVar(&v.manual, "manual", false, "touch it by a line on standard input, such as Enter (default: it touches itself)")
	f.BoolVar(&v.verbose, "verbose", false, "say what the key is asked for")
	return cmd
}

func (v *serving) check() error {
	if (v.unix != "") == v.uhid {
		return usageError("either --unix PATH or --uhid is wanted")
	}
	return nil
}

// serve lasts until it is cancelled, which is no error.
func (v *serving) serve(ctx context.Context, inv *invocation) (output, error) {
	config, err := v.config(ctx, inv)
	if err != nil {
		return nil, failuref(exitError, "check --state and --preset", "%w", err)
	}
	key, err := virtual.New(config)
	if err != nil {
		return nil, failuref(exitError, "check --state", "%w", err)
	}
	defer key.Close()
	err = v.run(ctx, inv, key)
	if ctx.Err() != nil {
		return nil, nil
	}
	return nil, serveFailure(err)
}

func (v *serving) config(ctx context.Context, inv *invocation) (virtual.Config, error) {
	c, err := savedConfig(v.state, v.preset)
	if v.manual {
		c.UserPresence = touchByLines(ctx, inv.stdin)
	}
	if v.verbose {
		touched := c.UserPresence
		c.UserPresence = func(ctx context.Context, p virtual.Prompt) error {
			fmt.Fprintf(inv.stderr, "touch: %v %s\n", p.Command, printable(p.RPID))
			if touched == nil {
				return nil
			}
			return touched(ctx, p)
		}
		c.Wink = func() { fmt.Fprintln(inv.stderr, "wink") }
	}
	return c, err
}

func (v *serving) run(ctx context.Context, inv *invocation, key *virtual.Authenticator) error {
	user := "touches itself"
	if v.manual {
		user = "each line of its input touches it"
	}
	announce := func(where string) {
		fmt.Fprintf(inv.stderr, "keyfob: the virtual key is ready at %s and %s\n", where, user)
		if inv.json {
			inv.write(record{{"device", where}})
		}
	}
	if v.uhid {
		before, _ := inv.list()
		return key.ServeUHID(ctx, func() { announce(newNode(before, inv.list)) })
	}
	return key.ServeUnix(ctx, v.unix, func() { announce("unix:" + v.unix) })
}

// newNode returns the path of the key that was not there before.
func newNode(before []hid.Info, list func() ([]hid.Info, error)) string {
	now, _ := list()
	for _, key := range now {
		if !slices.ContainsFunc(before, func(k hid.Info) bool { return k.Path == key.Path }) {
			return key.Path
		}
	}
	return "a node of its own" // somebody hides it from us
}

// serveFailure keeps an error about the socket from being taken for one about a key that is missing.
func serveFailure(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return failuref(exitPermission, "choose another path for the socket; --uhid wants root", "%w", err)
	}
	if errors.Is(err, syscall.EINVAL) { // of bind(2)
		return failuref(exitError, "choose a shorter path for the socket: systems take about 100 bytes", "%w", err)
	}
	return failuref(exitError, "", "%w", err)
}
