package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

const virtualDevice = "virtual"

// open opens the key that the command line means. The caller closes it.
func (inv *invocation) open(ctx context.Context) (*authenticator.Authenticator, error) {
	switch inv.device {
	case virtualDevice:
		return inv.openVirtual(ctx)
	case "":
		return inv.openPlugged(ctx)
	}
	return inv.openKey(ctx, hid.Info{Path: inv.device})
}

// openPlugged opens the key that is plugged in, or with several the one that the user touches.
func (inv *invocation) openPlugged(ctx context.Context) (*authenticator.Authenticator, error) {
	keys, err := inv.plugged()
	if err != nil {
		return nil, err
	}
	if len(keys) == 1 {
		return inv.openKey(ctx, keys[0])
	}
	key, err := inv.choose(ctx)
	if err != nil {
		return nil, err
	}
	if inv.trace == "" {
		return key, nil
	}
	key.Close() // it is opened anew to trace it alone
	return inv.openKey(ctx, key.Key())
}

// plugged returns the keys that are plugged in, of which one can be used or more.
func (inv *invocation) plugged() ([]hid.Info, error) {
	keys, err := inv.list()
	switch {
	case err != nil:
		return nil, listFailure(err)
	case len(keys) == 0:
		return nil, failuref(exitNoDevice, noKeyHint, "there is no key")
	case !slices.ContainsFunc(keys, func(key hid.Info) bool { return key.Err == nil }):
		return nil, keys[0].Err
	}
	return keys, nil
}

// choose lets the user touch one of the keys.
func (inv *invocation) choose(ctx context.Context) (*authenticator.Authenticator, error) {
	client := authenticator.Client{UI: inv.ui(), Watch: inv.watchPlugged}
	return client.Select(ctx)
}

func (inv *invocation) watchPlugged(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
	return hid.WatchList(ctx, inv.list)
}

const noKeyHint = `plug a key in, or try the built-in one with "--device virtual"`

// listFailure is about keys that could not even be looked for, as on systems that keyfob knows no way to do it on.
func listFailure(err error) error {
	const next = `name the key with --device PATH, or try the built-in one with "--device virtual"`
	return failuref(exitNoDevice, next, "%w", err)
}

// nameOf returns what to call a key when talking to the user, in printable characters. Only the built-in one comes without
// any description.
func (inv *invocation) nameOf(key hid.Info) string {
	for _, info := range []hid.Info{key, inv.opened} {
		if name := info.String(); name != "" {
			return printable(name)
		}
	}
	return "the virtual key"
}

func (inv *invocation) openVirtual(ctx context.Context) (*authenticator.Authenticator, error) {
	dev, err := inv.virtualKey()
	if err != nil {
		return nil, err
	}
	return inv.openDevice(ctx, dev)
}

// virtualKey returns the built-in key as a device.
func (inv *invocation) virtualKey() (device, error) {
	key, path, err := savedKey()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(inv.stderr, "keyfob: the virtual key touches itself, and keeps its secrets in %s\n", path)
	return virtualKey{key.Device(), key}, nil
}

// savedKey returns the built-in key, and the file that it is in.
func savedKey() (key *virtual.Authenticator, path string, err error) {
	if path, err = virtualState(); err != nil {
		return nil, "", err
	}
	config, err := savedConfig(path, "")
	if err != nil {
		return nil, "", stateFailure(err)
	}
	if key, err = virtual.New(config); err != nil {
		return nil, "", stateFailure(err)
	}
	return key, path, nil
}

// tryDevice finds out whether the key that --device names can be opened. A client would wait for one that can.
func (inv *invocation) tryDevice() error {
	if inv.device == virtualDevice {
		key, _, err := savedKey()
		if err != nil {
			return err
		}
		return key.Close()
	}
	dev, err := hid.Open(inv.device)
	if err != nil {
		return err
	}
	return dev.Close()
}

// virtualKey is the only device that its key opens.
type virtualKey struct {
	*virtual.Device
	key *virtual.Authenticator
}

// Close closes the device together with the key.
func (k virtualKey) Close() error { return k.key.Close() }

// virtualState returns the file that holds the built-in key, in a directory that exists.
func virtualState() (string, error) {
	path := os.Getenv("KEYFOB_VIRTUAL_STATE")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return "", stateFailure(err)
		}
		path = filepath.Join(dir, "keyfob", "virtual-key")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", stateFailure(err)
	}
	return path, nil
}

// stateFailure keeps an error about the file from being taken for one about a key that is missing or not accessible.
func stateFailure(err error) error {
	return failuref(exitError, "KEYFOB_VIRTUAL_STATE can name another file for the virtual key", "virtual key: %w", err)
}

// ui tells and asks the user on standard error and the terminal.
func (inv *invocation) ui() *authenticator.UI {
	return &authenticator.UI{PIN: inv.askPIN, Notify: inv.notify}
}

// notify says on standard error what the user should do.
func (inv *invocation) notify(e authenticator.Event) {
	switch e.Kind {
	case authenticator.EventTouch:
		if e.Touch == authenticator.TouchToSelect {
			return // each of several keys says so, some after another was touched
		}
		inv.display.ask(prompt{"Touch ", inv.nameOf(e.Key), " to " + e.Touch.String()})
	case authenticator.EventInsert:
		inv.display.ask(prompt{before: "Plug in a security key"})
	case authenticator.EventSelect:
		inv.display.ask(prompt{before: "Touch the security key to use"})
	case authenticator.EventTouched, authenticator.EventProcessing:
		inv.display.done()
	case authenticator.EventProgress:
		inv.display.progress(e.Done, e.Total)
		if e.Done == e.Total { // other things may follow
			inv.display.progress(0, 0)
		}
	case authenticator.EventUVFailed:
		fmt.Fprintf(inv.stderr, "%s did not recognize you\n", inv.nameOf(e.Key))
	case authenticator.EventDropped:
		fmt.Fprintf(inv.stderr, "%s cannot be used: %s\n", inv.nameOf(e.Key), printable(e.Err.Error()))
	}
}

// withKey is the RunE of a command that needs one open key.
func (inv *invocation) withKey(
	use func(context.Context, *authenticator.Authenticator) (output, error),
) func(*cobra.Command, []string) error {
	return inv.run(func(ctx context.Context) (output, error) {
		key, err := inv.open(ctx)
		if err != nil {
			return nil, err
		}
		defer key.Close()
		return use(ctx, key)
	})
}
