package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
		key, err := inv.onlyKey()
		if err != nil {
			return nil, err
		}
		return inv.openKey(ctx, key)
	}
	return inv.openKey(ctx, hid.Info{Path: inv.device})
}

// onlyKey returns the key that is meant when the command line names none.
func (inv *invocation) onlyKey() (hid.Info, error) {
	keys, err := inv.list()
	switch {
	case err != nil:
		return hid.Info{}, listFailure(err)
	case len(keys) == 0:
		return hid.Info{}, failuref(exitNoDevice, noKeyHint, "there is no key")
	case len(keys) > 1:
		return hid.Info{}, failuref(exitUsage, "choose one with --device PATH", "there are several keys: %s", names(keys))
	}
	return keys[0], keys[0].Err
}

const noKeyHint = `plug a key in, or try the built-in one with "--device virtual"`

// listFailure is about keys that could not even be looked for, as on systems that keyfob knows no way to do it on.
func listFailure(err error) error {
	const next = `name the key with --device PATH, or try the built-in one with "--device virtual"`
	return failuref(exitNoDevice, next, "%w", err)
}

func names(keys []hid.Info) string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = key.String()
	}
	return strings.Join(list, ", ")
}

// nameOf returns what to call a key when talking to the user. Only the built-in one comes without any description.
func (inv *invocation) nameOf(key hid.Info) string {
	for _, info := range []hid.Info{key, inv.opened} {
		if name := info.String(); name != "" {
			return name
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
	path, err := virtualState()
	if err != nil {
		return nil, err
	}
	key, err := virtual.New(virtual.Config{StateFile: path})
	if err != nil {
		return nil, stateFailure(err)
	}
	fmt.Fprintf(inv.stderr, "keyfob: the virtual key touches itself, and keeps its secrets in %s\n", path)
	return virtualKey{key.Device(), key}, nil
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

func (inv *invocation) notify(e authenticator.Event) {
	if e.Kind == authenticator.EventTouch {
		fmt.Fprintf(inv.stderr, "Touch %s to %s\n", inv.nameOf(e.Key), e.Touch)
	}
}

// withKey is the action of a command that needs one open key.
func withKey(use func(context.Context, *invocation, *authenticator.Authenticator) (output, error)) action {
	return func(ctx context.Context, inv *invocation) (output, error) {
		key, err := inv.open(ctx)
		if err != nil {
			return nil, err
		}
		defer key.Close()
		return use(ctx, inv, key)
	}
}
