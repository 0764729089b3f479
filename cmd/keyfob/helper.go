package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/helper"
	"github.com/keyfob-go/keyfob/webauthn"
)

// helping is what the command line of "helper" says.
type helping struct {
	origins []string
	log     string
	browser bool // it was started by one
}

func helperCommand(inv *invocation) *cobra.Command {
	h := &helping{}
	cmd := &cobra.Command{
		Use:   "helper",
		Short: "Run ceremonies for another program, which speaks JSON.",
		Args:  h.checkArguments,
		RunE:  inv.run(func(ctx context.Context) (output, error) { return h.serve(ctx, inv) }),
	}
	cmd.AddCommand(helperRegisterCommand(inv), helperAssertCommand(inv))
	inv.forClient(cmd)
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows a browser's arguments is the browser's
	f.Func("origin", "do it for web pages of `ORIGIN` only; may be repeated", h.addOrigin)
	f.StringVar(&h.log, "log", "", "append to `FILE` what happens, without what identifies the user or the page")
	return cmd
}

func (h *helping) checkArguments(_ *cobra.Command, args []string) error {
	h.browser = isBrowser(args)
	if len(args) > 0 && !h.browser {
		return usageError(fmt.Sprintf("unexpected argument %q", args[0]))
	}
	return nil
}

func (h *helping) addOrigin(value string) error {
	origin, err := webauthn.CanonicalOrigin(value)
	h.origins = append(h.origins, origin)
	return err
}

// forClient adds the flags of a command that lets the user choose between keys.
func (inv *invocation) forClient(cmd *cobra.Command) {
	inv.forDevice(cmd, "use the key at `PATH` only: a node, unix:SOCKET, or virtual for the built-in key")
}

// isBrowser recognizes the arguments that a browser gives its native-messaging hosts: Chrome the origin of the extension,
// on Windows also a window, and Firefox the path of the host's manifest with the ID of the extension.
func isBrowser(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return strings.HasPrefix(args[0], "chrome-extension://") || len(args) == 2 && strings.HasSuffix(args[0], ".json")
}

// forBrowser makes the command line of a program that a browser started, which cannot name a command.
func forBrowser(args []string) []string {
	if isBrowser(args) {
		return slices.Concat([]string{"helper"}, args)
	}
	return args
}

// serve lasts until the parent closes its end.
func (h *helping) serve(ctx context.Context, inv *invocation) (output, error) {
	log, closeLog, err := h.openLog()
	if err != nil {
		return nil, failuref(exitError, "check --log", "log: %w", err)
	}
	defer closeLog()
	// The parent's death must not kill the helper before the key has been told to stop.
	signal.Ignore(syscall.SIGPIPE)
	server := &helper.Server{
		Client: inv.client(), List: inv.listed, Origins: h.origins, Log: log, Version: version(),
	}
	framing := helper.Lines
	if h.browser {
		framing = helper.Frames
	}
	err = server.Serve(ctx, framing, inv.stdin, inv.stdout)
	if err != nil && ctx.Err() == nil {
		return nil, failuref(exitError, "", "the parent is gone: %w", err)
	}
	return nil, err
}

func (h *helping) openLog() (log *slog.Logger, closeFile func() error, err error) {
	if h.log == "" {
		return nil, func() error { return nil }, nil
	}
	file, err := os.OpenFile(h.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewJSONHandler(file, nil)), file.Close, nil
}

// client is for ceremonies over the keys that the command line means: one, or all.
func (inv *invocation) client() authenticator.Client {
	if inv.device == "" {
		return authenticator.Client{Watch: inv.watchPlugged}
	}
	return authenticator.Client{Watch: inv.watchDevice, Open: inv.openPath}
}

func (inv *invocation) openPath(path string) (io.ReadWriteCloser, error) {
	if path == virtualDevice {
		return inv.virtualKey()
	}
	dev, err := hid.Open(path)
	if err != nil {
		return nil, err
	}
	return dev, nil
}

func (inv *invocation) listed() ([]hid.Info, error) {
	if inv.device != "" {
		return []hid.Info{{Path: inv.device}}, nil
	}
	return inv.list()
}
