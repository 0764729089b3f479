package guest

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// background is a keyfob command that runs while the test does something else.
type background struct {
	*exec.Cmd
	stdout bytes.Buffer
	stderr *bufio.Reader
}

func startKeyfob(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{Cmd: exec.CommandContext(t.Context(), "keyfob", args...)}
	b.Stdout = &b.stdout
	stderr, err := b.StderrPipe()
	require.NoError(t, err)
	b.stderr = bufio.NewReader(stderr)
	require.NoError(t, b.Start())
	return b
}

// nextLine waits for the next line on standard error.
func (b *background) nextLine(t *testing.T) string {
	t.Helper()
	lines := make(chan string, 1)
	go func() {
		line, _ := b.stderr.ReadString('\n')
		lines <- line
	}()
	return receive(t, lines)
}

// requireEnd waits for the command to end with a status and nothing on its standard output.
func (b *background) requireEnd(t *testing.T, status int) {
	t.Helper()
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(b.stderr)
		rest <- string(text)
	}()
	text := receive(t, rest)
	t.Log(text)
	require.Equal(t, status, wait(t, b.Cmd), text)
	require.Empty(t, b.stdout.String())
}
