package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/virtual"
)

// TestSSHDAcceptsOurSigner logs in at OpenSSH's server with x/crypto's client. What authorized_keys says about touches and
// the PIN decides together with what the key was made for.
func TestSSHDAcceptsOurSigner(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	for _, kind := range kinds {
		for _, c := range []struct {
			name    string
			flags   byte
			options string
			refused bool
		}{
			{name: "touch", flags: touchRequired},
			{name: "PIN", flags: touchRequired | verifyRequired},
			{name: "PIN, which the server wants", flags: touchRequired | verifyRequired, options: "verify-required "},
			{name: "no PIN, which the server wants", flags: touchRequired, options: "verify-required ", refused: true},
			{name: "no touch", refused: true},
			{name: "no touch, which the server permits", options: "no-touch-required "},
		} {
			t.Run(kind.name+", "+c.name, func(t *testing.T) {
				k := u.enrol(t, kind.algorithm, c.flags)
				s := startSSHD(t, c.options+string(k.authorized()))
				client, err := ssh.Dial("tcp", s.address, clientConfig(s.user, []ssh.Signer{&signer{t.Context(), u.Client, k}}))
				if err == nil {
					defer client.Close()
				}
				if c.refused {
					require.ErrorContains(t, err, "unable to authenticate")
					return
				}
				require.NoError(t, err)
				session, err := client.NewSession()
				require.NoError(t, err)
				out, err := session.Output("echo welcome")
				require.NoError(t, err)
				require.Equal(t, "welcome\n", string(out))
			})
		}
	}
}

// TestSSHUsesOurAgent has OpenSSH's client log in at OpenSSH's server with our agent.
func TestSSHUsesOurAgent(t *testing.T) {
	t.Parallel()
	client := requireProgram(t, "ssh", "openssh-client")
	u := newPerson(t, virtual.Config{})
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			k := u.enrol(t, kind.algorithm, touchRequired)
			s := startSSHD(t, string(k.authorized()))
			host, port, err := net.SplitHostPort(s.address)
			require.NoError(t, err)
			u.touches.Store(0)
			require.Equal(t, "welcome\n", mustRun(t, exec.CommandContext(t.Context(), client, "-F", "none", "-p", port,
				"-o", "IdentityAgent="+startAgent(t, u, k), "-o", "IdentityFile=none", "-o", "BatchMode=yes",
				"-o", "UserKnownHostsFile="+filepath.Join(t.TempDir(), "hosts"), "-o", "StrictHostKeyChecking=no",
				s.user+"@"+host, "echo welcome")))
			require.EqualValues(t, 1, u.touches.Load())
		})
	}
}

// sshd is OpenSSH's server, which lets the user of the test in.
type sshd struct {
	address, user string
}

// startSSHD starts a server with a file authorized_keys. As inetd does, it starts sshd for each connection.
func startSSHD(t *testing.T, authorized string) sshd {
	t.Helper()
	program := requireProgram(t, "sshd", "openssh-server")
	me, err := user.Current()
	require.NoError(t, err)
	if me.Uid == "0" {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // else sshd does not start as root
	}
	config := sshdConfig(t, authorized)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serveSSHD(t, conn.(*net.TCPConn), program, config)
		}
	}()
	return sshd{l.Addr().String(), me.Username}
}

func sshdConfig(t *testing.T, authorized string) (path string) {
	t.Helper()
	dir := t.TempDir()
	path, keys, host := filepath.Join(dir, "config"), filepath.Join(dir, "authorized_keys"), filepath.Join(dir, "host")
	require.NoError(t, create(host, 0o600, newHostKeyFile(t)))
	require.NoError(t, create(keys, 0o600, []byte(authorized)))
	require.NoError(t, create(path, 0o600, fmt.Appendf(nil,
		"HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPasswordAuthentication no\nLogLevel VERBOSE\n", host, keys)))
	return path
}

func serveSSHD(t *testing.T, conn *net.TCPConn, program, config string) {
	file, err := conn.File()
	conn.Close()
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	var log strings.Builder
	c := exec.Command(program, "-i", "-e", "-f", config)
	c.Stdin, c.Stdout, c.Stderr = file, file, &log
	if err := c.Run(); err != nil { // which is how a refused login ends as well
		t.Logf("sshd: %v: %s", err, &log)
	}
}
