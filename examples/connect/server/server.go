package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

// A config says how the server is run.
type config struct {
	Origin           string                               // as clients call it: "https://connect.example.org"
	Targets          map[string]string                    // addresses by name
	TokenLifetime    time.Duration                        // 0: a token opens one connection
	TouchTimeout     time.Duration                        // how long a user may take
	UserVerification protocol.UserVerificationRequirement // whether a touch is enough
}

// check refuses times with which nobody could ever connect.
func (c *config) check() error {
	if c.TokenLifetime != 0 && c.TokenLifetime < time.Second { // JWTs have whole seconds
		return errors.New("a token lives a second or longer, or 0 to open one connection")
	}
	if c.TouchTimeout <= 0 || c.TouchTimeout > ceremonyLifetime {
		return fmt.Errorf("a touch takes longer than 0 and %v at most", ceremonyLifetime)
	}
	return nil
}

type server struct {
	config
	store    *store
	webauthn *webauthn.WebAuthn
	tokens   *tokens
	log      *slog.Logger
	now      func() time.Time
}

func newServer(ctx context.Context, c config, store *store, log *slog.Logger, now func() time.Time) (*server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, err
	}
	timeout := webauthn.TimeoutConfig{Timeout: c.TouchTimeout, TimeoutUVD: c.TouchTimeout}
	w, err := webauthn.New(&webauthn.Config{
		RPID: origin.Hostname(), RPDisplayName: "Connect", RPOrigins: []string{c.Origin},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementDiscouraged, UserVerification: c.UserVerification,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
	})
	if err != nil {
		return nil, err
	}
	secret, err := store.secret(ctx, "tokens")
	if err != nil {
		return nil, err
	}
	tokens := &tokens{secret: secret, issuer: c.Origin, lifetime: c.TokenLifetime, store: store, now: now}
	return &server{config: c, store: store, webauthn: w, tokens: tokens, log: log, now: now}, nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.BeginRegistration, s.result(s.beginRegistration))
	mux.Handle(api.FinishRegistration, s.result(s.finishRegistration))
	mux.Handle(api.ListKeys, s.result(s.listKeys))
	mux.Handle(api.DeleteKey, s.result(s.deleteKey))
	mux.Handle(api.BeginConnection, s.result(s.beginConnection))
	mux.Handle(api.FinishConnection, s.result(s.finishConnection))
	mux.Handle(api.Connect, s.forUser(s.connect))
	return http.MaxBytesHandler(mux, api.MaxBody)
}

// forUser serves those who have a user's token, which stands for whatever tells a real server who calls.
func (s *server) forUser(serve func(http.ResponseWriter, *http.Request, *user) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		u, err := s.store.userOf(r.Context(), token)
		if errors.Is(err, sql.ErrNoRows) {
			err = &api.Error{Status: http.StatusUnauthorized, Message: "whose token is that?"}
		}
		if err == nil {
			err = serve(w, r, u)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// result serves what can be told as JSON.
func (s *server) result(of func(*http.Request, *user) (any, error)) http.Handler {
	return s.forUser(func(w http.ResponseWriter, r *http.Request, u *user) error {
		result, err := of(r, u)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result) // if the client is gone nobody wants to know
		return nil
	})
}

// fail tells the client what it may know, and the log the rest.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var told *api.Error
	if !errors.As(err, &told) {
		s.log.Error("request", "path", r.URL.Path, "error", err)
		told = &api.Error{Status: http.StatusInternalServerError, Message: "the server could not do that"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(told.Status)
	json.NewEncoder(w).Encode(told)
}

// read decodes the body of a request into v.
func read(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &api.Error{Status: http.StatusRequestEntityTooLarge, Message: "the request is too large"}
	}
	if err != nil {
		return malformed(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return malformed(err)
	}
	return nil
}

func malformed(err error) error {
	return &api.Error{Status: http.StatusBadRequest, Message: "malformed: " + err.Error()}
}

// refused is about an answer that does not verify. Package protocol says more in its details than in its error.
func refused(err error) error {
	message := "the key's answer does not verify: " + err.Error()
	var e *protocol.Error
	if errors.As(err, &e) {
		message += ": " + e.Details
	}
	return &api.Error{Status: http.StatusForbidden, Message: message}
}
