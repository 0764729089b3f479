package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestFromTheFirstTouchToTheLast(t *testing.T) {
	t.Parallel()
	s := serve(t)
	device, touches := plug(t, virtual.Config{})
	alice := s.shell(s.addUser("alice"), device)

	_, stderr, status := alice.run("", "forward", "echo")
	require.Equal(t, 1, status)
	require.Equal(t, "connect: server: you have no key: register one first\n", stderr)

	stdout, stderr, status := alice.run("", "register", "blue one")
	require.Zero(t, status, stderr)
	require.Empty(t, stdout)
	stdout, _, status = alice.run("", "list")
	require.Zero(t, status)
	require.Regexp(t, `^NAME      REGISTERED           LAST USED\nblue one  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  never\n$`, stdout)

	stdout, stderr, status = alice.run("through the server", "forward", "echo")
	require.Zero(t, status, stderr)
	require.Equal(t, "through the server", stdout, "nothing but the connection is on standard output")
	require.EqualValues(t, 2, touches.Load())
	stdout, _, _ = alice.run("", "list")
	require.NotContains(t, stdout, "never")

	_, _, status = alice.run("", "delete", "blue one")
	require.Zero(t, status)
	_, stderr, status = alice.run("", "delete", "blue one")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "no key of that name")
}

// What the README begins with works, with a key that "keyfob virtual serve" plays.
func TestDemo(t *testing.T) {
	t.Parallel()
	plug(t, virtual.Config{}) // or skip
	listener, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	c := exec.CommandContext(t.Context(), "./demo")
	c.Env = append(os.Environ(), "PORT="+port)
	c.WaitDelay = time.Second // after its end; it leaves nobody behind who could write
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "404 page not found\n", "the answer of the target")
	require.Regexp(t, `my first key  \S+ \S+  \d`, string(out), "the key was used")
}

func TestForwardListensForMany(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[string]int32{"1m": 2, "0": 4} {
		s := serve(t, "--token-lifetime", lifetime)
		alice, touches := s.member("alice")

		c := alice.command("forward", "--listen", "127.0.0.1:0", "echo")
		talk, err := c.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lines := bufio.NewReader(talk)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		address, found := strings.CutSuffix(line, " is echo now.\n")
		require.True(t, found, line)
		go io.Copy(io.Discard, lines)
		for range 3 {
			requireEcho(t, address)
		}
		require.Equal(t, want, touches.Load(), "to register, and for each token")
		require.NoError(t, c.Process.Signal(os.Interrupt))
		c.Wait()
	}
}

func requireEcho(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	heard, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "hello", string(heard))
}

// Whatever the server has answered holds after it was killed and started again, and what it has begun can be ended.
func TestKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "--token-lifetime", "0")
	token := s.addUser("alice")
	server := &api.Client{Server: s.url, Token: token}
	key := newToucher(s.url, io.Discard)
	device, _ := plug(t, virtual.Config{})
	key.use(device)
	finish := func(c *api.Ceremony, touch func(context.Context, json.RawMessage) (any, error)) *api.Answer {
		answer, err := key.answer(t.Context(), func() (*api.Ceremony, error) { return c, nil }, touch)
		require.NoError(t, err)
		return answer
	}
	begin := func(c *api.Ceremony, err error) *api.Ceremony {
		require.NoError(t, err)
		return c
	}
	grant := func(a *api.Answer) string {
		granted, err := server.FinishConnection(t.Context(), a)
		require.NoError(t, err)
		return granted.Token
	}

	created := finish(begin(server.BeginRegistration(t.Context(), "key")), key.register)
	s.kill()
	_, err := server.FinishRegistration(t.Context(), created)
	require.Error(t, err)
	s.start()
	_, err = server.FinishRegistration(t.Context(), created)
	require.NoError(t, err, "the ceremony was not lost")
	s.kill()
	s.start()
	keys, err := server.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1, "the key was not lost")

	used := grant(finish(begin(server.BeginConnection(t.Context(), "echo")), key.authenticate))
	conn, err := server.Connect(t.Context(), used)
	require.NoError(t, err)
	defer conn.Close()
	unused := grant(finish(begin(server.BeginConnection(t.Context(), "echo")), key.authenticate))
	asserted := finish(begin(server.BeginConnection(t.Context(), "echo")), key.authenticate)
	s.kill()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "the connection ends with the server")
	s.start()
	_, err = server.Connect(t.Context(), used)
	require.ErrorContains(t, err, "used already")
	again, err := server.Connect(t.Context(), unused)
	require.NoError(t, err, "the token was not lost")
	again.Close()
	grant(asserted)
	_, err = server.FinishConnection(t.Context(), asserted)
	require.ErrorContains(t, err, "is over")
}

func TestSSHGoesThrough(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("KEYFOB_EXAMPLES") == "require" {
			require.NoError(t, err, "install the Debian package openssh-client")
		}
		t.Skip("no ssh here: install the Debian package openssh-client")
	}
	s := serve(t, "--target", "shell="+sshServer(t))
	alice, touches := s.member("alice")
	stdout, stderr, status := alice.run("", "ssh", "shell",
		"-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "who are you")
	require.Equal(t, 7, status, stderr)
	require.Equal(t, "asked: who are you", stdout)
	require.EqualValues(t, 2, touches.Load())

	_, stderr, status = alice.run("", "ssh", "nowhere", "-F", "none", "-o", "BatchMode=yes")
	require.Equal(t, 255, status, "that of ssh")
	require.Contains(t, stderr, "connect: server: there is no target of that name\n")
}

// sshServer lets everybody in, repeats their commands and ends with status 7.
func sshServer(t *testing.T) (address string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go repeatCommands(conn, config)
		}
	}()
	return listener.Addr().String()
}

func repeatCommands(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			request.Reply(true, nil)
			var command struct{ Text string }
			if request.Type == "exec" && ssh.Unmarshal(request.Payload, &command) == nil {
				io.WriteString(channel, "asked: "+command.Text)
				channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{7}))
				channel.Close()
			}
		}
	}
}

func TestFailuresHaveTheirStatus(t *testing.T) {
	t.Parallel()
	s := serve(t)
	token := s.addUser("alice")
	device, _ := plug(t, virtual.Config{})
	alice := s.shell(token, device)
	_, _, status := alice.run("", "register", "key")
	require.Zero(t, status)
	cases := []struct {
		name   string
		shell  *shell
		args   []string
		status int
		stderr string
	}{
		{"no command", alice, nil, 1, "usage: connect register"},
		{"no such command", alice, []string{"forward"}, 1, "usage: connect register"},
		{"nothing is set", s.shell("", ""), []string{"list"}, 1, "CONNECT_SERVER and CONNECT_TOKEN must be set"},
		{"the token would pass in the clear", &shell{t, append(alice.env, "CONNECT_SERVER=http://example.org")}, []string{"list"},
			1, "CONNECT_SERVER: "},
		{"an option to ssh", alice, []string{"ssh", "-oProxyCommand=x"}, 1, "no name of a target that ssh takes"},
		{"a command to the shell", alice, []string{"ssh", "$(x)"}, 1, "no name of a target that ssh takes"},
		{"a wrong token", s.shell("x", device), []string{"list"}, 1, "server: whose token is that?"},
		{"a name in use", alice, []string{"register", "key"}, 1, "server: there is a key of that name"},
		{"a name of 129 characters", alice, []string{"register", strings.Repeat("x", 129)}, 1, "128 characters"},
		{"the same key again", alice, []string{"register", "other"}, 10, "use a key that is not registered yet"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, status := c.shell.run("", c.args...)
			require.Equal(t, c.status, status, stderr)
			require.Contains(t, stderr, c.stderr)
		})
	}
}
