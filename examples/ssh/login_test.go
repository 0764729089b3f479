package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/keyfob-go/keyfob/virtual"
)

// TestLoginAtGoServer needs nothing but Go. Each login costs one touch.
func TestLoginAtGoServer(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			u := newPerson(t, virtual.Config{}, virtual.Config{})
			k := u.enrol(t, kind.algorithm, touchRequired)
			u.touches.Store(0)
			signers := []ssh.Signer{&signer{t.Context(), u.Client, k}}
			require.NoError(t, loginAtGoServer(t, k, signers))
			require.EqualValues(t, 1, u.touches.Load(), "although there are two security keys")
		})
	}
}

// TestLoginWithAgentInProcess is how a program has the agent in it.
func TestLoginWithAgentInProcess(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	k := u.enrol(t, kinds[0].algorithm, touchRequired|verifyRequired)
	conn := connectAgent(t, u, k)
	signers, err := agent.NewClient(conn).Signers()
	require.NoError(t, err)
	require.NoError(t, loginAtGoServer(t, k, signers))
}

// loginAtGoServer lets x/crypto's client log in at x/crypto's server, which knows one key.
func loginAtGoServer(t *testing.T, known *key, signers []ssh.Signer) error {
	t.Helper()
	server := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			require.Equal(t, known.ssh.Marshal(), offered.Marshal())
			return nil, nil
		},
	}
	server.AddHostKey(newHostKey(t))
	here, there := tcpPipe(t)
	served := make(chan error, 1)
	go func() {
		_, _, _, err := ssh.NewServerConn(there, server)
		served <- err
	}()
	_, _, _, err := ssh.NewClientConn(here, "server", clientConfig("somebody", signers))
	if err != nil {
		return err
	}
	return <-served
}

func clientConfig(user string, signers []ssh.Signer) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
}

func newHostKey(t *testing.T) ssh.Signer {
	t.Helper()
	s, err := ssh.ParsePrivateKey(newHostKeyFile(t))
	require.NoError(t, err)
	return s
}

func newHostKeyFile(t *testing.T) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	b, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	return pem.EncodeToMemory(b)
}

// tcpPipe returns both ends of a connection.
func tcpPipe(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	here, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	there, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		here.Close()
		there.Close()
	})
	return here, there
}

// TestSSHKeygenVerifies has ssh-keygen judge our signatures of a message.
func TestSSHKeygenVerifies(t *testing.T) {
	t.Parallel()
	keygen := requireProgram(t, "ssh-keygen", "openssh-client")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			u := newPerson(t, virtual.Config{})
			k := u.enrol(t, kind.algorithm, touchRequired)
			sig, err := signMessage(&signer{t.Context(), u.Client, k}, "file", strings.NewReader("a letter"))
			require.NoError(t, err)
			dir := t.TempDir()
			sigFile, signers := filepath.Join(dir, "sig"), filepath.Join(dir, "signers")
			require.NoError(t, create(sigFile, 0o600, sig))
			require.NoError(t, create(signers, 0o600, append([]byte("ada "), k.authorized()...)))
			verify := func(message string) *exec.Cmd {
				c := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", signers, "-I", "ada", "-n", "file", "-s", sigFile)
				c.Stdin = strings.NewReader(message)
				return c
			}
			require.Contains(t, mustRun(t, verify("a letter")), `Good "file" signature for ada`)
			require.Error(t, verify("another letter").Run())
		})
	}
}

// TestSSHKeygenReadsOurFiles has ssh-keygen compute the public key from our private key file.
func TestSSHKeygenReadsOurFiles(t *testing.T) {
	t.Parallel()
	keygen := requireProgram(t, "ssh-keygen", "openssh-client")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			k := newPerson(t, virtual.Config{}).enrol(t, kind.algorithm, touchRequired)
			path := filepath.Join(t.TempDir(), "id")
			require.NoError(t, k.write(path))
			require.Equal(t, string(k.authorized()), mustRun(t, exec.CommandContext(t.Context(), keygen, "-y", "-f", path)))
			// What it writes in its turn, with another comment, is the same key.
			mustRun(t, exec.CommandContext(t.Context(), keygen, "-c", "-C", "ada", "-f", path))
			again, err := readKey(path)
			require.NoError(t, err)
			k.comment = "ada"
			require.Equal(t, k, again)
		})
	}
}
