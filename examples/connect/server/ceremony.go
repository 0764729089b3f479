package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

// A ceremony is over after ceremonyLifetime, or when it was answered, whichever way. The next one that begins deletes what
// is over.
const ceremonyLifetime = 5 * time.Minute

// The kinds of ceremonies: an answer to one is none to the other.
const (
	registration = "registration"
	connection   = "connection"
)

var errNoCeremony = &api.Error{Status: http.StatusGone, Message: "this ceremony is over: begin another"}

// beginCeremony stores what is needed to judge the answer, and returns what the client needs to make it.
func (s *server) beginCeremony(
	ctx context.Context, u *user, kind, subject string, options any, session *webauthn.SessionData,
) (*api.Ceremony, error) {
	encodedOptions, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	encodedSession, err := json.Marshal(session)
	if err != nil {
		return nil, err
	}
	id, now := rand.Text(), s.now()
	if _, err := s.store.db.ExecContext(ctx, `DELETE FROM ceremonies WHERE expires <= ?`, now.Unix()); err != nil {
		return nil, err
	}
	_, err = s.store.db.ExecContext(ctx, `INSERT INTO ceremonies VALUES (?, ?, ?, ?, ?, ?)`,
		id, u.name, kind, subject, string(encodedSession), now.Add(ceremonyLifetime).Unix())
	if err != nil {
		return nil, err
	}
	return &api.Ceremony{ID: id, Options: encodedOptions}, nil
}

// endCeremony forgets a ceremony, so that there is one answer to each, and returns what beginCeremony has stored. The
// ceremonies of others are left alone.
func (s *server) endCeremony(
	ctx context.Context, u *user, kind, id string,
) (subject string, session *webauthn.SessionData, err error) {
	var encoded []byte
	row := s.store.db.QueryRowContext(ctx, `DELETE FROM ceremonies
		WHERE id = ? AND user = ? AND kind = ? AND expires > ? RETURNING subject, session`,
		id, u.name, kind, s.now().Unix())
	if err := row.Scan(&subject, &encoded); errors.Is(err, sql.ErrNoRows) {
		return "", nil, errNoCeremony
	} else if err != nil {
		return "", nil, err
	}
	return subject, session, json.Unmarshal(encoded, &session)
}
