package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// asKeyfob makes the test binary be the command, for tests that need a process of their own.
const asKeyfob = "KEYFOB_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asKeyfob) != "" {
		main()
	}
	os.Exit(m.Run())
}

// commandLimit is what no command should take, however busy the machine.
const commandLimit = 30 * time.Second

// console is what a command writes to standard error, or to both. It is safe for concurrent use.
type console struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed by the next Write
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return c.b.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// waitFor waits until the console shows all of text, which it then forgets together with what came before.
func (c *console) waitFor(t *testing.T, text string) {
	t.Helper()
	for {
		c.mu.Lock()
		if i := strings.Index(c.b.String(), text); i != -1 {
			c.b.Next(i + len(text))
			c.mu.Unlock()
			return
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(commandLimit):
			require.FailNow(t, "the console never showed it", "%q, but %q", text, c.String())
		}
	}
}

// result is what a command left behind.
type result struct {
	status         int
	stdout, stderr string
}

func noTerminal() (*os.File, error) { return nil, errNoTerminal }

// keys is a system with the given keys and without a terminal.
func keys(list ...hid.Info) system {
	return system{list: func() ([]hid.Info, error) { return list, nil }, terminal: noTerminal}
}

// keyfob runs the command without keys and without a terminal.
func keyfob(t testing.TB, args ...string) result {
	t.Helper()
	return keyfobOn(t.Context(), keys(), args...)
}

func keyfobOn(ctx context.Context, sys system, args ...string) result {
	var stdout, stderr console
	sys.stdout = &stdout
	if sys.stderr == nil {
		sys.stderr = &stderr
	}
	status := run(ctx, args, sys)
	return result{status, stdout.String(), stderr.String()}
}

// requireFailure checks the status of a command that failed, that standard output is empty, and what it says.
func (r result) requireFailure(t *testing.T, status int, says ...string) {
	t.Helper()
	require.Equal(t, status, r.status, r.stderr)
	require.Empty(t, r.stdout)
	require.True(t, strings.HasPrefix(r.stderr, "keyfob") || strings.Contains(r.stderr, "\nkeyfob: "), r.stderr)
	for _, text := range says {
		require.Contains(t, r.stderr, text)
	}
}

// requireOK checks that a command worked.
func (r result) requireOK(t testing.TB) result {
	t.Helper()
	require.Equal(t, exitOK, r.status, r.stderr)
	return r
}

// members returns the JSON object of a command that worked.
func (r result) members(t *testing.T) map[string]any {
	t.Helper()
	r.requireOK(t)
	return decodeObject(t, r.stdout)
}

func decodeObject(t *testing.T, line string) (v map[string]any) {
	t.Helper()
	require.Equal(t, 1, strings.Count(line, "\n"), line)
	require.NoError(t, json.Unmarshal([]byte(line), &v), line)
	return v
}

// plug serves a virtual key at a socket and returns its --device.
func plug(t testing.TB, c virtual.Config) (device string, key *virtual.Authenticator) {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	// A socket's path must be shorter than t.TempDir's may be, and always as long as that of others, for tables.
	dir := filepath.Join(os.TempDir(), "keyfob-"+rand.Text()[:10])
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "key")
	l, err := net.Listen("unixpacket", path)
	if err != nil {
		os.RemoveAll(dir)
		t.Skip("no SOCK_SEQPACKET sockets here: ", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { accept(ctx, &serving, l, key) })
	t.Cleanup(func() {
		cancel()
		l.Close()
		serving.Wait()
		key.Close()
		os.RemoveAll(dir)
	})
	return "unix:" + path, key
}

func accept(ctx context.Context, serving *sync.WaitGroup, l net.Listener, key *virtual.Authenticator) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		serving.Go(func() { key.Serve(ctx, conn) })
	}
}

// pinFile returns a file with the given text.
func pinFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
