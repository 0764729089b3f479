package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hinshun/vt10x"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const asManage = "KEYFOB_TEST_AS_MANAGE"

func TestMain(m *testing.M) {
	if os.Getenv(asManage) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// pty is a terminal of this system, with the program in it.
type pty struct {
	t      *testing.T
	ours   *os.File // where the user sits
	theirs *os.File // what the program sees
	cmd    *exec.Cmd
	vt     vt10x.Terminal
	wrote  chan struct{} // gets a value when the program has written

	mu  sync.Mutex
	all bytes.Buffer // what it wrote
}

func start(t *testing.T, width, height int, env ...string) *pty {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil && os.Getenv("KEYFOB_EXAMPLES") != "require" {
		t.Skip("no pseudo-terminals here: ", err)
	}
	require.NoError(t, err)
	p := &pty{t: t, ours: ours, vt: vt10x.New(vt10x.WithSize(width, height)), wrote: make(chan struct{}, 1)}
	var number int
	p.control(ours, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	p.theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	p.resize(width, height)
	p.run(env)
	return p
}

// run starts the program, which ends with the test at the latest.
func (p *pty) run(env []string) {
	p.cmd = exec.Command(os.Args[0], "-virtual")
	p.cmd.Env = append([]string{"TERM=xterm-256color", asManage + "=1"}, env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.theirs, p.theirs, p.theirs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(p.t, p.cmd.Start())
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		p.show()
	}()
	p.t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.theirs.Close()
		p.ours.Close()
		<-shown
	})
}

// show shows what the program writes until the terminal is closed.
func (p *pty) show() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.ours.Read(buffer)
		if err != nil {
			return
		}
		p.vt.Write(buffer[:n])
		p.mu.Lock()
		p.all.Write(buffer[:n])
		p.mu.Unlock()
		select {
		case p.wrote <- struct{}{}:
		default:
		}
	}
}

func (p *pty) control(f *os.File, do func(fd int) error) {
	p.t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(p.t, err)
	require.NoError(p.t, raw.Control(func(fd uintptr) { err = do(int(fd)) }))
	require.NoError(p.t, err)
}

func (p *pty) resize(width, height int) {
	p.t.Helper()
	p.vt.Resize(width, height)
	p.control(p.ours, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
}

// lines are what the user sees.
func (p *pty) lines() []string {
	lines := strings.Split(strings.TrimSuffix(p.vt.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func (p *pty) awaits(good func(lines []string) bool) {
	p.t.Helper()
	late := time.After(30 * time.Second)
	for !good(p.lines()) {
		select {
		case <-p.wrote:
		case <-late:
			require.FailNow(p.t, "that never was on the screen", "%s", strings.Join(p.lines(), "\n"))
		}
	}
}

// types types keys once the screen shows what makes the user type them, and no task runs any more.
func (p *pty) types(shown, keys string) {
	p.t.Helper()
	p.awaits(func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), shown) && lines[len(lines)-1] != "esc cancel"
	})
	_, err := p.ours.WriteString(keys)
	require.NoError(p.t, err)
}

// ends waits for the end of the program, which must leave the terminal as it was.
func (p *pty) ends() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Wait())
	p.control(p.theirs, func(fd int) error {
		settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && settings.Lflag&unix.ECHO == 0 {
			err = fmt.Errorf("the terminal does not echo any more")
		}
		return err
	})
	p.awaits(func([]string) bool { return strings.Contains(p.written(), "\x1b[?1049l") })
}

func (p *pty) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

var red = regexp.MustCompile(`\x1b\[([0-9]+;)*31[;m]`)

func TestInATerminal(t *testing.T) {
	t.Parallel()
	for name, colour := range map[string]bool{"NO_COLOR=1": false, "COLOR=1": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, 80, 24, name)
			p.types("> keyfob virtual key 1", "\r")
			p.types("> Passkeys", "\r")
			p.types("PIN of keyfob virtual key 1", "4321\r")
			p.types("! Wrong PIN.", "12")
			p.types("> ••", "")
			p.resize(40, 12)
			p.awaits(func(lines []string) bool {
				return lines[11] == "enter go on  esc cancel" && lines[4] == "  > ••"
			})
			p.types("> ••", "34\r")
			p.types("alice@example.org", "")
			p.resize(80, 24)
			p.awaits(func(lines []string) bool { return lines[23] == "d delete  r rename  esc back  q quit" })
			p.types("q quit", "q")
			p.ends()
			require.Equal(t, colour, red.MatchString(p.written()))
			require.NotContains(t, p.written(), "1234")
			require.NotContains(t, p.written(), "4321")
		})
	}
}

func TestCtrlCEndsItInTheMiddleOfAQuestion(t *testing.T) {
	t.Parallel()
	p := start(t, 80, 24)
	p.types("> keyfob virtual key 1", "\r")
	p.types("> Passkeys", "\r")
	p.types("PIN of keyfob virtual key 1", "12\x03")
	p.ends()
}
