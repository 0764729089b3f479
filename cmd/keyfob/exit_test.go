package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// registering is the command line of a registration.
func registering(device string, flags ...string) []string {
	return append([]string{"register", "--device", device, "--rp", "example.org", "--user", "alice"}, flags...)
}

// untouched is a key that nobody touches.
func untouched() virtual.Config {
	return virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
}

func TestNoKey(t *testing.T) {
	t.Parallel()
	keyfob(t, "info").requireFailure(t, exitNoDevice, "there is no key", "plug a key in", "--device virtual")
	keyfob(t, "info", "--device", "unix:"+t.TempDir()+"/key").requireFailure(t, exitNoDevice, "keyfob list")
}

func TestNoWayToFindKeys(t *testing.T) {
	t.Parallel()
	sys := system{
		list:     func() ([]hid.Info, error) { return nil, fmt.Errorf("hid: list: %w", errors.ErrUnsupported) },
		terminal: noTerminal,
	}
	for _, command := range []string{"list", "info"} {
		keyfobOn(t.Context(), sys, command).requireFailure(t, exitNoDevice, "hid: list", "--device virtual")
	}
}

func TestSocketThatNobodyServes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	l, err := net.Listen("unixpacket", path)
	if err != nil {
		t.Skip("no SOCK_SEQPACKET sockets here: ", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	keyfob(t, "info", "--device", "unix:"+path).requireFailure(t, exitNoDevice, "nobody serves that socket")
}

func TestNoPermission(t *testing.T) {
	t.Parallel()
	locked := hid.Info{Path: "/dev/hidraw0", Err: fmt.Errorf("hid: open /dev/hidraw0: %w: call root", fs.ErrPermission)}
	keyfobOn(t.Context(), keys(locked), "info").requireFailure(t, exitPermission, "/dev/hidraw0", "call root", "hint: ")
}

func TestNoPermissionForASocket(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may use any socket")
	}
	device, _ := plug(t, virtual.Config{})
	require.NoError(t, os.Chmod(device[len("unix:"):], 0))
	keyfob(t, "info", "--device", device).requireFailure(t, exitPermission)
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, untouched())
	keyfob(t, registering(device, "--timeout", "1s")...).
		requireFailure(t, exitTimeout, "Touch "+device, "not done within 1s", "hint: repeat")
	keyfob(t, "info", "--device", device).requireOK(t) // the key is free again
}

func TestKeyGivesUpWaiting(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{UserPresence: func(context.Context, virtual.Prompt) error {
		return ctap2.ErrUserActionTimeout
	}})
	keyfob(t, registering(device)...).requireFailure(t, exitTimeout)
}

// cancelWhen cancels the context once the text was written.
type cancelWhen struct {
	console
	text   string
	cancel context.CancelFunc
}

func (c *cancelWhen) Write(p []byte) (int, error) {
	n, err := c.console.Write(p)
	if string(p) == c.text {
		c.cancel()
	}
	return n, err
}

func TestCancelWhileTheKeyWaitsForATouch(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, untouched())
	ctx, cancel := context.WithCancel(t.Context())
	sys, stderr := keys(), &cancelWhen{text: "Touch " + device + " to register\n", cancel: cancel}
	sys.stderr = stderr
	start := time.Now()
	r := keyfobOn(ctx, sys, registering(device)...)
	require.Equal(t, exitCancelled, r.status)
	require.Empty(t, r.stdout)
	require.Less(t, time.Since(start), 3*time.Second)
	keyfob(t, "info", "--device", device).requireOK(t) // the key is free again
}

func TestUserRefuses(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{UserPresence: func(context.Context, virtual.Prompt) error {
		return errors.New("no")
	}})
	keyfob(t, registering(device)...).requireFailure(t, exitCancelled)
}

func TestKeyRemovedWhileItWaits(t *testing.T) {
	t.Parallel()
	unplugged := make(chan struct{})
	device, key := plug(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		close(unplugged)
		<-ctx.Done()
		return context.Cause(ctx)
	}})
	go func() {
		<-unplugged
		key.Close()
	}()
	keyfob(t, registering(device)...).requireFailure(t, exitNoDevice, "hint: plug the key in again")
}

func TestNotSupportedByTheKey(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{NoClientPIN: true, Algorithms: []cose.Algorithm{cose.ES256}})
	pins := pinFile(t, "1234\n")
	cases := [][]string{
		{"pin", "set", "--device", device, "--pin-file", pins},
		{"pin", "set", "--device", device},
		{"pin", "retries", "--device", device},
		registering(device, "--alg", "rs256"),
	}
	for _, args := range cases {
		keyfob(t, args...).requireFailure(t, exitUnsupported, "keyfob info")
	}
}

func TestNoRoomOnTheKey(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{Capacity: 1})
	register(t, device, "--resident")
	keyfob(t, registering(device, "--resident")...).requireFailure(t, exitError, "hint: register without --resident")
}

// Each kind of error but the unknown one says what to do next.
func TestEachKindOfErrorHasAHint(t *testing.T) {
	t.Parallel()
	for kind := authenticator.KindOther + 1; kind <= authenticator.KindProtocol; kind++ {
		require.NotEmpty(t, hints[kind], "kind %d", kind)
	}
}

func TestStatusOfErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		err    error
		status int
	}{
		{errors.New("x"), exitError},
		{fs.ErrPermission, exitPermission},
		{syscall.EACCES, exitPermission},
		{hid.ErrRemoved, exitNoDevice},
		{context.Canceled, exitCancelled},
		{timeoutError(time.Second), exitTimeout},
		{authenticator.ErrPINRequired, exitPINRequired},
		{authenticator.ErrUVNotConfigured, exitPINRequired},
		{ctap2.ErrPINPolicyViolation, exitPINInvalid},
		{ctap2.ErrUVBlocked, exitPINInvalid},
		{&authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: 3}, exitPINInvalid},
		{&authenticator.PINError{Status: ctap2.ErrPINAuthBlocked, Retries: 3, PowerCycle: true}, exitPINLocked},
		{&authenticator.PINError{Status: ctap2.ErrPINBlocked}, exitPINLocked},
		{authenticator.ErrInvalidOptions, exitUsage},
		{authenticator.ErrUnsupported, exitUnsupported},
		{errors.ErrUnsupported, exitError},
		{failuref(exitUsage, "", "%w", fs.ErrPermission), exitUsage},
		{stateFailure(fs.ErrPermission), exitError},
		{pinFileFailure(fs.ErrNotExist), exitError},
		{serveFailure(fs.ErrPermission), exitPermission},
		{serveFailure(fs.ErrNotExist), exitError},
	}
	for _, c := range cases {
		require.Equal(t, c.status, adviceOn(fmt.Errorf("x: %w", c.err)).status, "%v", c.err)
	}
}

// What a key says must not command the terminal.
func TestErrorsArePrintable(t *testing.T) {
	t.Parallel()
	var stderr console
	fail(newDisplay(&stderr), errors.New("a\x1b[2Jb\nc\u009b"))
	require.Equal(t, "keyfob: a\ufffd[2Jb\ufffdc\ufffd\n", stderr.String())
}

// The documentation of the command says the same of the exit statuses as its help.
func TestExitStatusesAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	text := keyfob(t, "help", "exit-status").requireOK(t).stdout
	for status := range exitUnsupported + 1 {
		require.Regexp(t, fmt.Sprintf(`(?m)^ +%d  \w`, status), text)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") {
			require.Contains(t, string(doc), "//\t"+strings.TrimPrefix(line, "    "))
		}
	}
}
