package tui_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/hinshun/vt10x"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/examples/manage/model"
	"github.com/keyfob-go/keyfob/examples/manage/tui"
	"github.com/keyfob-go/keyfob/virtual"
)

var update = flag.Bool("update", false, "write the golden screens anew, to be looked at")

const patience = 30 * time.Second

// terminal is what the user sits at: a screen that shows what the program writes, and a keyboard.
type terminal struct {
	t     *testing.T
	vt    vt10x.Terminal
	wrote chan struct{} // gets a value when the program has written
	in    *io.PipeWriter
	done  chan error // gets what the program returned
}

// start runs the program with the keys of a hub, in a terminal of that size, until the test ends.
func start(t *testing.T, hub *virtual.Hub, width, height int) *terminal {
	t.Helper()
	keyboard, in := io.Pipe()
	term := &terminal{
		t: t, vt: vt10x.New(vt10x.WithSize(width, height)), wrote: make(chan struct{}, 1), in: in, done: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		term.done <- tui.Run(ctx, model.New(model.Source{Watch: hub.Watch, Open: hub.Open}),
			tea.WithInput(keyboard), tea.WithOutput(term), tea.WithWindowSize(width, height), tea.WithoutSignals(),
			tea.WithEnvironment([]string{"TERM=xterm-256color", "NO_COLOR=1"}))
	}()
	t.Cleanup(func() {
		cancel()
		in.Close()
		err := <-term.done
		if !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	})
	return term
}

// Write is the terminal's driver: what is no device gets new lines, not line feeds.
func (m *terminal) Write(p []byte) (int, error) {
	_, err := m.vt.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	select {
	case m.wrote <- struct{}{}:
	default:
	}
	return len(p), err
}

// screen is what the user sees.
func (m *terminal) screen() string {
	lines := strings.Split(strings.TrimSuffix(m.vt.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// await waits until the screen is as it should be.
func (m *terminal) await(good func(screen string) bool, explain func(screen string)) {
	m.t.Helper()
	late := time.After(patience)
	for !good(m.screen()) {
		select {
		case <-m.wrote:
		case <-late:
			explain(m.screen())
			m.t.FailNow()
		}
	}
}

// sees waits until all that is on the screen.
func (m *terminal) sees(texts ...string) {
	m.t.Helper()
	m.await(func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	}, func(screen string) { m.t.Errorf("%q do not come:\n%s", texts, screen) })
}

// types types keys once the screen shows what makes the user type them, and, but to cancel that, no task runs any more.
func (m *terminal) types(shown, keys string) {
	m.t.Helper()
	m.await(func(screen string) bool {
		busy := strings.HasSuffix(screen, "\nesc cancel")
		return strings.Contains(screen, shown) && (!busy || keys == escape)
	}, func(screen string) { m.t.Errorf("%q does not come:\n%s", shown, screen) })
	_, err := io.WriteString(m.in, keys)
	require.NoError(m.t, err)
}

// golden waits until the screen is that of the file.
func (m *terminal) golden(name string) {
	m.t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(m.t, os.WriteFile(file, []byte(m.settled()+"\n"), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(m.t, err)
	m.await(func(screen string) bool { return screen+"\n" == string(want) }, func(screen string) {
		require.Equal(m.t, string(want), screen+"\n", "run the test with -update, and look at the difference")
	})
}

// settled returns the screen once it has stopped changing.
func (m *terminal) settled() string {
	for {
		select {
		case <-m.wrote:
		case <-time.After(300 * time.Millisecond):
			return m.screen()
		}
	}
}

const (
	enter     = "\r"
	escape    = "\x1b"
	up        = "\x1b[A"
	down      = "\x1b[B"
	backspace = "\x7f"
)
