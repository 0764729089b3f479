package guest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
)

// slot is a node behind which keys are put one after the other, much faster than they could be plugged in.
type slot struct {
	plugged
	port    io.ReadWriteCloser
	reports chan []byte // from the platform; closed when the cable is pulled
}

func attachSlot(t *testing.T) *slot {
	t.Helper()
	s := &slot{reports: make(chan []byte, 64)}
	started := make(chan struct{})
	names := usbip.Config{VendorID: 0x1209, ProductID: 0xf1d0, Manufacturer: "keyfob", Product: "Soft key"}
	s.plugged = attachUSB(t, names, func(rw io.ReadWriteCloser) {
		s.port = rw
		close(started)
		s.pump()
	})
	<-started
	return s
}

func (s *slot) pump() {
	defer close(s.reports)
	for {
		report := make([]byte, reportSize)
		n, err := s.port.Read(report)
		if err != nil {
			return
		}
		s.reports <- report[:n]
	}
}

// insertion is a key's side of the slot while it is in there.
type insertion struct {
	*slot
	pulled <-chan struct{}
}

func (i insertion) Read(p []byte) (int, error) {
	select {
	case report, ok := <-i.reports:
		if !ok {
			return 0, io.EOF
		}
		return copy(p, report), nil
	case <-i.pulled:
		return 0, io.EOF
	}
}

func (i insertion) Write(p []byte) (int, error) { return i.port.Write(p) }
func (i insertion) Close() error                { return nil }

// with runs something while the key is in the slot.
func (s *slot) with(key *virtual.Authenticator, run func()) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		key.Serve(ctx, insertion{s, ctx.Done()})
	}()
	run()
	cancel()
	<-served
}

// keyState is a key that can be had again and again.
type keyState struct {
	config virtual.Config
	file   []byte // what Config.StateFile has
}

// newKeyState makes a key, has it set up, and keeps what became of it.
func newKeyState(t *testing.T, c virtual.Config, setUp func(*virtual.Authenticator)) *keyState {
	t.Helper()
	c.StateFile = filepath.Join(t.TempDir(), "state")
	key, err := virtual.New(c)
	require.NoError(t, err)
	setUp(key)
	require.NoError(t, key.Close())
	file, err := os.ReadFile(c.StateFile)
	require.NoError(t, err)
	return &keyState{c, file}
}

// key returns the key as it was.
func (s *keyState) key(t *testing.T) *virtual.Authenticator {
	t.Helper()
	require.NoError(t, os.WriteFile(s.config.StateFile, s.file, 0o600))
	key, err := virtual.New(s.config)
	require.NoError(t, err)
	return key
}
