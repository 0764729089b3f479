package main

import (
	"bufio"
	"context"
	"encoding/base64"
	encoding "encoding/binary" // this package has a type of the name
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

const (
	helperOrigin   = "https://login.example.org"
	helperCreation = `{"rp":{"id":"example.org","name":"Example"},"user":{"id":"YWxpY2U","name":"alice","displayName":"Alice"},` +
		`"challenge":"Y2hhbGxlbmdlLWNoYWxsZW5nZQ","pubKeyCredParams":[{"type":"public-key","alg":-7}]}`
	helperRequest = `{"type":"create","id":"1","origin":"` + helperOrigin + `","options":` + helperCreation + `}`
)

// keyfobReading runs the command with a standard input.
func keyfobReading(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	sys := keys()
	sys.stdin = strings.NewReader(stdin)
	return keyfobOn(t.Context(), sys, args...)
}

func TestHelperListsAndEndsWithItsInput(t *testing.T) {
	t.Parallel()
	r := keyfobReading(t, `{"type":"list","id":"1"}`+"\n", "helper", "--device", "unix:/run/key").requireOK(t)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], `"type":"hello","protocol":1`)
	require.Contains(t, lines[1], `"path":"unix:/run/key"`)
}

// Chrome starts a program without a command of ours.
func TestHelperTalksToBrowsersInFrames(t *testing.T) {
	t.Parallel()
	message := `{"type":"list","id":"1"}`
	frame := string(encoding.NativeEndian.AppendUint32(nil, uint32(len(message)))) + message
	for _, args := range [][]string{
		{"chrome-extension://knldjmfmopnpolahpmmgbagdohdnhkik/"},
		{"chrome-extension://knldjmfmopnpolahpmmgbagdohdnhkik/", "--parent-window=0"},
		{"helper", "--origin", helperOrigin, "chrome-extension://knldjmfmopnpolahpmmgbagdohdnhkik/"},
		{"/usr/lib/mozilla/native-messaging-hosts/keyfob.json", "keyfob@example.org"},
	} {
		r := keyfobReading(t, frame, args...).requireOK(t)
		for out := strings.NewReader(r.stdout); out.Len() > 0; {
			var size uint32
			require.NoError(t, encoding.Read(out, encoding.NativeEndian, &size))
			body := make([]byte, size)
			_, err := io.ReadFull(out, body)
			require.NoError(t, err)
			require.Contains(t, []any{"hello", "result"}, decodeObject(t, string(body)+"\n")["type"])
		}
	}
}

func TestHelperChecksItsCommandLine(t *testing.T) {
	t.Parallel()
	keyfob(t, "helper", "extra").requireFailure(t, exitUsage, `unexpected argument "extra"`)
	keyfob(t, "helper", "--origin", "example.org").requireFailure(t, exitUsage, "not of the form https://host")
	keyfob(t, "helper", "--log", t.TempDir()).requireFailure(t, exitError, "hint: check --log")
}

func TestHelperLogIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		keyfobReading(t, "x\n", "helper", "--log", path).requireOK(t)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	log, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(log), `"code":"bad-message"`))
}

// child is "keyfob helper" as a process of its own.
type child struct {
	*exec.Cmd
	in    io.WriteCloser
	out   *os.File
	lines *bufio.Scanner
}

func startHelper(t *testing.T, device string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], "helper", "--device", device)}
	c.Env = append(os.Environ(), asKeyfob+"=1")
	var err error
	c.in, err = c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.out, c.lines = out.(*os.File), bufio.NewScanner(out)
	require.NoError(t, c.Start())
	t.Cleanup(func() { c.Process.Kill() })
	return c
}

func (c *child) say(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(c.in, line+"\n")
	require.NoError(t, err)
}

func (c *child) waitFor(t *testing.T, text string) {
	t.Helper()
	for c.lines.Scan() {
		if strings.Contains(c.lines.Text(), text) {
			return
		}
	}
	require.Fail(t, "the helper ended", "%v", c.lines.Err())
}

// heldKey is a key that waits for a touch until it is told that nobody wants one any more.
func heldKey(t *testing.T) (device string, freed <-chan struct{}) {
	done := make(chan struct{})
	device, _ = plug(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		close(done)
		return ctx.Err()
	}})
	return device, done
}

func TestHelperFreesTheKeyWhenItsParentIsKilled(t *testing.T) {
	t.Parallel()
	device, freed := heldKey(t)
	c := startHelper(t, device)
	c.say(t, helperRequest)
	c.waitFor(t, `"event":"touch"`)
	require.NoError(t, c.in.Close())
	<-freed
	require.NoError(t, c.Wait())
}

func TestHelperFreesTheKeyWhenNobodyReads(t *testing.T) {
	t.Parallel()
	device, freed := heldKey(t)
	c := startHelper(t, device)
	c.say(t, helperRequest)
	c.waitFor(t, `"event":"touch"`)
	require.NoError(t, c.out.Close())
	c.say(t, `{"type":"list","id":"2"}`) // whose answer the helper cannot get rid of
	<-freed
	c.Wait()
	require.Equal(t, exitError, c.ProcessState.ExitCode())
}

func TestOneShotRegistersAndAsserts(t *testing.T) {
	t.Parallel()
	sys, shown := keys(), &console{}
	device, _ := plug(t, virtual.Config{UserPresence: func(_ context.Context, p virtual.Prompt) error {
		shown.waitFor(t, "Touch ") // which the user must see before
		return nil
	}})
	options := `{"publicKey":` + helperCreation + `}`
	sys.stdin, sys.stderr = strings.NewReader(options+"\n\n"+helperOrigin+"\n"), shown
	r := keyfobOn(t.Context(), sys, "helper", "register", "--device", device).requireOK(t)
	shown.waitFor(t, "to register\n")
	var registered webauthn.RegistrationResponse
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &registered))
	require.Equal(t, 1, strings.Count(r.stdout, "\n"))

	options = fmt.Sprintf(`{"rpId":"example.org","challenge":"AAAA","allowCredentials":[{"type":"public-key","id":%q}]}`,
		base64.RawURLEncoding.EncodeToString(registered.RawID))
	sys.stdin = strings.NewReader(options + "\r\n\r\n" + helperOrigin)
	r = keyfobOn(t.Context(), sys, "helper", "assert", "--device", device).requireOK(t)
	shown.waitFor(t, "to authenticate\n")
	var signed webauthn.AuthenticationResponse
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &signed))
	require.Equal(t, registered.RawID, signed.RawID)
}

func TestOneShotTellsThatAPINIsNeededOrWrong(t *testing.T) {
	t.Parallel()
	device, key := plug(t, virtual.Config{})
	a, err := authenticator.New(t.Context(), key, nil)
	require.NoError(t, err)
	require.NoError(t, a.SetPIN(t.Context(), []byte("1234")))
	options := strings.TrimSuffix(helperCreation, "}") + `,"authenticatorSelection":{"userVerification":"required"}}`
	register := func(pin string) result {
		return keyfobReading(t, options+"\n"+pin+"\n"+helperOrigin+"\n", "helper", "register", "--device", device)
	}
	register("").requireFailure(t, oneShotPIN, "PIN required")
	register("4321").requireFailure(t, oneShotPIN, "7 retries left")
	register("1").requireFailure(t, oneShotPIN)
	left, _, err := a.PINRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, left)
	register("1234").requireOK(t)
}

func TestOneShotStatuses(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{
		ctap2.ErrUserActionTimeout: oneShotTimeout,
		context.DeadlineExceeded:   oneShotTimeout,
		fs.ErrNotExist:             oneShotError,
		fmt.Errorf("no key in time: %w, %w", fs.ErrNotExist, context.DeadlineExceeded): oneShotTimeout,
		authenticator.ErrPINRequired: oneShotPIN,
		ctap2.ErrPINInvalid:          oneShotPIN,
		ctap2.ErrPINPolicyViolation:  oneShotPIN,
		ctap2.ErrPINBlocked:          oneShotError, // no PIN helps
		ctap2.ErrPINAuthBlocked:      oneShotError,
		ctap2.ErrPINNotSet:           oneShotError,
		ctap2.ErrNoCredentials:       oneShotError,
		ctaphid.ErrProtocol:          oneShotError,
		errors.New("other"):          oneShotError,
	} {
		require.Equal(t, status, adviceOn(oneShotFailure(err)).status, "%v", err)
	}
}

func TestOneShotChecksItsInputBeforeTheKey(t *testing.T) {
	t.Parallel()
	for stdin, says := range map[string]string{
		"":                                    "0 lines, want 3",
		helperCreation + "\n":                 "1 lines, want 3",
		"{}\n\n" + helperOrigin + "\n":        "rp: missing",
		helperCreation + "\n\nexample.org\n":  "not an origin",
		helperCreation + "\n\n\n":             "not an origin",
		strings.Repeat("x", 1<<20) + "\n\n\n": "too long",
	} {
		r := keyfobReading(t, stdin, "helper", "register", "--device", "unix:/nonexistent")
		r.requireFailure(t, oneShotError, says)
	}
}

func TestNotifySaysWhatToDo(t *testing.T) {
	t.Parallel()
	var shown console
	inv := newInvocation(system{stderr: &shown})
	inv.notify(authenticator.Event{Kind: authenticator.EventInsert})
	inv.notify(authenticator.Event{Kind: authenticator.EventSelect})
	inv.notify(authenticator.Event{Kind: authenticator.EventDropped, Key: hid.Info{Path: "/dev/x"}, Err: errors.New("bad\x1b")})
	require.Equal(t, "Plug in a security key\nTouch the security key to use\n/dev/x cannot be used: bad\ufffd\n", shown.String())
}
