package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// A site is a server with a target "echo", and a clock that stands still.
type site struct {
	*server
	url    string
	offset atomic.Int64 // of the clock
}

func (s *site) pass(d time.Duration) { s.offset.Add(int64(d)) }

func newSite(t testing.TB, change func(*config)) *site {
	t.Helper()
	store, err := openStore(t.Context(), filepath.Join(t.TempDir(), "a database #1%.db"))
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	listener, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	s := &site{url: "http://localhost:" + port}
	c := config{
		Origin: s.url, Targets: map[string]string{"echo": echoServer(t), "gone": "127.0.0.1:1"},
		TokenLifetime: time.Minute, TouchTimeout: time.Minute, UserVerification: protocol.VerificationDiscouraged,
	}
	if change != nil {
		change(&c)
	}
	began := time.Now().Truncate(time.Second)
	now := func() time.Time { return began.Add(time.Duration(s.offset.Load())) }
	s.server, err = newServer(t.Context(), c, store, slog.New(slog.DiscardHandler), now)
	require.NoError(t, err)
	web := httptest.NewUnstartedServer(s.handler())
	web.Listener.Close()
	web.Listener = listener
	web.Start()
	t.Cleanup(web.Close)
	return s
}

// echoServer sends back what it gets, and ends when its client does.
func echoServer(t testing.TB) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// A person is a user with a key of their own.
type person struct {
	*api.Client
	key *authenticator.Client
}

func (s *site) person(t testing.TB, name string) *person {
	t.Helper()
	token, err := s.store.addUser(t.Context(), name)
	require.NoError(t, err)
	return &person{&api.Client{Server: s.url, Token: token}, newKey(t, virtual.Config{})}
}

// registered is a person whose key is registered.
func (s *site) registered(t testing.TB, name string) *person {
	t.Helper()
	p := s.person(t, name)
	require.NoError(t, p.register(t.Context(), "key"))
	return p
}

func newKey(t testing.TB, c virtual.Config) *authenticator.Client {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	hub := new(virtual.Hub)
	hub.Plug(key)
	pin := func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte("1234"), nil }
	return &authenticator.Client{Watch: hub.Watch, Open: hub.Open, UI: &authenticator.UI{PIN: pin}}
}

func (p *person) register(ctx context.Context, name string) error {
	c, err := p.BeginRegistration(ctx, name)
	if err != nil {
		return err
	}
	answer, err := p.create(ctx, c)
	if err != nil {
		return err
	}
	_, err = p.FinishRegistration(ctx, answer)
	return err
}

func (p *person) create(ctx context.Context, c *api.Ceremony) (*api.Answer, error) {
	var o webauthn.CreationOptions
	if err := json.Unmarshal(c.Options, &o); err != nil {
		return nil, err
	}
	response, err := p.key.Register(ctx, p.Server, &o)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(response)
	return &api.Answer{ID: c.ID, Response: encoded}, err
}

// token gets a token for a target, after a touch.
func (p *person) token(ctx context.Context, target string) (*api.Token, error) {
	c, err := p.BeginConnection(ctx, target)
	if err != nil {
		return nil, err
	}
	answer, err := p.get(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.FinishConnection(ctx, answer)
}

func (p *person) get(ctx context.Context, c *api.Ceremony) (*api.Answer, error) {
	var o webauthn.RequestOptions
	if err := json.Unmarshal(c.Options, &o); err != nil {
		return nil, err
	}
	response, err := p.key.Authenticate(ctx, p.Server, &o)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(response)
	return &api.Answer{ID: c.ID, Response: encoded}, err
}

// talk opens a connection to the echo server and has a word with it.
func (p *person) talk(ctx context.Context, token string) error {
	conn, err := p.Connect(ctx, token)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	heard, err := io.ReadAll(conn)
	if err == nil && string(heard) != "hello" {
		err = errors.New("the echo is " + string(heard))
	}
	return err
}

func requireRefused(t testing.TB, err error, status int, message string) {
	t.Helper()
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status, refused.Message)
	require.Contains(t, refused.Message, message)
}

func TestTouchOpensTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.person(t, "alice")
	_, err := alice.token(t.Context(), "echo")
	requireRefused(t, err, http.StatusConflict, "no key")

	require.NoError(t, alice.register(t.Context(), "left pocket"))
	s.pass(time.Hour)
	keys, err := alice.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []api.Key{{Name: "left pocket", Created: s.now().Add(-time.Hour).UTC()}}, keys)

	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	require.Equal(t, s.now().Add(time.Minute).UTC(), token.Expires)
	require.False(t, token.Once)
	keys, err = alice.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, s.now().UTC(), keys[0].LastUsed)
	for range 3 { // as often as one likes, until it expires
		require.NoError(t, alice.talk(t.Context(), token.Token))
	}

	require.NoError(t, alice.DeleteKey(t.Context(), "left pocket"))
	requireRefused(t, alice.DeleteKey(t.Context(), "left pocket"), http.StatusNotFound, "no key of that name")
	requireRefused(t, alice.talk(t.Context(), token.Token), http.StatusForbidden, "deleted")
	keys, err = alice.Keys(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestEverythingWantsTheUsersToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	for _, stranger := range []string{"", "not a token", token.Token} {
		mallory := &person{&api.Client{Server: s.url, Token: stranger}, alice.key}
		requireRefused(t, mallory.register(t.Context(), "k"), http.StatusUnauthorized, "")
		_, err := mallory.FinishRegistration(t.Context(), &api.Answer{})
		requireRefused(t, err, http.StatusUnauthorized, "")
		_, err = mallory.Keys(t.Context())
		requireRefused(t, err, http.StatusUnauthorized, "")
		requireRefused(t, mallory.DeleteKey(t.Context(), "key"), http.StatusUnauthorized, "")
		_, err = mallory.token(t.Context(), "echo")
		requireRefused(t, err, http.StatusUnauthorized, "")
		_, err = mallory.FinishConnection(t.Context(), &api.Answer{})
		requireRefused(t, err, http.StatusUnauthorized, "")
		requireRefused(t, mallory.talk(t.Context(), token.Token), http.StatusUnauthorized, "")
	}
}

// A new token for a user takes back the old one, and leaves the keys.
func TestAddUserAgainReplacesTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	old := s.registered(t, "alice")
	again := s.person(t, "alice")
	_, err := old.Keys(t.Context())
	requireRefused(t, err, http.StatusUnauthorized, "")
	again.key = old.key
	_, err = again.token(t.Context(), "echo")
	require.NoError(t, err)
}

func TestConnectTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	_, err := alice.BeginConnection(t.Context(), "nowhere")
	requireRefused(t, err, http.StatusNotFound, "no target")
	gone, err := alice.token(t.Context(), "gone")
	require.NoError(t, err)
	requireRefused(t, alice.talk(t.Context(), gone.Token), http.StatusBadGateway, "cannot be reached")

	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/connect", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+alice.Token)
	request.Header.Set(api.TokenHeader, token.Token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusUpgradeRequired, response.StatusCode)

	delete(s.Targets, "echo") // the administrator changed the flags
	requireRefused(t, alice.talk(t.Context(), token.Token), http.StatusNotFound, "no target")
}

// What a client sends before it heard that it may is for the target too.
func TestConnectLosesNothingThatCameEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"+
		"Authorization: Bearer "+alice.Token+"\r\n"+api.TokenHeader+": "+token.Token+"\r\n\r\nhello")
	require.NoError(t, err)
	expected := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello"
	got := make([]byte, len(expected))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, expected, string(got))
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	rest, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Empty(t, rest)
}

func TestConnectionsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	away, end := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		join(ctx, pipeEnd{far}, pipeEnd{away})
	}()
	cancel()
	<-joined
	for _, conn := range []net.Conn{near, end} {
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

type pipeEnd struct{ net.Conn }

func (p pipeEnd) CloseWrite() error { return p.Close() }

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.person(t, "alice")
	post := func(path string, size int) *http.Response {
		body := bytes.Repeat([]byte(" "), size)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+alice.Token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		return response
	}
	for _, path := range []string{"/v1/keys/begin", "/v1/keys", "/v1/connect/begin", "/v1/connect"} {
		require.Equal(t, http.StatusBadRequest, post(path, 64<<10).StatusCode)
		require.Equal(t, http.StatusRequestEntityTooLarge, post(path, 64<<10+1).StatusCode)
		require.Equal(t, http.StatusBadRequest, post(path, 0).StatusCode)
	}
}

func TestNamesOfKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.person(t, "alice")
	for _, good := range []string{"a", strings.Repeat("x", 128), strings.Repeat("☃", 128), "../a?b=c&d#e%2F", "a b"} {
		alice.key = newKey(t, virtual.Config{})
		require.NoError(t, alice.register(t.Context(), good), good)
		_, err := alice.BeginRegistration(t.Context(), good)
		requireRefused(t, err, http.StatusConflict, "of that name")
		require.NoError(t, alice.DeleteKey(t.Context(), good))
	}
	for _, bad := range []string{"", " ", " a", strings.Repeat("x", 129), strings.Repeat("☃", 129), "a\nb", "\x1b[31m", "a\u202eb"} {
		_, err := alice.BeginRegistration(t.Context(), bad)
		requireRefused(t, err, http.StatusBadRequest, "128")
	}
	bob := s.registered(t, "bob")
	require.NoError(t, alice.register(t.Context(), "key"), "bob has one of that name, too")
	require.NoError(t, bob.DeleteKey(t.Context(), "key"))
	keys, err := alice.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1, "bob has deleted his own only")
}

// A server that offers all keys of a user at once must not have too many.
func TestKeysAreLimited(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.person(t, "alice")
	early, err := alice.BeginRegistration(t.Context(), "early")
	require.NoError(t, err)
	u, err := s.store.userOf(t.Context(), alice.Token)
	require.NoError(t, err)
	for i := range maxKeys {
		key := protocolCredential(byte(i))
		added, err := s.store.addKey(t.Context(), u, "key "+string(rune('A'+i)), &key, s.now())
		require.NoError(t, err)
		require.True(t, added)
	}
	_, err = alice.BeginRegistration(t.Context(), "one more")
	requireRefused(t, err, http.StatusConflict, "64")
	answer, err := alice.create(t.Context(), early)
	require.NoError(t, err)
	_, err = alice.FinishRegistration(t.Context(), answer)
	requireRefused(t, err, http.StatusConflict, "64")
}
