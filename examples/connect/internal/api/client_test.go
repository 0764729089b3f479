package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a client of something that answers every request so.
func answering(t *testing.T, status int, body string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return &Client{Server: server.URL, Token: "token"}
}

func TestNullIsAnEmptyResult(t *testing.T) {
	t.Parallel()
	c := answering(t, http.StatusOK, "null")
	ceremony, err := c.BeginConnection(t.Context(), "shell")
	require.NoError(t, err)
	require.Equal(t, new(Ceremony), ceremony)
	key, err := c.FinishRegistration(t.Context(), new(Answer))
	require.NoError(t, err)
	require.Equal(t, new(Key), key)
	token, err := c.FinishConnection(t.Context(), new(Answer))
	require.NoError(t, err)
	require.Equal(t, new(Token), token)
	keys, err := c.Keys(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestTerminalIsSparedWhatAServerSays(t *testing.T) {
	t.Parallel()
	keys, err := answering(t, http.StatusOK, `[{"name":"\u001b]0;blue\u0007\u202e\n"}]`).Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, "\ufffd]0;blue\ufffd\ufffd\ufffd", keys[0].Name)

	_, err = answering(t, http.StatusForbidden, `{"error":"\u001b[2J no"}`).Keys(t.Context())
	require.EqualError(t, err, "\ufffd[2J no")
	require.ErrorAs(t, err, new(*Error))
}

func TestConnectionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		io.Copy(io.Discard, buffered) // it says nothing, and ends when the client does
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := (&Client{Server: server.URL}).Connect(ctx, "token")
	require.NoError(t, err)
	cancel()
	_, err = conn.Read(make([]byte, 1)) // hangs if it goes on
	require.Error(t, err)
}
