package guest

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestSSHExampleUsesWhatKeygenMakes has ssh-keygen make keys, examples/ssh sign with them, and ssh-keygen verify.
func TestSSHExampleUsesWhatKeygenMakes(t *testing.T) {
	s := newSSH(t)
	for _, c := range sshCases {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "id")
			s.keygen(t, "", append([]string{"-q", "-t", c.kind, "-N", "", "-C", "ada", "-f", file}, c.keygen...)...)
			signature := s.example(t, "a letter", "sign", "-f", file)
			s.requireVerifies(t, file, signature, c.flags)
		})
	}
}

// TestSSHKeygenUsesWhatExampleMakes is the other way round.
func TestSSHKeygenUsesWhatExampleMakes(t *testing.T) {
	s := newSSH(t)
	for _, c := range sshCases {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "id")
			s.example(t, "", append([]string{"enrol", "-t", c.kind, "-C", "ada", "-f", file}, c.example...)...)
			signature := s.keygen(t, "a letter", "-Y", "sign", "-n", "file", "-f", file)
			s.requireVerifies(t, file, signature, c.flags)
		})
	}
}

// sshCases are keys that both programs make, with the options that each of them has for that.
var sshCases = []struct {
	name, kind      string
	keygen, example []string
	flags           ctap2.Flags // of its signatures
}{
	{name: "ecdsa-sk", kind: "ecdsa-sk", flags: ctap2.FlagUP},
	{name: "ed25519-sk", kind: "ed25519-sk", flags: ctap2.FlagUP},
	{
		name: "with PIN", kind: "ecdsa-sk",
		keygen: []string{"-O", "verify-required"}, example: []string{"-verify-required"}, flags: ctap2.FlagUP | ctap2.FlagUV,
	},
	{
		name: "without touch", kind: "ed25519-sk",
		keygen: []string{"-O", "no-touch-required"}, example: []string{"-no-touch-required"},
	},
}

// TestSSHResidentKeys has both programs make resident keys, and download all of them to files of the same names.
func TestSSHResidentKeys(t *testing.T) {
	s := newSSH(t)
	made, byKeygen, byExample := t.TempDir(), t.TempDir(), t.TempDir()
	s.keygen(t, "", "-q", "-t", "ecdsa-sk", "-N", "", "-f", filepath.Join(made, "1"), "-O", "resident")
	s.keygen(t, "", "-q", "-t", "ed25519-sk", "-N", "", "-f", filepath.Join(made, "2"), "-O", "resident",
		"-O", "verify-required", "-O", "application=ssh:work", "-O", "user=ada")
	s.example(t, "", "enrol", "-t", "ed25519-sk", "-f", filepath.Join(made, "3"), "-resident", "-user", "eve")
	s.example(t, "", "enrol", "-t", "ecdsa-sk", "-f", filepath.Join(made, "4"), "-resident", "-verify-required",
		"-application", "ssh:work", "-user", "bob")
	require.Equal(t, 4, s.key.Credentials())

	s.dir = byKeygen
	s.keygen(t, "", "-K", "-N", "")
	s.dir = byExample
	s.example(t, "", "download")
	names := fileNames(t, byKeygen)
	require.Len(t, names, 8)
	require.Equal(t, names, fileNames(t, byExample))
	for _, name := range names {
		if strings.HasSuffix(name, ".pub") {
			require.Equal(t, publicKeyIn(t, byKeygen, name), publicKeyIn(t, byExample, name))
		}
	}
	for i, name := range []string{"id_ecdsa_sk_rk", "id_ed25519_sk_rk_work_ada", "id_ed25519_sk_rk_eve", "id_ecdsa_sk_rk_work_bob"} {
		require.Equal(t, publicKeyIn(t, made, fmt.Sprintf("%d.pub", i+1)), publicKeyIn(t, byExample, name+".pub"))
		flags := ctap2.FlagUP
		if i%2 == 1 {
			flags |= ctap2.FlagUV
		}
		s.requireVerifies(t, filepath.Join(byExample, name),
			s.keygen(t, "a letter", "-Y", "sign", "-n", "file", "-f", filepath.Join(byExample, name)), flags)
		s.requireVerifies(t, filepath.Join(byKeygen, name),
			s.example(t, "a letter", "sign", "-f", filepath.Join(byKeygen, name)), flags)
	}
}

// sshPrograms runs ssh-keygen and examples/ssh with a key that has a PIN, which an askpass program tells them.
type sshPrograms struct {
	key *softKey
	dir string
}

func newSSH(t *testing.T) *sshPrograms {
	t.Helper()
	key := attachSoftKey(t, virtual.Config{Preview: true}) // ssh-keygen -K knows no other commands
	setPIN(t, key, pin)
	return &sshPrograms{key, t.TempDir()}
}

func (s *sshPrograms) keygen(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return s.run(t, stdin, "ssh-keygen", args...)
}

func (s *sshPrograms) example(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return s.run(t, stdin, "example-ssh", args...)
}

func (s *sshPrograms) run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(name, args...)
	c.Dir, c.Stdin = s.dir, strings.NewReader(stdin)
	c.Env = append(os.Environ(), "SSH_SK_HELPER=/bin/ssh-sk-helper", "SSH_ASKPASS="+self, "SSH_ASKPASS_REQUIRE=force",
		childRole+"=askpass", childArgument+"="+pin)
	result := run(t, c)
	require.Zero(t, result.status, "%s: %s%s", c, result.stdout, result.stderr)
	return result.stdout
}

// askpass is what SSH_ASKPASS names.
func askpass(pin string) { fmt.Println(pin) }

// requireVerifies has ssh-keygen judge a signature of "a letter" by the key in a file, and looks at its flags: the last
// members of a signature are they and the counter.
func (s *sshPrograms) requireVerifies(t *testing.T, file, signature string, flags ctap2.Flags) {
	t.Helper()
	const flagsAndCounter = 5
	b, _ := pem.Decode([]byte(signature))
	require.NotNil(t, b)
	require.Equal(t, flags, ctap2.Flags(b.Bytes[len(b.Bytes)-flagsAndCounter]))

	dir := t.TempDir()
	signatureFile, signers := filepath.Join(dir, "sig"), filepath.Join(dir, "signers")
	require.NoError(t, os.WriteFile(signatureFile, []byte(signature), 0o600))
	public := publicKeyIn(t, filepath.Dir(file), filepath.Base(file)+".pub")
	require.NoError(t, os.WriteFile(signers, []byte("ada "+public+"\n"), 0o600))
	judged := s.keygen(t, "a letter", "-Y", "verify", "-f", signers, "-I", "ada", "-n", "file", "-s", signatureFile)
	require.Contains(t, judged, `Good "file" signature for ada`)
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// publicKeyIn returns a line of authorized_keys without the comment.
func publicKeyIn(t *testing.T, dir, name string) string {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	fields := bytes.Fields(line)
	require.GreaterOrEqual(t, len(fields), 2)
	return string(bytes.Join(fields[:2], []byte(" ")))
}
