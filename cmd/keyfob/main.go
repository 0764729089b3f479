package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/keyfob-go/keyfob/hid"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
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
