package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// asProgram makes the test binary this program, and asAskpass one that gives the PIN.
const (
	asProgram = "SSH_EXAMPLE_TEST_PROGRAM"
	asAskpass = "SSH_EXAMPLE_TEST_PIN"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asProgram) != "":
		os.Unsetenv(asProgram)
		main()
	case os.Getenv(asAskpass) != "":
		fmt.Fprintln(os.Stderr, os.Args[1])
		fmt.Println(os.Getenv(asAskpass))
	default:
		os.Exit(m.Run())
	}
}

// program is this program with a security key at a socket, in a folder of its own.
type program struct {
	socket, dir, pin string
}

// newProgram starts a security key with a PIN. Sockets have short names.
func newProgram(t *testing.T) *program {
	t.Helper()
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	setPIN(t, key)
	dir, err := os.MkdirTemp("", "")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, served := make(chan struct{}), make(chan error, 1)
	socket := filepath.Join(dir, "key")
	go func() { served <- key.ServeUnix(ctx, socket, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-served, context.Canceled)
		key.Close()
		os.RemoveAll(dir)
	})
	<-ready
	return &program{socket, dir, pin}
}

// command returns a command of the program, whose PIN an askpass program gives.
func (p *program) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, append([]string{name, "-device", "unix:" + p.socket}, args...)...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), asProgram+"=1", asAskpass+"="+p.pin, "SSH_ASKPASS="+self, "SSH_ASKPASS_REQUIRE=force")
	return c
}

func (p *program) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	require.NoError(t, err)
	return string(b)
}

func TestProgramEnrolsListsAndDownloads(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	line := mustRun(t, p.command(t, "enrol", "-t", "ed25519-sk", "-f", "id", "-resident", "-verify-required",
		"-application", "ssh:work", "-user", "ada"))
	require.Equal(t, p.read(t, "id.pub"), line)
	require.Equal(t, line, mustRun(t, p.command(t, "list")))

	path := "id_ed25519_sk_rk_work_ada"
	require.Equal(t, path+"\n", mustRun(t, p.command(t, "download")))
	made, err := readKey(filepath.Join(p.dir, "id"))
	require.NoError(t, err)
	downloaded, err := readKey(filepath.Join(p.dir, path))
	require.NoError(t, err)
	require.Equal(t, made, downloaded)

	again := []string{"enrol", "-f", "other", "-resident", "-application", "ssh:work", "-user", "ada"}
	for _, args := range [][]string{{"enrol", "-f", "id"}, again, {"download"}} {
		out, err := p.command(t, args[0], args[1:]...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "exists")
		require.NotContains(t, string(out), "to register")
	}
	mustRun(t, p.command(t, again[0], append(again[1:], "-replace")...))
	out, err := p.command(t, "enrol", "-f", "third", "-resident").CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(out), "PIN of "), "it is asked for once")
	const first, second = "id_ecdsa_sk_rk", "id_ecdsa_sk_rk_work_ada"
	for taken, other := range map[string]string{first: second, second: first} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, taken), nil, 0o600))
		require.Error(t, p.command(t, "download", "-d", dir).Run())
		require.FileExists(t, filepath.Join(dir, other))
	}
}

func TestProgramSigns(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	line := mustRun(t, p.command(t, "enrol", "-f", "id", "-no-touch-required", "-C", "ada lovelace"))
	require.True(t, strings.HasSuffix(line, " ada lovelace\n"))
	made, err := readKey(filepath.Join(p.dir, "id"))
	require.NoError(t, err)
	require.Zero(t, made.flags)

	c := p.command(t, "sign", "-f", "id", "-n", "git")
	c.Stdin = strings.NewReader("a commit")
	require.True(t, strings.HasPrefix(mustRun(t, c), "-----BEGIN SSH SIGNATURE-----\n"))
}

// The wrong PIN costs one try and ends it, since askpass has no other.
func TestProgramTellsWrongPIN(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.pin = "4321"
	out, err := p.command(t, "list").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "Wrong PIN, 7 tries left.")
	require.NotContains(t, string(out), "6 tries left.")
}

func TestProgramHasNobodyToAsk(t *testing.T) {
	t.Parallel()
	c := newProgram(t).command(t, "list")
	c.Env = append(c.Env, "SSH_ASKPASS_REQUIRE=never")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // which has no terminal
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "no terminal to ask on")
}

func TestProgramIsAnAgent(t *testing.T) {
	t.Parallel()
	add := requireProgram(t, "ssh-add", "openssh-client")
	p := newProgram(t)
	line := mustRun(t, p.command(t, "enrol", "-f", "id"))
	line += mustRun(t, p.command(t, "enrol", "-f", "id2", "-resident"))
	c := p.command(t, "agent", "-a", "agent", "-resident", "id")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	require.NoError(t, c.Start())
	variable, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "%s", &stderr)
	require.Equal(t, "SSH_AUTH_SOCK=agent; export SSH_AUTH_SOCK;\n", variable)

	socket, err := os.Stat(filepath.Join(p.dir, "agent"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), socket.Mode().Perm(), "nobody else's")

	list := exec.CommandContext(t.Context(), add, "-L")
	list.Dir, list.Env = p.dir, append(os.Environ(), "SSH_AUTH_SOCK=agent")
	require.Equal(t, line, mustRun(t, list))

	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait(), "%s", &stderr)
	require.NoFileExists(t, filepath.Join(p.dir, "agent"))
}

func TestSignaturesHaveAPurpose(t *testing.T) {
	t.Parallel()
	_, err := signMessage(nil, "", nil)
	require.ErrorContains(t, err, "namespace")
}

func TestProgramExplainsItself(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"steal"}} {
		require.ErrorIs(t, run(t.Context(), args), errUsage)
	}
	require.NoError(t, run(t.Context(), []string{"enrol", "-h"}))
	for _, args := range [][]string{{"-t", "rsa"}, {"-application", "https://example.org"}, {"-user", strings.Repeat("a", 33)}} {
		require.ErrorContains(t, run(t.Context(), append([]string{"enrol"}, args...)), "wrong -t")
	}
}
