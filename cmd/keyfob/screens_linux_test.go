package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/virtual"
)

// resize gives the terminal so many columns.
func (s *screen) resize(width uint16) {
	s.t.Helper()
	control(s.t, s.ours, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width})
	})
}

// near starts programs where the socket of a key is, and returns the name that the key has there.
func (s *screen) near(device string) string {
	path := strings.TrimPrefix(device, "unix:")
	s.dir = filepath.Dir(path)
	return "unix:" + filepath.Base(path)
}

var sequence = regexp.MustCompile("\x1b\\[[0-9]*m")

// visible returns what a terminal of so many columns shows after text was written to it.
func visible(t *testing.T, text string, width int) string {
	t.Helper()
	var lines []string
	line, at := []rune(nil), 0
	for text = sequence.ReplaceAllString(text, ""); text != ""; {
		if rest, erase := strings.CutPrefix(text, "\x1b[K"); erase {
			line, text = line[:at], rest
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			at = 0
		case '\n':
			lines, line, at = append(lines, string(line)), nil, 0
		default:
			require.GreaterOrEqual(t, r, ' ', "no other sequences")
			if at == width {
				lines, line, at = append(lines, string(line)), nil, 0
			}
			line = append(line[:at], append([]rune{r}, line[min(at+1, len(line)):]...)...)
			at++
		}
	}
	return strings.Join(append(lines, string(line)), "\n")
}

// snapshot compares what the terminal shows, once it has shown text, with a file.
func (s *screen) snapshot(name string, width int, text string) {
	s.t.Helper()
	s.waitFor(s.t, text)
	shown := visible(s.t, s.all.String(), width)
	requireNarrow(s.t, width+1, shown)
	requireScreen(s.t, fmt.Sprintf("%s-%d.txt", name, width), shown+"\n")
}

var widths = []int{80, 40}

func TestScreenOfATouch(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		device, _ := plug(t, untouched())
		s := newScreen(t)
		s.resize(uint16(width))
		wait := s.start(registering(s.near(device))...)
		s.snapshot("touch", width, "to register")
		_, err := s.ours.WriteString("\x03")
		require.NoError(t, err)
		status, _ := wait()
		require.Equal(t, exitCancelled, status)
		s.snapshot("touch-cancelled", width, "is free again\r\n")
	}
}

func TestScreenOfSeveralKeys(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		s := newScreen(t)
		s.resize(uint16(width))
		d := newDisplay(s.theirs)
		d.color = true
		inv := &invocation{system: system{stderr: d}, display: d}
		inv.display.ask(prompt{before: "Touch the security key to use"})
		s.snapshot("choose", width, "key to use")
		fmt.Fprintln(inv.stderr, "/dev/hidraw7 cannot be used: it was pulled")
		s.snapshot("choose-dropped", width, "key to use")
		inv.display.clear()
	}
}

func TestScreenOfPINs(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		device, _ := plugWithPIN(t)
		s := newScreen(t)
		s.resize(uint16(width))
		wait := s.start("pin", "change", "--device", s.near(device))
		s.answer("retries left): ", "1234\r")
		s.answer("New PIN (at least 4 characters): ", "5678\r")
		s.answer("again: ", "56789\r")
		s.answer("New PIN (at least 4 characters): ", "5678\r")
		s.answer("again: ", "5678\r")
		status, _ := wait()
		require.Equal(t, exitOK, status)
		s.snapshot("pin-change", width, "is changed.\r\n")
	}
}

func TestScreenOfAReset(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		device, _ := plugWithPIN(t)
		s := newScreen(t)
		s.resize(uint16(width))
		wait := s.start("reset", "--device", s.near(device))
		s.snapshot("reset", width, "go on: ")
		_, err := s.ours.WriteString("no\r")
		require.NoError(t, err)
		status, _ := wait()
		require.Equal(t, exitCancelled, status)
	}
}

func TestScreenOfProgress(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		s := newScreen(t)
		s.resize(uint16(width))
		d := newDisplay(s.theirs)
		d.progress(1, 5)
		s.snapshot("progress", width, "1 of 5")
		d.ask(prompt{"Touch ", "Yubico YubiKey Bio (/dev/hidraw3)", " to enroll"})
		s.snapshot("progress-touch", width, "1 of 5")
		d.progress(5, 5)
		s.snapshot("progress-end", width, "5 of 5")
		d.clear()
		fmt.Fprintln(d, "The finger is enrolled.")
		s.snapshot("progress-gone", width, "enrolled.\r\n")
	}
}

// The line that is alive follows the terminal's width.
func TestScreenThatShrinks(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	s.resize(80)
	d := newDisplay(s.theirs)
	d.ask(prompt{"Touch ", "Yubico YubiKey Bio (/dev/hidraw3)", " to enroll"})
	s.waitFor(t, "to enroll")
	s.resize(30)
	d.ask(prompt{"Touch ", "Yubico YubiKey Bio (/dev/hidraw3)", " to enroll"})
	s.waitFor(t, "\x1b[KTouch Yubico Yub… to enroll")
}

func TestColorsOnATerminal(t *testing.T) {
	device, _ := plug(t, virtual.Config{})
	for _, c := range []struct {
		env   string
		flags []string
		want  bool
	}{
		{"TERM=xterm", nil, true},
		{"TERM=dumb", nil, false},
		{"NO_COLOR=1", nil, false},
		{"NO_COLOR=", nil, true},
		{"NO_COLOR=1", []string{"--color", "always"}, true},
		{"TERM=xterm", []string{"--color=never"}, false},
	} {
		s := newScreen(t)
		cmd := s.command(append([]string{"pin", "retries", "--device", device}, c.flags...)...)
		cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=", c.env)
		cmd.Stdout = s.theirs
		require.NoError(t, cmd.Run())
		s.waitFor(t, "powerCycleState")
		require.Equal(t, c.want, strings.Contains(s.all.String(), "\x1b"), "%v", c)
	}
}

// A terminal that obeys nothing gets lines, as a file does.
func TestDumbTerminal(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	s := newScreen(t)
	cmd := s.command(registering(device)...)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	cmd.Stdout = io.Discard
	require.NoError(t, cmd.Run())
	s.waitFor(t, "Touch "+device+" to register\r\n")
	require.NotContains(t, s.all.String(), "\x1b")
}

// What the user was told goes when it is done, and nothing of it is left for what comes next.
func TestTouchGoesWhenItIsDone(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	s := newScreen(t)
	wait := s.start(registering(device)...)
	status, _ := wait()
	require.Equal(t, exitOK, status)
	s.waitFor(t, "Touch ")
	s.waitFor(t, eraseLine)
	require.Empty(t, visible(t, s.all.String(), 80))
}

func TestScreenOfHelp(t *testing.T) {
	t.Parallel()
	for _, width := range widths {
		s := newScreen(t)
		s.resize(uint16(width))
		cmd := s.command("help")
		cmd.Stdout = s.theirs
		require.NoError(t, cmd.Run())
		s.snapshot("help", width, "a command.\r\n")
		cmd = s.command("derive", "-h")
		cmd.Stdout = s.theirs
		require.NoError(t, cmd.Run())
		s.waitFor(t, "one line of JSON")
	}
}
