package main

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

var (
	errName = &api.Error{Status: http.StatusBadRequest, Message: "a key's name has 1 to 128 characters that print"}
	errFull = &api.Error{Status: http.StatusConflict,
		Message: "there is a key of that name, or this one is registered already, or you have 64 keys"}
)

// checkName refuses names that are too long, empty to the eye, or would play tricks on the terminal that shows them.
func checkName(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > api.MaxName ||
		strings.TrimSpace(name) != name || name == "" || strings.ContainsFunc(name, unprintable) {
		return errName
	}
	return nil
}

func (s *server) beginRegistration(r *http.Request, u *user) (any, error) {
	var wanted api.NewKey
	if err := read(r, &wanted); err != nil {
		return nil, err
	}
	if err := checkName(wanted.Name); err != nil {
		return nil, err
	}
	may, err := s.store.mayAdd(r.Context(), u, wanted.Name)
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, errFull
	}
	if u, err = withKeys(r.Context(), s.store.db, u); err != nil {
		return nil, err
	}
	known := webauthn.Credentials(u.keys).CredentialDescriptors()
	options, session, err := s.webauthn.BeginRegistration(u, webauthn.WithExclusions(known))
	if err != nil {
		return nil, err
	}
	return s.beginCeremony(r.Context(), u, registration, wanted.Name, options, session)
}

func (s *server) finishRegistration(r *http.Request, u *user) (any, error) {
	var answer api.Answer
	if err := read(r, &answer); err != nil {
		return nil, err
	}
	name, session, err := s.endCeremony(r.Context(), u, registration, answer.ID)
	if err != nil {
		return nil, err
	}
	response, err := protocol.ParseCredentialCreationResponseBytes(answer.Response)
	if err != nil {
		return nil, refused(err)
	}
	key, err := s.webauthn.CreateCredential(u, *session, response)
	if err != nil {
		return nil, refused(err)
	}
	now := s.now()
	added, err := s.store.addKey(r.Context(), u, name, key, now)
	if err != nil {
		return nil, err
	}
	if !added {
		return nil, errFull
	}
	s.log.Info("registered", "user", u.name, "key", name)
	return &api.Key{Name: name, Created: now.UTC()}, nil
}

func (s *server) listKeys(r *http.Request, u *user) (any, error) {
	return s.store.keys(r.Context(), u)
}

func (s *server) deleteKey(r *http.Request, u *user) (any, error) {
	name := r.URL.Query().Get("name")
	deleted, err := s.store.deleteKey(r.Context(), u, name)
	if err != nil {
		return nil, err
	}
	if !deleted {
		return nil, &api.Error{Status: http.StatusNotFound, Message: "you have no key of that name"}
	}
	s.log.Info("deleted", "user", u.name, "key", name)
	return struct{}{}, nil
}
