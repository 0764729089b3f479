package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

var (
	errNoTarget = &api.Error{Status: http.StatusNotFound, Message: "there is no target of that name"}
	errNoKeys   = &api.Error{Status: http.StatusConflict, Message: "you have no key: register one first"}
	errUpgrade  = &api.Error{Status: http.StatusUpgradeRequired, Message: "the header Upgrade is missing"}
)

func (s *server) beginConnection(r *http.Request, u *user) (any, error) {
	var wanted api.Target
	if err := read(r, &wanted); err != nil {
		return nil, err
	}
	if _, exists := s.Targets[wanted.Target]; !exists {
		return nil, errNoTarget
	}
	u, err := withKeys(r.Context(), s.store.db, u)
	if err != nil {
		return nil, err
	}
	if len(u.keys) == 0 {
		return nil, errNoKeys
	}
	options, session, err := s.webauthn.BeginLogin(u)
	if err != nil {
		return nil, err
	}
	return s.beginCeremony(r.Context(), u, connection, wanted.Target, options, session)
}

func (s *server) finishConnection(r *http.Request, u *user) (any, error) {
	var answer api.Answer
	if err := read(r, &answer); err != nil {
		return nil, err
	}
	target, session, err := s.endCeremony(r.Context(), u, connection, answer.ID)
	if err != nil {
		return nil, err
	}
	response, err := protocol.ParseCredentialRequestResponseBytes(answer.Response)
	if err != nil {
		return nil, refused(err)
	}
	key, err := s.store.useKey(r.Context(), u, s.now(), func(u *user) (*webauthn.Credential, error) {
		return s.verify(u, session, response)
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("touched", "user", u.name, "target", target)
	return s.tokens.issue(u, target, key.ID)
}

func (s *server) verify(
	u *user, session *webauthn.SessionData, response *protocol.ParsedCredentialAssertionData,
) (*webauthn.Credential, error) {
	key, err := s.webauthn.ValidateLogin(u, *session, response)
	if err != nil {
		return nil, refused(err)
	}
	if key.Authenticator.CloneWarning {
		return nil, forbidden("the key's counter went back: there may be a copy of it")
	}
	return key, nil
}

const dialTimeout = 10 * time.Second

// connect is the way to a target: it opens for those who have a token, from a touch not long ago.
func (s *server) connect(w http.ResponseWriter, r *http.Request, u *user) error {
	if r.Header.Get("Upgrade") != api.Protocol {
		return errUpgrade
	}
	granted, err := s.tokens.check(r.Context(), u, r.Header.Get(api.TokenHeader))
	if err != nil {
		return err
	}
	address, exists := s.Targets[granted.Target]
	if !exists {
		return errNoTarget // any more
	}
	target, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(r.Context(), "tcp", address)
	if err != nil {
		s.log.Warn("unreachable", "target", granted.Target, "error", err)
		return &api.Error{Status: http.StatusBadGateway, Message: "the target cannot be reached"}
	}
	defer target.Close()
	client, err := switchProtocols(w)
	if err != nil {
		return err
	}
	defer client.Close()
	s.log.Info("connected", "user", u.name, "target", granted.Target)
	join(r.Context(), client, target.(*net.TCPConn))
	return nil
}

// stream is a connection whose two directions end one by one.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// switchProtocols takes the connection over from HTTP.
func switchProtocols(w http.ResponseWriter) (stream, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Time{}) // those of HTTP
	buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + api.Protocol + "\r\n\r\n")
	if err := buffered.Flush(); err != nil {
		conn.Close()
		return nil, err
	}
	early := io.LimitReader(buffered, int64(buffered.Reader.Buffered()))
	return &hijacked{conn.(stream), io.MultiReader(early, conn)}, nil
}

// hijacked begins with what the client has sent too early. The buffer is good for nothing more: at the end of what the
// client sends it would cancel the request's context, although the other direction goes on.
type hijacked struct {
	stream
	input io.Reader
}

func (h *hijacked) Read(p []byte) (int, error) { return h.input.Read(p) }

// join copies both ways until both directions have ended, one of them with an error, or ctx is done.
func join(ctx context.Context, a, b stream) {
	closeBoth := func() {
		a.Close()
		b.Close()
	}
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	copyTo := func(to, from stream) {
		if _, err := io.Copy(to, from); err != nil {
			closeBoth()
		}
		to.CloseWrite()
	}
	var both sync.WaitGroup
	both.Go(func() { copyTo(a, b) })
	both.Go(func() { copyTo(b, a) })
	both.Wait()
}
