package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/unix"
)

// TestProgramAsksOnTerminal has the PIN mistyped, and then typed; the standard input is no terminal.
func TestProgramAsksOnTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	p := newProgram(t)
	line := mustRun(t, p.command(t, "enrol", "-f", "id", "-resident"))
	c := s.start(t, p.command(t, "list"))
	s.answer(t, "PIN of ", "4321\n")
	s.answer(t, "Wrong PIN, 7 tries left. PIN of ", pin+"\n")
	require.NoError(t, c.Wait())
	require.Equal(t, line, c.Stdout.(*strings.Builder).String())
}

func TestCtrlCEndsTheQuestion(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	c := s.start(t, newProgram(t).command(t, "list"))
	s.answer(t, "PIN of ", "\x03")
	require.Error(t, c.Wait())
	require.Equal(t, 1, c.ProcessState.ExitCode(), "it was not killed, which would leave the terminal without an echo")
}

// TestAgentTakesItsQuestionBack has a client hang up while the agent asks for the PIN. The next one's question gets its
// answer, which is typed once.
func TestAgentTakesItsQuestionBack(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	p := newProgram(t)
	mustRun(t, p.command(t, "enrol", "-f", "id", "-verify-required"))
	k, err := readKey(filepath.Join(p.dir, "id"))
	require.NoError(t, err)
	c := p.command(t, "agent", "-a", "agent", "id")
	c.Stdout = s.theirs
	s.start(t, c)
	s.read(t, "export SSH_AUTH_SOCK;")

	sign := func() (net.Conn, <-chan error) {
		conn, err := net.Dial("unix", filepath.Join(p.dir, "agent"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		signed := make(chan error, 1)
		go func() {
			_, err := agent.NewClient(conn).Sign(k.ssh, []byte("data"))
			signed <- err
		}()
		s.read(t, "PIN of ")
		return conn, signed
	}
	leaving, signed := sign()
	require.NoError(t, leaving.Close())
	require.Error(t, <-signed)
	_, signed = sign()
	s.answer(t, "", pin+"\n")
	require.NoError(t, <-signed)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait())
}

// screen is a terminal.
type screen struct {
	ours, theirs *os.File // what the user sits at, and what programs see
}

func newScreen(t *testing.T) screen {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { theirs.Close() })
	return screen{ours, theirs}
}

// start starts a program in a session of its own, on the terminal, which its standard input is not.
func (s screen) start(t *testing.T, c *exec.Cmd) *exec.Cmd {
	t.Helper()
	c.Env = append(c.Env, "SSH_ASKPASS_REQUIRE=never")
	if c.Stderr = s.theirs; c.Stdout == nil {
		c.Stdout = &strings.Builder{}
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	require.NoError(t, c.Start())
	return c
}

// answer waits for a question and types.
func (s screen) answer(t *testing.T, question, typed string) {
	t.Helper()
	s.read(t, question)
	_, err := s.ours.WriteString(typed)
	require.NoError(t, err)
}

// read reads what the screen shows, until there is a text.
func (s screen) read(t *testing.T, text string) {
	t.Helper()
	var shown strings.Builder
	for b := make([]byte, 1); !strings.Contains(shown.String(), text); {
		_, err := io.ReadFull(s.ours, b)
		require.NoError(t, err, shown.String())
		shown.Write(b)
	}
}
