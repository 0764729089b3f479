package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/keyfob-go/keyfob/hid"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	ctx, _ = signal.NotifyContext(ctx, syscall.SIGPIPE)
	if name, args, ok := fido2Tool(os.Args); ok {
		os.Exit(runFIDO2Tool(ctx, name, args))
	}
	os.Exit(run(ctx, os.Args[1:], system{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		list:     hid.List,
		survey:   survey,
		terminal: openTerminal,
	}))
}

// endings are the signals after which the key is told to stop, and the terminal gets its echo back: SIGPIPE is another, when
// nobody reads any more what keyfob says. A hangup that nohup has it ignore stays ignored.
func endings() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
