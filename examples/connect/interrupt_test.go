package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An interrupt ends the program although neither side of a connection ends.
func TestInterruptEndsOpenConnections(t *testing.T) {
	t.Parallel()
	s := serve(t)
	alice, _ := s.member("alice")

	c := alice.command("forward", "--listen", "127.0.0.1:0", "echo")
	talk, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line, err := bufio.NewReader(talk).ReadString('\n')
	require.NoError(t, err)
	conn, err := net.Dial("tcp", strings.TrimSuffix(line, " is echo now.\n"))
	require.NoError(t, err)
	defer conn.Close()
	requireEchoOn(t, conn)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	requireEnds(t, c.Wait)

	c = alice.command("forward", "echo")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	requireEchoOn(t, struct {
		io.Reader
		io.Writer
	}{out, in})
	require.NoError(t, c.Process.Signal(os.Interrupt))
	requireEnds(t, c.Wait)
}

func requireEchoOn(t *testing.T, conn io.ReadWriter) {
	t.Helper()
	_, err := io.WriteString(conn, "hello")
	require.NoError(t, err)
	heard := make([]byte, 5)
	_, err = io.ReadFull(conn, heard)
	require.NoError(t, err)
	require.Equal(t, "hello", string(heard))
}

func requireEnds(t *testing.T, wait func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the program goes on")
	}
}
