package guest

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
)

// softKey is a key of package virtual that is plugged into the guest.
type softKey struct {
	plugged
	*virtual.Authenticator
	heard *log // nil over uhid, where nobody can listen
}

// buses are the two ways in which a key can have a node. What plug plugs in can be plugged in again when it is unplugged.
var buses = []struct {
	name   string
	attach func(*testing.T, virtual.Config) *softKey
	plug   func(*testing.T, *virtual.Authenticator) plugged
}{
	{"usb", attachSoftKey, plugUSB},
	{"uhid", attachSoftKeyByUHID, plugUHID},
}

// attachSoftKey plugs a key into the virtual USB bus.
func attachSoftKey(t *testing.T, c virtual.Config) *softKey {
	t.Helper()
	return attachTappedKey(t, c, &tap{})
}

// attachTappedKey is attachSoftKey with a cable that tells what goes through it.
func attachTappedKey(t *testing.T, c virtual.Config, cable *tap) *softKey {
	t.Helper()
	key := newSoftKey(t, c)
	key.heard = &log{}
	names := usbip.Config{VendorID: 0x1209, ProductID: 0xf1d0, Manufacturer: "keyfob", Product: "Soft key"}
	key.plugged = attachUSB(t, names, func(rw io.ReadWriteCloser) {
		cable.ReadWriteCloser, cable.heard = rw, key.heard
		key.Serve(context.Background(), cable) // until the cable is pulled, which is its error
	})
	return key
}

func plugUSB(t *testing.T, key *virtual.Authenticator) plugged {
	t.Helper()
	return attachUSB(t, usbip.Config{}, func(rw io.ReadWriteCloser) { key.Serve(context.Background(), rw) })
}

// attachSoftKeyByUHID has the key make itself a node. There can be one such key at a time.
func attachSoftKeyByUHID(t *testing.T, c virtual.Config) *softKey {
	t.Helper()
	key := newSoftKey(t, c)
	key.plugged = plugUHID(t, key.Authenticator)
	return key
}

func plugUHID(t *testing.T, key *virtual.Authenticator) plugged {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- key.ServeUHID(ctx, nil) }()
	isOurs := func(info hid.Info) bool { return strings.Contains(info.Product, "virtual authenticator") }
	unplug := sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-served, context.Canceled)
		waitForKeys(t, isOurs, 0)
	})
	t.Cleanup(unplug)
	return plugged{waitForKeys(t, isOurs, 1)[0], unplug}
}

func newSoftKey(t *testing.T, c virtual.Config) *softKey {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	return &softKey{Authenticator: key}
}

// log names the messages that platforms sent to a key.
type log struct {
	mu    sync.Mutex
	names []string
}

func (l *log) add(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = append(l.names, name)
}

// take returns what was heard since the last take.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := l.names
	l.names = nil
	return names
}

// tap is the cable to a key. It hears the first packet of each message to the key, and is cut at the packet to or
// from the key of which cutTo or cutFrom says so.
type tap struct {
	io.ReadWriteCloser
	heard          *log
	cutTo, cutFrom func(report []byte) bool // nil never cuts
	cutAt          time.Time                // for when nothing is served any more
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(p)
	if err != nil || n != reportSize {
		return n, err
	}
	if p[4]&0x80 != 0 {
		t.heard.add(messageName(p))
	}
	t.cutIf(t.cutTo, p)
	return n, nil
}

func (t *tap) Write(p []byte) (int, error) {
	t.cutIf(t.cutFrom, p)
	return t.ReadWriteCloser.Write(p)
}

func (t *tap) cutIf(f func([]byte) bool, report []byte) {
	if f != nil && f(report) {
		t.cutAt = time.Now()
		t.Close()
	}
}

func messageName(report []byte) string {
	if command := ctaphid.Command(report[4] &^ 0x80); command != ctaphid.CommandCBOR {
		return command.String()
	}
	return ctap2.Command(report[7]).String()
}
