package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/agent"

	"github.com/keyfob-go/keyfob/virtual"
)

// startAgent starts an agent and returns its socket.
func startAgent(t *testing.T, u *person, keys ...*key) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "agent"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- newDesk(u.Client, keys).serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-served, context.Canceled, "although clients may still be connected")
	})
	return l.Addr().String()
}

func connectAgent(t *testing.T, u *person, keys ...*key) net.Conn {
	t.Helper()
	var conn net.Conn
	t.Cleanup(func() { conn.Close() }) // after the agent has ended
	conn, err := net.Dial("unix", startAgent(t, u, keys...))
	require.NoError(t, err)
	return conn
}

func TestAgentServesItsKeys(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	first, second := u.enrol(t, kinds[0].algorithm, touchRequired), u.enrol(t, kinds[1].algorithm, touchRequired)
	first.comment = "the first"
	a := agent.NewClient(connectAgent(t, u, first, second))
	list, err := a.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "the first", list[0].Comment)
	for i, k := range []*key{first, second} {
		require.Equal(t, k.ssh.Marshal(), list[i].Marshal())
		sig, err := a.Sign(k.ssh, []byte("data"))
		require.NoError(t, err)
		require.NoError(t, k.ssh.Verify([]byte("data"), sig))
	}

	other := u.enrol(t, kinds[0].algorithm, touchRequired)
	_, err = a.Sign(other.ssh, []byte("data"))
	require.Error(t, err)
	require.Error(t, a.RemoveAll())
	_, err = a.Sign(first.ssh, []byte("data"))
	require.NoError(t, err, "it has its keys still")
}

// TestAgentForgetsWhoLeft has a client hang up while the security key waits: it stops blinking, and the next client is served.
func TestAgentForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	waits, ended := make(chan struct{}), make(chan struct{})
	distracted := false
	u := newPerson(t, virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		if !distracted {
			return nil
		}
		distracted = false
		close(waits)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}})
	k := u.enrol(t, kinds[0].algorithm, touchRequired)
	socket := startAgent(t, u, k)
	distracted = true
	leaving, err := net.Dial("unix", socket)
	require.NoError(t, err)
	go agent.NewClient(leaving).Sign(k.ssh, []byte("data"))
	<-waits
	require.NoError(t, leaving.Close())
	<-ended

	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer conn.Close()
	_, err = agent.NewClient(conn).Sign(k.ssh, []byte("data"))
	require.NoError(t, err)
}
