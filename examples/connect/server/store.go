package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	_ "modernc.org/sqlite" // SQLite in Go

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

// A store keeps everything that must outlive the process. What a method has stored when it returns is on the disk.
type store struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS users (
	name       TEXT PRIMARY KEY,
	handle     BLOB NOT NULL UNIQUE, -- user.id of WebAuthn
	token_hash BLOB NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
	id         BLOB PRIMARY KEY,
	user       TEXT NOT NULL REFERENCES users,
	name       TEXT NOT NULL,
	credential TEXT NOT NULL, -- as JSON
	created    INTEGER NOT NULL,
	last_used  INTEGER, -- times are seconds since 1970
	UNIQUE (user, name)
) STRICT;
CREATE TABLE IF NOT EXISTS ceremonies (
	id      TEXT PRIMARY KEY,
	user    TEXT NOT NULL REFERENCES users,
	kind    TEXT NOT NULL,
	subject TEXT NOT NULL, -- what it is about: the name of a key or of a target
	session TEXT NOT NULL, -- as JSON
	expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS used_tokens (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) STRICT;
`

// openStore opens a database, and makes it first if need be: only its owner may read it.
func openStore(ctx context.Context, path string) (*store, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	file.Close()
	settings := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: settings.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // one writer at a time is all that SQLite has; waiting for it here is fair
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &store{db}, nil
}

func (s *store) Close() error { return s.db.Close() }

// secret returns the 32 bytes of that name, random ones the first time.
func (s *store) secret(ctx context.Context, name string) (value []byte, err error) {
	_, err = s.db.ExecContext(ctx, `INSERT OR IGNORE INTO secrets VALUES (?, ?)`, name, random(32))
	if err != nil {
		return nil, err
	}
	err = s.db.QueryRowContext(ctx, `SELECT value FROM secrets WHERE name = ?`, name).Scan(&value)
	return value, err
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// hashToken hashes a token of [rand.Text], which has too many bits to be guessed: no slow hash is needed.
func hashToken(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}

// user is a user to package webauthn.
type user struct {
	name   string
	handle []byte
	keys   []webauthn.Credential
}

func (u *user) WebAuthnID() []byte                         { return u.handle }
func (u *user) WebAuthnName() string                       { return u.name }
func (u *user) WebAuthnDisplayName() string                { return u.name }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.keys }

// addUser makes a user and returns the token to know them by, or gives one that exists a new token.
func (s *store) addUser(ctx context.Context, name string) (token string, err error) {
	token = rand.Text()
	_, err = s.db.ExecContext(ctx, `INSERT INTO users VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash`, name, random(32), hashToken(token))
	return token, err
}

// userOf returns whose token it is, without keys. There may be nobody: sql.ErrNoRows.
func (s *store) userOf(ctx context.Context, token string) (*user, error) {
	u := new(user)
	row := s.db.QueryRowContext(ctx, `SELECT name, handle FROM users WHERE token_hash = ?`, hashToken(token))
	return u, row.Scan(&u.name, &u.handle)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// withKeys returns the user with the keys as they are stored now.
func withKeys(ctx context.Context, q querier, u *user) (*user, error) {
	rows, err := q.QueryContext(ctx, `SELECT credential FROM keys WHERE user = ? ORDER BY created`, u.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := &user{name: u.name, handle: u.handle}
	for rows.Next() {
		var text []byte
		var credential webauthn.Credential
		if err := errors.Join(rows.Scan(&text), json.Unmarshal(text, &credential)); err != nil {
			return nil, err
		}
		all.keys = append(all.keys, credential)
	}
	return all, rows.Err()
}

const maxKeys = 64 // of a user: each is in the options of every ceremony

// addKey stores a key. It returns false if there is one with that name or that ID, or if there are too many.
func (s *store) addKey(ctx context.Context, u *user, name string, key *webauthn.Credential, now time.Time) (bool, error) {
	encoded, err := json.Marshal(key)
	if err != nil {
		return false, err
	}
	return changed(s.db.ExecContext(ctx, `INSERT INTO keys
		SELECT ?, ?, ?, ?, ?, NULL WHERE (SELECT count(*) FROM keys WHERE user = ?) < ? ON CONFLICT DO NOTHING`,
		key.ID, u.name, name, string(encoded), now.Unix(), u.name, maxKeys))
}

// mayAdd tells before the touch what addKey would tell after it.
func (s *store) mayAdd(ctx context.Context, u *user, name string) (may bool, err error) {
	row := s.db.QueryRowContext(ctx, `SELECT count(*) < ? AND coalesce(sum(name = ?), 0) = 0 FROM keys WHERE user = ?`,
		maxKeys, name, u.name)
	return may, row.Scan(&may)
}

func (s *store) keys(ctx context.Context, u *user) ([]api.Key, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT name, created, last_used FROM keys WHERE user = ? ORDER BY name`, u.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []api.Key{}
	for rows.Next() {
		var key api.Key
		var created int64
		var used sql.NullInt64
		if err := rows.Scan(&key.Name, &created, &used); err != nil {
			return nil, err
		}
		key.Created = time.Unix(created, 0).UTC()
		if used.Valid {
			key.LastUsed = time.Unix(used.Int64, 0).UTC()
		}
		list = append(list, key)
	}
	return list, rows.Err()
}

func (s *store) deleteKey(ctx context.Context, u *user, name string) (bool, error) {
	return changed(s.db.ExecContext(ctx, `DELETE FROM keys WHERE user = ? AND name = ?`, u.name, name))
}

// useKey has verify find the key of the user that signed, and stores what that changed: the signature counter. Nobody
// else can change it meanwhile.
func (s *store) useKey(
	ctx context.Context, u *user, now time.Time, verify func(*user) (*webauthn.Credential, error),
) (*webauthn.Credential, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if u, err = withKeys(ctx, tx, u); err != nil {
		return nil, err
	}
	key, err := verify(u)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE keys SET credential = ?, last_used = ? WHERE id = ?`,
		string(encoded), now.Unix(), key.ID)
	if err != nil {
		return nil, err
	}
	return key, tx.Commit()
}

// hasKey says whether the user's key is still registered.
func (s *store) hasKey(ctx context.Context, u *user, id []byte) (has bool, err error) {
	row := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM keys WHERE id = ? AND user = ?)`, id, u.name)
	return has, row.Scan(&has)
}

// clockSlack is how far the clock may be set back without a used token becoming good again.
const clockSlack = time.Hour

// useToken returns false if a token of this ID was used before.
func (s *store) useToken(ctx context.Context, id string, expires, now time.Time) (first bool, err error) {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM used_tokens WHERE expires <= ?`, now.Add(-clockSlack).Unix()); err != nil {
		return false, err
	}
	return changed(s.db.ExecContext(ctx,
		`INSERT INTO used_tokens VALUES (?, ?) ON CONFLICT DO NOTHING`, id, expires.Unix()))
}

// changed says whether a statement changed anything.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
