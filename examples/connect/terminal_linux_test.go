package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/virtual"
)

// openPTY returns both ends of a terminal: what the user sits at, and what programs see.
func openPTY(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	raw, err := ours.SyscallConn()
	require.NoError(t, err)
	var number int
	require.NoError(t, raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	require.NoError(t, err)
	theirs, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { theirs.Close() })
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Minute)))
	return ours, theirs
}

// A person reads the screen and types.
type typist struct {
	t    *testing.T
	tty  *os.File
	seen string
}

// await reads until the text shows, and returns all that has shown.
func (p *typist) await(text string) string {
	p.t.Helper()
	b := make([]byte, 1024)
	for !strings.HasSuffix(p.seen, text) {
		n, err := p.tty.Read(b)
		require.NoError(p.t, err, "%q shows only", p.seen)
		p.seen += string(b[:n])
	}
	return p.seen
}

func (p *typist) enter(text string) {
	p.t.Helper()
	_, err := p.tty.WriteString(text)
	require.NoError(p.t, err)
}

// The PIN is asked for on the terminal although standard input and output are the connection, as under ssh.
func TestPINIsTypedOnTheTerminal(t *testing.T) {
	t.Parallel()
	s := serve(t, "--user-verification", "required")
	device, _ := plug(t, virtual.Config{PIN: withPIN})
	alice := s.shell(s.addUser("alice"), device)
	run := func(stdin string, args ...string) (*typist, func() (string, error)) {
		ours, theirs := openPTY(t)
		c := alice.command(args...)
		var stdout strings.Builder
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &stdout, theirs
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
		require.NoError(t, c.Start())
		return &typist{t: t, tty: ours}, func() (string, error) {
			err := c.Wait()
			return stdout.String(), err
		}
	}

	user, wait := run("", "register", "key")
	user.await("PIN of " + device + " (tries left: 8): ")
	user.enter("0000\r")
	user.await("PIN of " + device + " (tries left: 7): ")
	user.enter("12\x7f234\r") // a slip of the finger, mended
	_, err := wait()
	require.NoError(t, err)
	require.Contains(t, user.seen, "Wrong PIN.")
	require.NotContains(t, user.seen, "0000")

	user, wait = run("through the server", "forward", "echo")
	user.await("(tries left: 8): ")
	user.enter("1234\r")
	stdout, err := wait()
	require.NoError(t, err)
	require.Equal(t, "through the server", stdout)
	require.NotContains(t, user.seen, "1234")

	user, wait = run("", "forward", "echo")
	user.await("(tries left: 8): ")
	user.enter("\x03") // Ctrl-C
	stdout, err = wait()
	require.ErrorContains(t, err, "exit status 6")
	require.Empty(t, stdout)
}

func TestPINWithoutATerminal(t *testing.T) {
	t.Parallel()
	s := serve(t, "--user-verification", "required")
	device, touches := plug(t, virtual.Config{PIN: withPIN})
	c := s.shell(s.addUser("alice"), device).command("register", "key")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := c.CombinedOutput()
	require.ErrorContains(t, err, "exit status 7")
	require.Contains(t, string(out), "PIN required, and there is no terminal to ask for it")
	require.Zero(t, touches.Load())
}
