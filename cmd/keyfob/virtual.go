package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// serving is what the command line of "virtual serve" says.
type serving struct {
	unix    string
	uhid    bool
	state   string
	verbose bool
}

func defineVirtualServe(f *flags) action {
	v := &serving{}
	f.StringVar(&v.unix, "unix", "", "serve at the Unix-domain socket `PATH`; others use the key as unix:PATH")
	f.BoolVar(&v.uhid, "uhid", false, "be a /dev/hidraw device of this machine (Linux, as root)")
	f.StringVar(&v.state, "state", "", "keep credentials and PIN in `FILE` (default: forget them at the end)")
	f.BoolVar(&v.verbose, "verbose", false, "say what the key is asked for")
	return v.serve
}

// serve lasts until it is cancelled, which is no error.
func (v *serving) serve(ctx context.Context, inv *invocation) (output, error) {
	if (v.unix != "") == v.uhid {
		return nil, usageError("either --unix PATH or --uhid is wanted")
	}
	key, err := virtual.New(v.config(inv))
	if err != nil {
		return nil, failuref(exitError, "check --state", "%w", err)
	}
	defer key.Close()
	serve, ready := v.backend(inv, key)
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	err = announce(ended, func() bool {
		where, ok := ready()
		if ok {
			fmt.Fprintf(inv.stderr, "keyfob: the virtual key is ready at %s and touches itself\n", where)
		}
		return ok
	})
	if ctx.Err() != nil {
		return nil, nil
	}
	return nil, serveFailure(err)
}

func (v *serving) config(inv *invocation) virtual.Config {
	c := virtual.Config{StateFile: v.state}
	if v.verbose {
		c.UserPresence = func(_ context.Context, p virtual.Prompt) error {
			fmt.Fprintf(inv.stderr, "touch: %v %s\n", p.Command, printable(p.RPID))
			return nil
		}
		c.Wink = func() { fmt.Fprintln(inv.stderr, "wink") }
	}
	return c
}

// backend returns what serves the key, and what finds out where, once it does.
func (v *serving) backend(inv *invocation, key *virtual.Authenticator) (
	serve func(context.Context) error, ready func() (where string, ok bool),
) {
	if v.uhid {
		return key.ServeUHID, newNode(inv.list)
	}
	return func(ctx context.Context) error { return key.ServeUnix(ctx, v.unix) }, newSocket("unix:" + v.unix)
}

// newNode finds a key that was not there before.
func newNode(list func() ([]hid.Info, error)) func() (string, bool) {
	before, _ := list()
	return func() (string, bool) {
		now, _ := list()
		for _, key := range now {
			known := slices.ContainsFunc(before, func(k hid.Info) bool { return k.Path == key.Path })
			if !known && !errors.Is(key.Err, fs.ErrNotExist) {
				return key.Path, true
			}
		}
		return "", false
	}
}

// newSocket finds that somebody serves the socket who did not before.
func newSocket(path string) func() (string, bool) {
	taken := opens(path)
	return func() (string, bool) { return path, !taken && opens(path) }
}

func opens(path string) bool {
	d, err := hid.Open(path)
	if err == nil {
		d.Close()
	}
	return err == nil
}

// readyInterval is short enough for scripts that wait for the key.
const readyInterval = 5 * time.Millisecond

// announce calls ready until it returns true, and waits for the end.
func announce(ended <-chan error, ready func() bool) error {
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if ready() {
				return <-ended
			}
		}
	}
}

// serveFailure keeps an error about the socket from being taken for one about a key that is missing.
func serveFailure(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return failuref(exitPermission, "choose another path for the socket; --uhid wants root", "%w", err)
	}
	return failuref(exitError, "", "%w", err)
}
