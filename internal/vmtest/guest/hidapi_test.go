//go:build hidapi && cgo

package guest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/hid/hidapi"
	"github.com/keyfob-go/keyfob/internal/behaviour"
	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// These tests run in a machine of their own, by TestHIDAPI of package vmtest.

func init() { children["hidapi"] = useHIDAPI }

// useHIDAPI says what HIDAPI finds, opens a key, and waits for a report.
func useHIDAPI(path string) {
	infos, err := hidapi.List()
	fmt.Println(infos[0].Err, err)
	d, err := hidapi.Open(path)
	fmt.Println("opened", err)
	if err == nil {
		d.Read(make([]byte, reportSize))
	}
}

func TestHIDAPIListsWhatHIDLists(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	attachKeyboard(t)
	second := attachUSB(t, usbip.Config{VendorID: 1, ProductID: 2}, echo)
	found, err := hidapi.List()
	require.NoError(t, err)
	require.Len(t, found, 2)
	for _, want := range []hid.Info{key.Info, second.Info} {
		n := 0
		if found[0].Path != want.Path {
			n = 1
		}
		require.EqualExportedValues(t, want, found[n])
	}
	d, err := hidapi.Open(key.Path)
	require.NoError(t, err)
	defer d.Close()
	require.EqualExportedValues(t, key.Info, d.(*hid.Device).Info())
	in, out := d.(*hid.Device).ReportSizes()
	require.Equal(t, [2]int{reportSize, reportSize}, [2]int{in, out})
}

func TestHIDAPIPing(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	a, err := authenticator.New(t.Context(), openHIDAPI(t, key.Path), nil)
	require.NoError(t, err)
	for _, n := range []int{0, 57, 1000, maxMessage} {
		start := time.Now()
		require.NoError(t, a.Ping(t.Context(), bytes.Repeat([]byte("ping"), n)[:n]))
		t.Logf("ping of %d bytes: %v", n, time.Since(start).Round(100*time.Microsecond))
	}
}

// openHIDAPI opens a channel that the test's end closes.
func openHIDAPI(t *testing.T, path string) *ctaphid.Channel {
	t.Helper()
	d, err := hidapi.Open(path)
	require.NoError(t, err)
	c, err := ctaphid.Open(t.Context(), d)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestHIDAPIBehaves runs the suite that every way to reach a key must pass.
func TestHIDAPIBehaves(t *testing.T) {
	open := func(t *testing.T) *behaviour.Key {
		pin := []byte("Grüße 12")
		soft := newSoftKey(t, virtual.Config{PIN: virtual.PINPolicy{Initial: pin}})
		plug := func(t *testing.T) plugged {
			return attachUSB(t, usbip.Config{}, func(rw io.ReadWriteCloser) { soft.Serve(context.Background(), rw) })
		}
		key := plug(t)
		return &behaviour.Key{Transport: openHIDAPI(t, key.Path), PIN: pin, PowerCycle: func(t *testing.T) ctap2.Transport {
			key.unplug()
			soft.PowerCycle()
			key = plug(t)
			return openHIDAPI(t, key.Path)
		}}
	}
	behaviour.Run(t, open)
	behaviour.RunDestructive(t, open)
}

// TestHIDAPIClient has both ceremonies, with a key that is plugged in when they have begun, and its PIN.
func TestHIDAPIClient(t *testing.T) {
	pin := []byte("31415")
	asked := 0
	client := &authenticator.Client{Watch: hidapi.Watch, Open: hidapi.Open, UI: &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) {
			asked++
			return bytes.Clone(pin), nil
		},
	}}
	const origin = "https://example.org"
	registered := make(chan error, 1)
	var credential *webauthn.RegistrationResponse
	go func() {
		var err error
		credential, err = client.Register(t.Context(), origin, &webauthn.CreationOptions{
			RP: ctap2.RelyingParty{ID: "example.org"}, User: ctap2.User{ID: []byte("ada's id"), Name: "Ada"},
			Challenge:              newHash(),
			AuthenticatorSelection: webauthn.AuthenticatorSelection{UserVerification: webauthn.Required},
		})
		registered <- err
	}()
	attachSoftKey(t, virtual.Config{PIN: virtual.PINPolicy{Initial: pin}})
	require.NoError(t, receive(t, registered))
	_, err := client.Authenticate(t.Context(), origin, &webauthn.RequestOptions{
		RPID: "example.org", Challenge: newHash(), UserVerification: webauthn.Required,
		AllowCredentials: []ctap2.CredentialDescriptor{{ID: credential.RawID}},
	})
	require.NoError(t, err)
	require.Equal(t, 2, asked)
}

func TestHIDAPIWatches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	present, events, err := hidapi.Watch(ctx)
	require.NoError(t, err)
	require.Empty(t, present)
	key := attachUSB(t, echoConfig, echo)
	added := receive(t, events)
	require.Equal(t, hid.Added, added.Kind)
	require.EqualExportedValues(t, key.Info, added.Info)

	require.NoError(t, os.Chmod(key.Path, 0o666)) // changes nothing for root
	key.unplug()
	removed := receive(t, events)
	require.Equal(t, hid.Removed, removed.Kind)
	require.Equal(t, key.Path, removed.Info.Path)
	cancel()
	for range events {
	}
}

// TestHIDAPIUnplug has a Read wait for a key that is pulled, and plugs in another, without leaving anything open.
func TestHIDAPIUnplug(t *testing.T) {
	cycle := func() {
		key := attachUSB(t, echoConfig, echo)
		d, err := hidapi.Open(key.Path)
		require.NoError(t, err)
		requirePing(t, d.(*hid.Device), 100)
		ended := readInBackground(d.(*hid.Device))
		start := time.Now()
		key.unplug()
		end := <-ended
		require.ErrorIs(t, end.err, hid.ErrRemoved)
		t.Logf("%v, %v after the cable was pulled", end.err, end.at.Sub(start).Round(100*time.Microsecond))
		require.Less(t, end.at.Sub(start), time.Second)
		_, err = d.Write(make([]byte, reportSize))
		require.ErrorIs(t, err, hid.ErrRemoved)
		require.NoError(t, d.Close())
		requireNoNode(t, key.Path)
		_, err = hidapi.Open(key.Path)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	cycle() // what HIDAPI keeps open
	requireNothingLeft(t)
	for range 3 {
		cycle()
	}
}

func TestHIDAPICloseUnblocksRead(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	d, err := hidapi.Open(key.Path)
	require.NoError(t, err)
	ended := readInBackground(d.(*hid.Device))
	start := time.Now()
	require.NoError(t, d.Close())
	t.Logf("Close took %v", time.Since(start).Round(time.Millisecond))
	require.ErrorIs(t, (<-ended).err, fs.ErrClosed)
}

// TestHIDAPIWithoutPermission has a user whom the node is closed to, and then opened.
func TestHIDAPIWithoutPermission(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	said := startHIDAPI(t, key.Path)
	require.Contains(t, receive(t, said), "permission denied")
	require.Contains(t, receive(t, said), "opened hidapi: open "+key.Path+": permission denied: give the user access")
	require.NoError(t, os.Chmod(key.Path, 0o666))
	said = startHIDAPI(t, key.Path)
	require.Equal(t, "<nil> <nil>", receive(t, said))
	require.Equal(t, "opened <nil>", receive(t, said))
}

// startHIDAPI starts useHIDAPI as a user without rights and returns the lines that it says. It ends with the test.
func startHIDAPI(t *testing.T, path string) <-chan string {
	t.Helper()
	c := child(t, "hidapi", path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := make(chan string, 10)
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return lines
}

// TestHIDAPIIdleKeyCostsFewWakeUps measures what the package's documentation says.
func TestHIDAPIIdleKeyCostsFewWakeUps(t *testing.T) {
	key := attachUSB(t, echoConfig, echo)
	c := child(t, "hidapi", key.Path)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer c.Wait()
	defer c.Process.Kill()
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "opened <nil>") {
			break
		}
	}
	const settle, period = time.Second, 5 * time.Second
	time.Sleep(settle)
	before := wakeUps(t, c.Process.Pid)
	time.Sleep(period)
	woken := wakeUps(t, c.Process.Pid) - before
	t.Logf("%d wake-ups in %v", woken, period)
	require.Greater(t, woken, 10, "is it reading?")
	require.Less(t, woken, 250) // four times a second, some four threads: the reader and those of Go's scheduler
}
