package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/virtual"
)

// screen is a terminal: what is typed into it, and what the user sees.
type screen struct {
	console
	all    console // of which waitFor forgets nothing
	t      *testing.T
	ours   *os.File // what the user sits at
	theirs *os.File // what programs see, at path
	path   string
	dir    string // where programs are started; empty means here
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	var number int
	control(t, ours, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	s := &screen{t: t, ours: ours, path: fmt.Sprintf("/dev/pts/%d", number)}
	s.theirs, err = s.open()
	require.NoError(t, err)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		io.Copy(io.MultiWriter(&s.all, &s.console), ours) // until it is closed; waitFor sees what all has already
	}()
	t.Cleanup(func() {
		s.theirs.Close()
		ours.Close()
		<-shown
	})
	return s
}

func (s *screen) open() (*os.File, error) { return os.OpenFile(s.path, os.O_RDWR|unix.O_NOCTTY, 0) }

func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = do(int(fd)) }))
	require.NoError(t, err)
}

func (s *screen) echoes() (on bool) {
	s.t.Helper()
	control(s.t, s.theirs, func(fd int) error {
		termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			on = termios.Lflag&unix.ECHO != 0
		}
		return err
	})
	return on
}

// answer waits for a question and types the answer to it.
func (s *screen) answer(question, answer string) {
	s.t.Helper()
	s.waitFor(s.t, question)
	_, err := s.ours.WriteString(answer)
	require.NoError(s.t, err)
}

// start starts keyfob as a program in this terminal. The returned function waits for its exit status and for what it
// wrote to standard output, which is not the terminal.
func (s *screen) start(args ...string) func() (status int, stdout string) {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout strings.Builder
	cmd.Stdout = &stdout
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() { cmd.Process.Kill() })
	return func() (int, string) {
		cmd.Wait()
		return cmd.ProcessState.ExitCode(), stdout.String()
	}
}

// command is keyfob as a program in this terminal.
func (s *screen) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asKeyfob+"=1", "TERM=xterm", "NO_COLOR=")
	cmd.Dir = s.dir
	cmd.Stdin, cmd.Stderr = s.theirs, s.theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return cmd
}

func TestPINIsSetAndUsedOnTheTerminal(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	s := newScreen(t)
	wait := s.start("pin", "set", "--device", device)
	s.answer("New PIN (at least 4 characters): ", "secret-1\r")
	s.answer("\r\nThe new PIN again: ", "secret-2\r")
	s.answer("They differ. New PIN (at least 4 characters): ", "secret-1\r")
	s.answer("The new PIN again: ", "secret-1\r")
	s.waitFor(t, "The PIN is set.")
	status, stdout := wait()
	require.Equal(t, exitOK, status)
	require.Empty(t, stdout)

	wait = s.start("pin", "change", "--device", device)
	s.answer("Current PIN of "+device+" (8 retries left): ", "secret-1\r")
	s.answer("New PIN (at least 4 characters): ", "secret-3\r")
	s.answer("The new PIN again: ", "secret-3\r")
	status, _ = wait()
	require.Equal(t, exitOK, status)

	wait = s.start(registering(device, "--uv", "--json")...)
	s.answer("PIN of "+device+" (8 retries left): ", "129\x7f\r")
	s.answer("A PIN has at least 4 characters. PIN of "+device+" (8 retries left): ", "secret-4\r")
	s.answer("Wrong PIN. PIN of "+device+" (7 retries left): ", "secret-4\r")
	s.answer("The key has rejected that PIN already. PIN of "+device+" (7 retries left): ", "secret-3\r")
	s.waitFor(t, "Touch "+device+" to register")
	status, stdout = wait()
	require.Equal(t, exitOK, status)
	require.Equal(t, true, decodeObject(t, stdout)["verified"])
	require.True(t, s.echoes())
	require.NotContains(t, s.all.String(), "secret", "nobody who looks at the screen learns a PIN")
}

func TestCtrlCWhileThePINIsAskedFor(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	s := newScreen(t)
	wait := s.start(registering(device, "--uv")...)
	s.answer("PIN of ", "12\x03")
	s.waitFor(t, " cancelled\r\n")
	status, stdout := wait()
	require.Equal(t, exitCancelled, status)
	require.Empty(t, stdout)
	require.True(t, s.echoes(), "the terminal is as it was")
	requireRetries(t, device, 8, false)
}

func TestCtrlDInsteadOfAPIN(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	s := newScreen(t)
	wait := s.start(registering(device, "--uv")...)
	s.answer("PIN of ", "\x04")
	status, _ := wait()
	require.Equal(t, exitCancelled, status)
}

func TestCtrlCWhileTheKeyWaitsForATouch(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, untouched())
	s := newScreen(t)
	wait := s.start(registering(device)...)
	s.answer("Touch "+device+" to register", "\x03")
	start := time.Now()
	status, stdout := wait()
	require.Equal(t, exitCancelled, status)
	require.Empty(t, stdout)
	require.Less(t, time.Since(start), 3*time.Second)
	keyfob(t, "info", "--device", device).requireOK(t)
}

// What follows a question that nobody answered stands in a line of its own.
func TestCtrlCInsteadOfAConfirmation(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	for _, typed := range []string{"\x03", "\x04"} {
		s := newScreen(t)
		wait := s.start("reset", "--device", device)
		s.answer("Type yes to go on: ", typed)
		s.waitFor(t, "\r\n\x1b[31mkeyfob:")
		status, _ := wait()
		require.Equal(t, exitCancelled, status)
	}
	requireRetries(t, device, 8, false)
}

func TestTimeoutWhileThePINIsAskedFor(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	s := newScreen(t)
	sys := keys()
	sys.terminal = s.open
	keyfobOn(t.Context(), sys, registering(device, "--uv", "--timeout", "1s")...).
		requireFailure(t, exitTimeout, "PIN of ", "not done within 1s")
	require.True(t, s.echoes())
}

func TestResetIsConfirmedOnTheTerminal(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	s := newScreen(t)
	wait := s.start("reset", "--device", device)
	s.waitFor(t, "destroys every credential on "+device+", its PIN")
	s.answer("Type yes to go on: ", "y\r")
	s.waitFor(t, "nothing was reset")
	status, _ := wait()
	require.Equal(t, exitCancelled, status)
	requireRetries(t, device, 8, false)

	wait = s.start("reset", "--device", device)
	s.answer("Type yes to go on: ", "yes\r")
	status, stdout := wait()
	require.Equal(t, exitOK, status)
	require.Empty(t, stdout)
	keyfob(t, registering(device, "--uv")...).requireFailure(t, exitPINRequired, `"keyfob pin set"`)
}

// Scripts hand a PIN over without a file.
func TestPINFromAFileDescriptor(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	cmd := exec.Command(os.Args[0], registering(device, "--uv", "--json", "--pin-fd", "3")...)
	cmd.Env = append(os.Environ(), asKeyfob+"=1")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.ExtraFiles = []*os.File{r}
	_, err = w.WriteString("1234\n") // and the other end stays open
	require.NoError(t, err)
	defer w.Close()
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, true, decodeObject(t, string(out))["verified"])
}

// A descriptor of keyfob's own is no place for a PIN: what it says would cost a retry.
func TestPINFDThatKeyfobOpened(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	_, err = w.WriteString("4321\n")
	require.NoError(t, err)
	keyfob(t, registering(device, "--uv", "--pin-fd", fmt.Sprint(r.Fd()))...).requireFailure(t, exitUsage, "is not open")
	keyfob(t, registering(device, "--uv", "--pin-fd", "987654")...).requireFailure(t, exitUsage, "--pin-fd 987654 is not open")
	requireRetries(t, device, 8, false)
}

func TestNobodyWritesThePIN(t *testing.T) {
	t.Parallel()
	device, _ := plugWithPIN(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	defer r.Close()
	fd, err := unix.Dup(int(r.Fd())) // which keyfob takes over
	require.NoError(t, err)
	keyfobOn(t.Context(), keys(), registering(device, "--uv", "--timeout", "1s", "--pin-fd", fmt.Sprint(fd))...).
		requireFailure(t, exitTimeout)
}

func TestSignalEndsVirtualServe(t *testing.T) {
	t.Parallel()
	old, _ := plug(t, virtual.Config{})
	path := old[len("unix:"):] + "2"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "virtual", "serve", "--unix", path)
	cmd.Env = append(os.Environ(), asKeyfob+"=1")
	var stderr console
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	stderr.waitFor(t, "ready at unix:"+path)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.NoFileExists(t, path)
}

// The terminal is closed while the key blinks: it is told to stop.
func TestHangupFreesTheKey(t *testing.T) {
	t.Parallel()
	device, freed := heldKey(t)
	s := newScreen(t)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // which keyfob ignores if these tests do, under nohup
	defer signal.Stop(hangups)
	cmd := s.command(registering(device)...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	s.waitFor(t, "Touch "+device)
	require.NoError(t, s.theirs.Close())
	require.NoError(t, s.ours.Close())
	<-freed
	cmd.Wait()
	require.Equal(t, exitCancelled, cmd.ProcessState.ExitCode(), "%v", cmd.ProcessState)
}

// Whoever would read that the key wants a touch is gone: so is the wish.
func TestNobodyReadsWhatToDo(t *testing.T) {
	t.Parallel()
	device, freed := heldKey(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	defer w.Close()
	cmd := exec.Command(os.Args[0], registering(device)...)
	cmd.Env = append(os.Environ(), asKeyfob+"=1")
	cmd.Stderr = w
	cmd.Run()
	<-freed
	require.Equal(t, exitCancelled, cmd.ProcessState.ExitCode(), "%v", cmd.ProcessState)
}

func TestNobodyReadsTheResult(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	defer w.Close()
	cmd := exec.Command(os.Args[0], "version")
	cmd.Env = append(os.Environ(), asKeyfob+"=1")
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	cmd.Run()
	require.Equal(t, exitError, cmd.ProcessState.ExitCode(), "%v", cmd.ProcessState)
	require.Empty(t, stderr.String())
}

func TestNewPINIsNeverTypedTheSameWayTwice(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	s := newScreen(t)
	wait := s.start("pin", "set", "--device", device)
	for range newPINAttempts {
		s.answer("New PIN (at least 4 characters): ", "secret-1\r")
		s.answer("The new PIN again: ", "secret-2\r")
	}
	status, _ := wait()
	require.Equal(t, exitPINInvalid, status)
	require.NotContains(t, s.all.String(), "differ. They differ")
	require.NotContains(t, s.all.String(), "secret")
}

// Standard input that does not end is left when the user has had enough.
func TestCtrlCWhileStandardInputIsRead(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	for _, args := range [][]string{{"trace", "-"}, {"blobs", "set", "AAAA", "-", "--device", device}} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		sys := keys()
		sys.stdin = readerFunc(func(p []byte) (int, error) {
			cancel()
			return r.Read(p)
		})
		keyfobOn(ctx, sys, args...).requireFailure(t, exitCancelled, "cancelled")
		w.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
