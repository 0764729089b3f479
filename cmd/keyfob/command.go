package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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

// command is one of the things that keyfob can do.
type command struct {
	name   string // "pin set"
	args   string // all but the common flags
	help   string // one sentence
	define func(*flags) action
}

// action does what the command line says, once that has been parsed. What it returns goes to standard output, also if
// there is an error with it.
type action func(context.Context, *invocation) (output, error)

// invocation is one run of a command.
type invocation struct {
	system
	*flags

	opened hid.Info // what the system says about the key, where the authenticator does not know it
}

func (c command) flags() (*flags, action) {
	f := newFlags(c.name)
	return f, c.define(f)
}

func commands() []command {
	return []command{
		{"list", "", "List the keys that are plugged in.", defineList},
		{"doctor", "", "Find out why keys cannot be used, and what to do about it.", defineDoctor},
		{"info", "", "Show what a key says about itself.", defineInfo},
		{"register", "--rp ID --user NAME", "Create a credential on a key.", defineRegister},
		{"authenticate", "--rp ID", "Have a key sign with its credentials.", defineAuthenticate},
		{"pin set", "", "Set the first PIN of a key.", definePINSet},
		{"pin change", "", "Change the PIN of a key.", definePINChange},
		{"pin retries", "", "Show how many wrong PINs a key still accepts.", definePINRetries},
		{"reset", "", "Destroy all credentials, the PIN and the settings of a key.", defineReset},
		{"wink", "", "Make a key blink, to see which one it is.", defineWink},
		{"ping", "", "Send data to a key and back, and show how long that takes.", definePing},
		{"helper register", "", "Register a key for what is on standard input, once.", defineHelperRegister},
		{"helper assert", "", "Sign in with a key for what is on standard input, once.", defineHelperAssert},
		{"helper", "", "Run ceremonies for another program, which speaks JSON.", defineHelper},
		{"virtual serve", "--unix PATH | --uhid", "Be a security key that other programs can use.", defineVirtualServe},
		{"install-tools", "DIR", "Make links in a folder by which keyfob is fido2-token, fido2-cred and fido2-assert.",
			defineInstallTools},
		{"version", "", "Show the version of keyfob.", defineVersion},
	}
}

// run runs keyfob and returns its exit status.
func run(ctx context.Context, args []string, sys system) int {
	args = forBrowser(args)
	if name, ok := asksForHelp(args); ok {
		return help(sys, name)
	}
	cmd, rest, ok := findCommand(args)
	if !ok {
		return unknownCommand(sys, args)
	}
	f, act := cmd.flags()
	if err := f.parse(rest); errors.Is(err, flag.ErrHelp) {
		cmd.usage(sys.stdout, f)
		return exitOK
	} else if err != nil {
		return wrongUsage(sys, cmd, f, err)
	}
	out, err := perform(ctx, act, &invocation{system: sys, flags: f})
	var usage usageError
	if errors.As(err, &usage) {
		return wrongUsage(sys, cmd, f, err)
	}
	return finish(sys, f.json, out, err)
}

// checked is an action that begins with what needs no key to be found wrong.
func checked(check func() error, act action) action {
	return func(ctx context.Context, inv *invocation) (output, error) {
		if err := check(); err != nil {
			return nil, err
		}
		return act(ctx, inv)
	}
}

// perform runs the action for as long as the command line allows.
func perform(ctx context.Context, act action, inv *invocation) (output, error) {
	if inv.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, inv.timeout, timeoutError(inv.timeout))
		defer cancel()
	}
	return act(ctx, inv)
}

// timeoutError is the error when --timeout is over.
type timeoutError time.Duration

func (e timeoutError) Error() string { return fmt.Sprintf("not done within %v", time.Duration(e)) }

func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func finish(sys system, asJSON bool, out output, err error) int {
	if out != nil {
		if writeErr := write(sys.stdout, out, asJSON); err == nil {
			err = writeErr
		}
	}
	if err != nil {
		return fail(sys.stderr, err)
	}
	return exitOK
}

// findCommand splits args into the name of a command and what follows it.
func findCommand(args []string) (cmd command, rest []string, ok bool) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], true
		}
	}
	return command{}, args, false
}
