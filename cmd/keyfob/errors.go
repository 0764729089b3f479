package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/keyfob-go/keyfob/authenticator"
)

// The exit statuses. The documentation of the command explains them.
const (
	exitOK = iota
	exitError
	exitUsage
	exitNoDevice
	exitPermission
	exitTimeout
	exitCancelled
	exitPINRequired
	exitPINInvalid
	exitPINLocked
	exitNoMatch
	exitUnsupported
)

// advice is what follows from an error: the exit status, and what the user can do next.
type advice struct {
	status int
	next   string
}

// hints are what the user of this command can do next, more exactly than [authenticator.AdviceOn] could say.
var hints = map[authenticator.Kind]string{
	authenticator.KindNoDevice:    `there is no key at that path: "keyfob list" shows those that are plugged in`,
	authenticator.KindPermission:  "get access to what the error names, or run the command as its owner",
	authenticator.KindRemoved:     "plug the key in again and repeat the command",
	authenticator.KindBusy:        "another program uses the key: let it finish, and repeat the command",
	authenticator.KindCancelled:   "the key is free again",
	authenticator.KindTimeout:     "repeat the command, and if the key blinks then, touch it; --timeout gives more time",
	authenticator.KindPINRequired: "run the command in a terminal, or give the PIN with --pin-file or --pin-fd",
	authenticator.KindPINInvalid:  "repeat the command with the right PIN",
	authenticator.KindPINLocked:   "unplug the key, plug it in again, and repeat with the right PIN",
	authenticator.KindPINBlocked:  `only "keyfob reset" makes the key usable again, and it destroys every credential on it`,
	authenticator.KindPINNotSet:   `set a PIN with "keyfob pin set"`,
	authenticator.KindPINPolicy:   `choose a PIN that the key takes: "keyfob info" shows minPINLength; an old one may need "keyfob pin change"`,
	authenticator.KindUVFailed:    "try the finger again, or use the PIN",
	authenticator.KindExcluded:    `this key is registered already: use "keyfob authenticate", or another key`,
	authenticator.KindNoMatch:     `check --rp and --credential, use another key, or "keyfob register" this one`,
	authenticator.KindStoreFull:   `register without --resident, make room with "keyfob passkeys delete", or use another key`,
	authenticator.KindUnsupported: `"keyfob info" shows what the key supports`,
	authenticator.KindProtocol:    "unplug the key, plug it in again, and repeat the command",
}

// failure is an error of the command's own, with its own advice.
type failure struct {
	advice
	err error
}

func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

// failuref returns a failure with a text as of fmt.Errorf.
func failuref(status int, next, format string, args ...any) error {
	return &failure{advice{status, next}, fmt.Errorf(format, args...)}
}

// adviceOn tells what follows from err.
func adviceOn(err error) advice {
	var own *failure
	switch {
	case errors.As(err, &own):
		return own.advice
	case errors.Is(err, authenticator.ErrInvalidOptions):
		return advice{exitUsage, "check the flags of the command"}
	case errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, authenticator.ErrUnsupported):
		return advice{exitError, "keyfob cannot do this on this operating system yet"}
	case errors.Is(err, syscall.ECONNREFUSED): // a socket that its owner left behind
		return advice{exitNoDevice, "nobody serves that socket"}
	}
	return advice{authenticator.AdviceOn(err).ExitStatus, hints[authenticator.KindOf(err)]}
}

// fail reports err and returns the exit status for it.
func fail(d *display, err error) int {
	a := adviceOn(err)
	text := err.Error()
	if errors.Is(err, context.Canceled) { // by Ctrl-C; at which layer that was is of no use to anybody
		text = "cancelled"
	}
	if errors.Is(err, errNobodyReads) {
		return a.status
	}
	fmt.Fprintf(d, "%s %s\n", paint(d.color, red, "keyfob:"), printable(text))
	if a.next != "" {
		fmt.Fprintf(d, "%s %s\n", paint(d.color, bold, "hint:"), a.next)
	}
	return a.status
}

// also is [errors.Join] within a line.
func also(err, other error) error {
	if err == nil || other == nil {
		return cmp.Or(err, other)
	}
	return fmt.Errorf("%w; %w", err, other)
}
