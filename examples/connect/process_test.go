package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// programs are the client and the server, built as they would be for a release.
type programs struct{ client, server string }

var built = sync.OnceValues(func() (p programs, err error) {
	dir, err := os.MkdirTemp("", "connect") // removed by TestMain
	if err != nil {
		return p, err
	}
	p = programs{filepath.Join(dir, "connect"), filepath.Join(dir, "server")}
	cleanups = append(cleanups, func() { os.RemoveAll(dir) })
	for path, source := range map[string]string{p.client: ".", p.server: "./server"} {
		build := exec.Command("go", "build", "-o", path, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return p, errors.New(string(out))
		}
	}
	return p, nil
})

var cleanups []func()

func TestMain(m *testing.M) {
	status := m.Run()
	for _, cleanup := range cleanups {
		cleanup()
	}
	os.Exit(status)
}

func build(t *testing.T) programs {
	t.Helper()
	p, err := built()
	require.NoError(t, err)
	return p
}

// A service is the server as a process of its own, with its database.
type service struct {
	t       *testing.T
	flags   []string
	address string // once it has served
	url     string
	process *exec.Cmd
}

// serve starts a server with the target "echo".
func serve(t *testing.T, flags ...string) *service {
	t.Helper()
	s := &service{t: t, address: "localhost:0"}
	s.flags = append([]string{"--database", filepath.Join(t.TempDir(), "db"), "--target", "echo=" + echoServer(t)}, flags...)
	s.start()
	t.Cleanup(s.kill)
	return s
}

var serving = regexp.MustCompile(`msg=serving origin=(\S+) address=(\S+)`)

func (s *service) start() {
	s.t.Helper()
	s.process = exec.Command(build(s.t).server, append(s.flags, "--listen", s.address, "serve")...)
	log, err := s.process.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, s.process.Start())
	lines := bufio.NewReader(log)
	line, err := lines.ReadString('\n')
	require.NoError(s.t, err)
	found := serving.FindStringSubmatch(line)
	require.NotNil(s.t, found, line)
	s.url, s.address = found[1], found[2]
	go io.Copy(io.Discard, lines) // until the process ends
}

// kill ends the server as a power failure would.
func (s *service) kill() {
	s.process.Process.Kill()
	s.process.Wait()
}

func (s *service) addUser(name string) (token string) {
	s.t.Helper()
	out, err := exec.Command(build(s.t).server, append(s.flags, "add-user", name)...).Output()
	require.NoError(s.t, err)
	return strings.TrimSpace(string(out))
}

// echoServer sends back what it gets, and ends when its client does.
func echoServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// plug offers a key to other processes, and counts its touches.
func plug(t *testing.T, c virtual.Config) (device string, touches *atomic.Int32) {
	t.Helper()
	dir, err := os.MkdirTemp("", "key") // the path of a socket must be shorter than t.TempDir's may be
	require.NoError(t, err)
	touches = new(atomic.Int32)
	c.UserPresence = func(context.Context, virtual.Prompt) error {
		touches.Add(1)
		return nil
	}
	key := newKey(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	path := filepath.Join(dir, "s")
	go func() { done <- key.ServeUnix(ctx, path, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		os.RemoveAll(dir)
	})
	select {
	case <-ready:
	case err := <-done:
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("no SOCK_SEQPACKET sockets here: ", err)
		}
		require.NoError(t, err)
	}
	return "unix:" + path, touches
}

// A shell is where a user runs the client.
type shell struct {
	t   *testing.T
	env []string
}

// member is the shell of a new user who has registered a key, and how often that was touched.
func (s *service) member(name string) (user *shell, touches *atomic.Int32) {
	s.t.Helper()
	device, touches := plug(s.t, virtual.Config{})
	user = s.shell(s.addUser(name), device)
	_, stderr, status := user.run("", "register", "key")
	require.Zero(s.t, status, stderr)
	return user, touches
}

func (s *service) shell(token, device string) *shell {
	return &shell{s.t, append(os.Environ(), "CONNECT_SERVER="+s.url, "CONNECT_TOKEN="+token, "CONNECT_DEVICE="+device)}
}

func (s *shell) command(args ...string) *exec.Cmd {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), build(s.t).client, args...)
	c.Env = s.env
	return c
}

// run runs the client to its end.
func (s *shell) run(stdin string, args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	c := s.command(args...)
	var out, talk bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &talk
	err := c.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(s.t, err)
	}
	return out.String(), talk.String(), c.ProcessState.ExitCode()
}
