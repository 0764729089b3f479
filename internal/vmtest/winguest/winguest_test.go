package winguest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/webauthn"
)

// What package guest says about the key in the environment.
const (
	serial = "KEYFOB_SERIAL"
	limit  = 30 * time.Second

	fitsQueue = 57 + 63*59 // bytes of a CTAPHID message in 64 reports
)

// What package guest waits for on standard output. The number is a time.Time.UnixNano.
const (
	pullLine    = "winguest: pull the key"
	replugLine  = "winguest: plug it in"
	removedLine = "winguest: removed at %d\n"
)

func TestMain(m *testing.M) {
	if os.Getenv(serial) == "" {
		fmt.Println("winguest: these tests run under Wine in a virtual machine, by go test ./internal/vmtest")
		return
	}
	m.Run()
}

func TestList(t *testing.T) {
	key := waitForKey(t)
	require.Regexp(t, `^\\\\\?\\hid#vid_1209&pid_f1d0`, key.Path)
	require.EqualValues(t, 0x1209, key.VendorID)
	require.EqualValues(t, 0xf1d0, key.ProductID)
	require.Equal(t, "keyfob Soft key", key.Product, "Wine knows but the name that the kernel made of both")
	require.Equal(t, "serial:1209:f1d0:"+os.Getenv(serial), key.StableID)
	require.NoError(t, key.Err)
	t.Logf("%+v", key)

	d := openKey(t, key.Path)
	require.Equal(t, key, d.Info())
	in, out := d.ReportSizes()
	require.Equal(t, [2]int{64, 64}, [2]int{in, out})

	_, err := hid.Open(strings.ToUpper(key.Path) + "#")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = hid.Open(os.Args[0])
	require.ErrorIs(t, err, fs.ErrNotExist, "a file is no key")
}

// TestPing sends the longest message more than once where it must: the kernel under Wine queues 64 reports for a reader
// (HIDRAW_BUFFER_SIZE) and drops what comes then, and on a busy emulated machine Wine may sleep through 64 of the answer's 129.
func TestPing(t *testing.T) {
	a := openAuthenticator(t, nil)
	for _, n := range []int{0, 1, 57, 1000, fitsQueue, 7609} {
		start := time.Now()
		err := a.Ping(t.Context(), bytes.Repeat([]byte("ping"), n)[:n])
		for tries := 1; n > fitsQueue && tries < 5 && errors.Is(err, ctaphid.ErrProtocol); tries++ {
			t.Logf("once more: %v", err)
			err = a.Ping(t.Context(), bytes.Repeat([]byte("ping"), n)[:n])
		}
		require.NoError(t, err)
		t.Logf("ping of %d bytes: %v", n, time.Since(start).Round(100*time.Microsecond))
	}
}

// TestCeremonies gives the key a PIN, which it then wants for both ceremonies.
func TestCeremonies(t *testing.T) {
	asked := 0
	a := openAuthenticator(t, &authenticator.UI{PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) {
		asked++
		return []byte("31415"), nil
	}})
	require.NoError(t, a.SetPIN(t.Context(), []byte("31415")))
	hash := sha256.Sum256([]byte("client data"))
	start := time.Now()
	credential, err := a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash:   hash[:],
		RP:               ctap2.RelyingParty{ID: "example.org"},
		User:             ctap2.User{ID: []byte("ada's id"), Name: "Ada"},
		UserVerification: authenticator.UVRequired,
	})
	require.NoError(t, err)
	t.Logf("registered in %v", time.Since(start).Round(time.Millisecond))
	_, err = credential.Attestation.Verify(hash[:])
	require.NoError(t, err)

	start = time.Now()
	assertions, err := a.GetAssertions(t.Context(), &authenticator.AssertionOptions{
		RPID: "example.org", ClientDataHash: hash[:], AllowList: [][]byte{credential.ID},
		UserVerification: authenticator.UVRequired,
	})
	require.NoError(t, err)
	t.Logf("authenticated in %v", time.Since(start).Round(time.Millisecond))
	require.Len(t, assertions, 1)
	require.NotZero(t, assertions[0].AuthenticatorData.Flags&ctap2.FlagUV)
	require.NoError(t, webauthn.VerifySignature(credential.PublicKey, assertions[0].AuthData, hash[:], assertions[0].Signature))
	require.NotZero(t, asked)
}

func TestCloseUnblocksRead(t *testing.T) {
	d := openKey(t, waitForKey(t).Path)
	ended := readInBackground(d)
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-ended, fs.ErrClosed)
	_, err := d.Write(make([]byte, 64))
	require.ErrorIs(t, err, fs.ErrClosed)
}

// TestUnplug has the key pulled while a Read waits for it, and then uses the one that is plugged in next.
func TestUnplug(t *testing.T) {
	key := waitForKey(t)
	d := openKey(t, key.Path)
	ended := readInBackground(d)
	fmt.Println(pullLine)
	err := <-ended
	fmt.Printf(removedLine, time.Now().UnixNano())
	require.ErrorIs(t, err, hid.ErrRemoved)
	t.Log(err)
	_, err = d.Read(make([]byte, 64))
	require.ErrorIs(t, err, hid.ErrRemoved)
	_, err = d.Write(make([]byte, 64))
	require.ErrorIs(t, err, hid.ErrRemoved)
	t.Log(err)
	require.NoError(t, d.Close())
	require.Eventually(t, func() bool {
		_, err := hid.Open(key.Path)
		return err != nil
	}, limit, 20*time.Millisecond)
	_, err = hid.Open(key.Path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	fmt.Println(replugLine)
	require.NoError(t, openAuthenticator(t, nil).Ping(t.Context(), []byte("again")))
}

func TestWatch(t *testing.T) {
	key := waitForKey(t)
	present, events, err := hid.Watch(t.Context())
	require.NoError(t, err)
	require.Equal(t, []hid.Info{key}, present)

	fmt.Println(pullLine)
	require.Equal(t, hid.Event{Kind: hid.Removed, Info: key}, next(t, events))
	fmt.Println(replugLine)
	added := next(t, events)
	require.Equal(t, hid.Added, added.Kind)
	require.Equal(t, key.Product, added.Info.Product)
	t.Logf("%+v", added)
}

func next(t *testing.T, events <-chan hid.Event) hid.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(limit):
		require.FailNow(t, "no event comes")
		panic("unreachable")
	}
}

// waitForKey waits until Windows has found the key: it is there some time after the kernel's node.
func waitForKey(t *testing.T) hid.Info {
	t.Helper()
	start := time.Now()
	var found []hid.Info
	require.Eventually(t, func() bool {
		var err error
		found, err = hid.List()
		require.NoError(t, err)
		return len(found) == 1
	}, limit, 20*time.Millisecond, "waiting for one key")
	t.Logf("found after %v", time.Since(start).Round(time.Millisecond))
	return found[0]
}

func openKey(t *testing.T, path string) *hid.Device {
	t.Helper()
	d, err := hid.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func openAuthenticator(t *testing.T, ui *authenticator.UI) *authenticator.Authenticator {
	t.Helper()
	a, err := authenticator.Open(t.Context(), waitForKey(t), ui)
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// readInBackground starts a Read that nothing is there for, and returns once it probably blocks.
func readInBackground(d *hid.Device) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := d.Read(make([]byte, 64))
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond) // nobody tells that a read has begun to wait
	return ended
}
