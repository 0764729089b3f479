package fido2tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

const (
	node = "/dev/hidraw7"
	pin  = "1234"
	rpID = "example.org"
)

// bench is a machine with one key and without a terminal.
type bench struct {
	t   *testing.T
	key *virtual.Authenticator
	old bool
	ctx context.Context
}

func newBench(t *testing.T, c virtual.Config) *bench {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	return &bench{t: t, key: key, ctx: t.Context()}
}

// result is what a run left behind.
type result struct {
	status         int
	stdout, stderr string
}

func (b *bench) run(stdin, line string) result {
	b.t.Helper()
	words := strings.Fields(line)
	var stdout, stderr bytes.Buffer
	status := Main(b.ctx, words[0], words[1:], System{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, Old: b.old,
		List: func() ([]hid.Info, error) {
			return []hid.Info{{Path: node, VendorID: 0x1050, ProductID: 7, Manufacturer: "M", Product: "P"}}, nil
		},
		Open: func(path string) (io.ReadWriteCloser, error) {
			if path != node {
				return nil, os.ErrNotExist
			}
			return b.key.Device(), nil
		},
		Terminal: func() (*os.File, error) { return nil, errors.New("no terminal") },
	})
	return result{status, stdout.String(), stderr.String()}
}

// must is run for what succeeds.
func (b *bench) must(stdin, line string) string {
	b.t.Helper()
	r := b.run(stdin, line)
	require.Zero(b.t, r.status, "%s: %s", line, r.stderr)
	return r.stdout
}

// fails is run for what fails with a message.
func (b *bench) fails(stdin, line, stderr string) {
	b.t.Helper()
	require.Equal(b.t, result{status: exitFailure, stderr: stderr}, b.run(stdin, line), line)
}

// file writes a file and returns its path.
func (b *bench) file(content string) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "file")
	require.NoError(b.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func hashLine() string {
	hash := sha256.Sum256([]byte("client data"))
	return encodeBase64(hash[:])
}

func (b *bench) newCredential(flags, kind string) []string {
	b.t.Helper()
	in := b.file(hashLine() + "\n" + rpID + "\nAda\n" + encodeBase64([]byte("ada")) + "\n")
	out := b.must(pin+"\n", "fido2-cred -M "+flags+" -i "+in+" "+node+" "+kind)
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// publicKey verifies a credential and keeps its public key in a file.
func (b *bench) publicKey(credential []string, flags, kind string) string {
	b.t.Helper()
	out := b.must(strings.Join(credential, "\n")+"\n", "fido2-cred -V "+flags+" "+kind)
	id, key, ok := strings.Cut(out, "\n")
	require.True(b.t, ok)
	require.Equal(b.t, credential[4], id)
	return b.file(key)
}

func TestCredentialsAndAssertions(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"es256", "es384", "eddsa", "rs256"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, virtual.Config{})
			c := b.newCredential("", kind)
			require.Equal(t, []string{hashLine(), rpID, "packed"}, c[:3])
			key := b.publicKey(c, "", kind)
			in := b.file(hashLine() + "\n" + rpID + "\n" + c[4] + "\n")
			a := b.must("", "fido2-assert -G -i "+in+" "+node)
			require.Empty(t, b.must(a, "fido2-assert -V -p "+key+" "+kind))
			b.fails(strings.Replace(a, rpID, "example.com", 1), "fido2-assert -V "+key+" "+kind,
				"fido2-assert: fido_assert_verify: FIDO_ERR_INVALID_PARAM\n")
			lines := strings.SplitN(a, "\n", 2)
			b.fails(encodeBase64(make([]byte, 32))+"\n"+lines[1], "fido2-assert -V "+key+" "+kind,
				"fido2-assert: fido_assert_verify: FIDO_ERR_INVALID_SIG\n")
		})
	}
}

func TestClientDataInPlaceOfItsHash(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{})
	in := b.file(encodeBase64([]byte("client data")) + "\n" + rpID + "\nAda\n" + encodeBase64([]byte("ada")) + "\n")
	out := b.must("", "fido2-cred -M -w -i "+in+" "+node)
	require.True(t, strings.HasPrefix(out, hashLine()+"\n"+rpID+"\n"), out)
	b.old = true
	b.fails("", "fido2-cred -M -w -i "+in+" "+node, "-M: invalid option -- 'w'\n"+usage("fido2-cred", true))
}

func TestCredentialIDOfAResidentOne(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{})
	c := b.newCredential("-r", "")
	in := b.file(hashLine() + "\n" + rpID + "\n")
	lines := strings.Split(b.must("", "fido2-assert -G -r --credential-id -i "+in+" "+node), "\n")
	require.Len(t, lines, 7)
	require.Equal(t, []string{encodeBase64([]byte("ada")), c[4], ""}, lines[4:])
}

func TestSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{})
	c := b.newCredential("-h", "")
	key := b.publicKey(c, "-h", "")
	b.fails(strings.Join(c, "\n")+"\n", "fido2-cred -V", "fido2-cred: fido_cred_verify_self: FIDO_ERR_INVALID_PARAM\n")
	for salts, secrets := range map[int]int{32: 44, 64: 88} {
		in := b.file(hashLine() + "\n" + rpID + "\n" + c[4] + "\n" + encodeBase64(make([]byte, salts)) + "\n")
		a := b.must("", "fido2-assert -G -h -i "+in+" "+node)
		require.Len(t, strings.Split(a, "\n")[4], secrets)
		b.must(a, "fido2-assert -V -h "+key)
		require.Equal(t, a[strings.LastIndex(a[:len(a)-1], "\n"):], lastLine(b.must("", "fido2-assert -G -h -i "+in+" "+node)))
	}
	in := b.file(hashLine() + "\n" + rpID + "\n" + c[4] + "\n" + encodeBase64(make([]byte, 33)) + "\n")
	b.fails("", "fido2-assert -G -h -i "+in+" "+node, "fido2-assert: fido_assert_set_hmac_salt: FIDO_ERR_INVALID_ARGUMENT\n")
}

// lastLine returns the last line of a text with the line feed before it.
func lastLine(text string) string { return text[strings.LastIndex(text[:len(text)-1], "\n"):] }

func TestPIN(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{})
	prompts := "Enter new PIN for " + node + ": Enter the same PIN again: "
	b.fails("1234\n1235\n", "fido2-token -S "+node, prompts+"PINs do not match. Try again.\n")
	b.fails("123\n123\n", "fido2-token -S "+node, prompts+"invalid PIN length\n")
	require.Equal(t, result{stderr: prompts}, b.run("1234\n1234\n", "fido2-token -S "+node))
	b.fails("1234\n1234\n", "fido2-token -S "+node, prompts+"fido2-token: fido_dev_set_pin: FIDO_ERR_PIN_AUTH_INVALID\n")
	prompts = "Enter current PIN for " + node + ": "
	b.fails("123\n", "fido2-token -C "+node, prompts+"fido2-token: invalid PIN length\n")
	b.must("1234\n12345\n12345\n", "fido2-token -C "+node)
	b.must("12345\n1234\n1234\n", "fido2-token -C "+node)

	// A resident credential wants the PIN, an assertion only if it is asked for.
	prompt := "Enter PIN for " + node + ": "
	in := b.file(hashLine() + "\n" + rpID + "\nAda\n" + encodeBase64([]byte("ada")) + "\n")
	b.fails("", "fido2-cred -M -r -q -i "+in+" "+node, "fido2-cred: fido_dev_make_cred: FIDO_ERR_PIN_REQUIRED\n")
	b.fails("", "fido2-cred -M -r -t pin=false -i "+in+" "+node, "fido2-cred: fido_dev_make_cred: FIDO_ERR_PIN_REQUIRED\n")
	b.fails("99\n", "fido2-cred -M -r -i "+in+" "+node, prompt+"fido2-cred: invalid PIN length\n")
	b.fails("9999\n", "fido2-cred -M -r -i "+in+" "+node, prompt+"fido2-cred: fido_dev_make_cred: FIDO_ERR_PIN_INVALID\n")
	b.newCredential("-r", "")
	in = b.file(hashLine() + "\n" + rpID + "\n")
	a := b.run(pin+"\n", "fido2-assert -G -r -v -i "+in+" "+node)
	require.Equal(t, prompt, a.stderr)
	require.Zero(t, a.status)
}

func TestManagement(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.PresetBiometric.Config())
	b.must(pin+"\n"+pin+"\n", "fido2-token -S "+node)
	cred := b.newCredential("-r -b -c 2", "")
	id := cred[4]
	require.Contains(t, b.must(pin+"\n", "fido2-token -I -c "+node), "existing rk(s): 1\nremaining rk(s): ")
	hash := sha256.Sum256([]byte(rpID))
	require.Equal(t, "00: "+encodeBase64(hash[:])+" "+rpID+"\n", b.must(pin+"\n", "fido2-token -L -r "+node))
	user := encodeBase64([]byte("ada"))
	require.Equal(t, "00: "+id+" (null) "+user+" es256 uvopt+id nopay\n", b.must(pin+"\n", "fido2-token -L -k "+rpID+" "+node))
	b.must(pin+"\n", "fido2-token -S -c -i "+id+" -k "+user+" -n ada -p Ada "+node)
	b.old = true
	require.Equal(t, "00: "+id+" Ada "+user+" es256 uvopt+id\n", b.must(pin+"\n", "fido2-token -L -k "+rpID+" "+node))
	b.old = false
	require.Equal(t, b.must(strings.Join(cred[:6], "\n")+"\n", "fido2-cred -V -c 2"),
		b.must(pin+"\n", "fido2-token -I -k "+rpID+" -i "+id+" "+node))

	blob := b.file("blob")
	b.must(pin+"\n", "fido2-token -S -b -n "+rpID+" "+blob+" "+node)
	out := filepath.Join(t.TempDir(), "out")
	b.must(pin+"\n", "fido2-token -G -b -n "+rpID+" "+out+" "+node)
	requireContent(t, out, "blob")
	require.Contains(t, b.must(pin+"\n", "fido2-token -L -b "+node), fmt.Sprintf("    4 %s %s\n", id, rpID))
	b.must(pin+"\n", "fido2-token -D -b -k "+b.file(cred[len(cred)-1]+"\n")+" "+node)
	require.Empty(t, b.must(pin+"\n", "fido2-token -L -b "+node))

	enrolled := b.must(pin+"\n", "fido2-token -S -e "+node)
	require.True(t, strings.HasPrefix(enrolled, "Touch your security key.\nSample ok.\nTouch your security key ("), enrolled)
	require.Contains(t, enrolled, " (1 sample left).\n")
	finger := strings.Fields(b.must(pin+"\n", "fido2-token -L -e "+node))[1]
	b.must(pin+"\n", "fido2-token -S -e -i "+finger+" -n thumb "+node)
	require.Equal(t, "00: "+finger+" thumb\n", b.must(pin+"\n", "fido2-token -L -e "+node))
	b.must(pin+"\n", "fido2-token -D -e -i "+finger+" "+node)
	b.fails(pin+"\n", "fido2-token -L -e "+node,
		"Enter PIN for "+node+": fido2-token: fido_bio_dev_get_template_array: FIDO_ERR_INVALID_OPTION\n")

	b.must(pin+"\n", "fido2-token -S -u "+node)
	b.must("", "fido2-token -S -u "+node)
	b.must(pin+"\n", "fido2-token -D -u "+node)
	b.must(pin+"\n", "fido2-token -S -l 5 "+node)
	info := b.must("", "fido2-token -I "+node)
	require.Contains(t, info, "\nminpinlen: 5\n")
	require.Contains(t, info, "\nsensor type: 1 (touch)\n")
	b.must("", "fido2-token -R "+node)
	require.Zero(t, b.key.Credentials())
}

func TestPersistentToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{Version: virtual.CTAP23})
	b.must(pin+"\n"+pin+"\n", "fido2-token -S "+node)
	out := filepath.Join(t.TempDir(), "token")
	b.must(pin+"\n", "fido2-token -G -t "+out+" "+node)
	sealed, plain := b.must("", "fido2-token -I "+node), b.must("", "fido2-token -I -t "+out+" "+node)
	require.Contains(t, sealed, "\nencid: ")
	require.Regexp(t, `\nid: [0-9a-f]{32}\n`, plain)
	require.Regexp(t, `\nstate: [0-9a-f]{32}\n`, plain)
}

func TestU2F(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.PresetU2F.Config())
	require.Contains(t, b.must("", "fido2-token -I "+node), "nocbor, msg)\n")
	c := b.newCredential("", "")
	require.Equal(t, "fido-u2f", c[2])
	key := b.publicKey(c, "", "")
	in := b.file(hashLine() + "\n" + rpID + "\n" + c[4] + "\n")
	b.must(b.must("", "fido2-assert -G -i "+in+" "+node), "fido2-assert -V -p "+key)
}

func TestListDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t, virtual.Config{})
	require.Equal(t, node+": vendor=0x1050, product=0x0007 (M P)\n", b.must("", "fido2-token -L"))
	b.fails("", "fido2-token -I /dev/none", "fido2-token: fido_dev_open /dev/none: FIDO_ERR_INTERNAL\n")
	require.Equal(t, result{stderr: "1.17.0\n"}, b.run("", "fido2-token -V"))
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBench(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}})
	b.ctx = ctx
	in := b.file(hashLine() + "\n" + rpID + "\nAda\n" + encodeBase64([]byte("ada")) + "\n")
	r := b.run("", "fido2-cred -M -i "+in+" "+node)
	require.Equal(t, result{status: exitInterrupted, stderr: "fido2-cred: context canceled\n"}, r)
}
