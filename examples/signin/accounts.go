package main

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

func (s *site) join(r *request) (answer, error) {
	name, password := r.PostFormValue("name"), r.PostFormValue("password")
	if !validName(name) {
		return answer{}, problem{http.StatusBadRequest, "Choose a name of 1 to 64 characters."}
	}
	if s.store.Accounts[name] != nil {
		return answer{}, problem{http.StatusConflict, "Somebody has this name already."}
	}
	if err := checkPassword(password); err != nil {
		return answer{}, err
	}
	a, err := newAccount(name, password)
	if err != nil {
		return answer{}, err
	}
	s.store.Accounts[name] = a
	s.log.Info("account created", "user", name)
	return s.startSession(r, a)
}

// bcrypt takes no more than 72 bytes.
func checkPassword(password string) error {
	if utf8.RuneCountInString(password) < 8 || len(password) > 72 {
		return problem{http.StatusBadRequest, "Choose a password of at least 8 characters, and at most 72 bytes."}
	}
	return nil
}

func (s *site) password(r *request) (answer, error) {
	name := r.PostFormValue("name")
	if err := s.allow(name); err != nil {
		return answer{}, err
	}
	a := s.store.Accounts[name]
	if !a.hasPassword(r.PostFormValue("password")) {
		s.log.Warn("password refused", "user", name)
		return answer{}, problem{http.StatusForbidden, "The name or the password is wrong."}
	}
	delete(s.tries, name)
	if a.HasSecondFactor() {
		s.log.Info("password accepted", "user", name)
		r.session.waiting = name
		return answer{location: "/second"}, nil
	}
	s.log.Info("signed in", "user", name, "way", "password")
	return s.startSession(r, a)
}

// lost signs in with a backup code in place of the key. Who has a password has given it before.
func (s *site) lost(r *request) (answer, error) {
	name := r.session.waiting
	if name == "" {
		name = r.PostFormValue("name")
	}
	if err := s.allow(name); err != nil {
		return answer{}, err
	}
	a := s.store.Accounts[name]
	if a == nil || (a.Password != nil && r.session.waiting == "") || !a.useCode(r.PostFormValue("code")) {
		s.log.Warn("backup code refused", "user", name)
		return answer{}, problem{http.StatusForbidden,
			"This code is wrong or used, or the account has a password, which comes first."}
	}
	delete(s.tries, name)
	s.log.Info("signed in", "user", name, "way", "backup code", "left", len(a.Codes))
	return s.startSession(r, a)
}

func (s *site) signOut(r *request) (answer, error) {
	delete(s.sessions, r.token)
	r.token, r.session = "", &session{expires: time.Now().Add(visit)}
	return answer{location: "/signin"}, nil
}

func (s *site) setPassword(r *request) (answer, error) {
	password := r.PostFormValue("password")
	if err := checkPassword(password); err != nil {
		return answer{}, err
	}
	if err := r.account.setPassword(password); err != nil {
		return answer{}, err
	}
	s.log.Info("password set", "user", r.account.Name)
	return s.changed(r, "The password is set.")
}

func (s *site) removePassword(r *request) (answer, error) {
	if err := r.account.change(func(a *account) { a.Password = nil }); err != nil {
		return answer{}, err
	}
	s.log.Info("password removed", "user", r.account.Name)
	return s.changed(r, "The password is removed. Your keys are enough.")
}

func (s *site) codes(r *request) (answer, error) {
	r.session.codes = r.account.newCodes()
	s.log.Info("backup codes made", "user", r.account.Name)
	return s.changed(r, "")
}

// changeKey renames, disables, enables or removes a key.
func (s *site) changeKey(r *request) (answer, error) {
	id, _ := base64.RawURLEncoding.DecodeString(r.PathValue("id"))
	if r.account.keyWith(id) == nil {
		return answer{}, problem{http.StatusNotFound, "This key is not registered any more."}
	}
	do, notice := keyChange(r.PathValue("change"), r.PostFormValue("name"))
	if do == nil {
		return answer{}, problem{http.StatusBadRequest, notice}
	}
	name := r.account.keyWith(id).Name
	err := r.account.change(func(a *account) { do(a, a.keyWith(id)) })
	if err != nil {
		return answer{}, err
	}
	s.log.Info("key changed", "user", r.account.Name, "key", name, "change", r.PathValue("change"))
	return s.changed(r, notice)
}

// keyChange returns a change and what the user is told of it, or nil and why it cannot be.
func keyChange(change, name string) (do func(*account, *key), notice string) {
	switch change {
	case "name":
		if !validName(name) {
			return nil, "Give the key a name of 1 to 64 characters."
		}
		return func(_ *account, k *key) { k.Name = name }, "The key is renamed."
	case "disable":
		return func(_ *account, k *key) { k.Disabled = true }, "The key is disabled."
	case "enable":
		return func(_ *account, k *key) { k.Disabled = false }, "The key is enabled."
	case "remove":
		return func(a *account, k *key) {
			a.Keys = slices.DeleteFunc(a.Keys, func(other *key) bool { return other == k })
		}, "The key is removed."
	}
	return nil, "Keys cannot do that."
}

// change makes a change that must leave the user a way in.
func (a *account) change(do func(*account)) error {
	next := *a
	next.Keys = nil
	for _, k := range a.Keys {
		copied := *k
		next.Keys = append(next.Keys, &copied)
	}
	do(&next)
	if !next.hasWayIn() {
		return problem{http.StatusConflict, "This is the last way into your account: add another one first."}
	}
	*a = next
	return nil
}

func (s *site) changed(r *request, notice string) (answer, error) {
	r.session.notice = notice
	return answer{location: "/"}, s.store.save()
}

// tries counts wrong passwords and codes.
type tries struct {
	count int
	since time.Time
}

const (
	maxTries  = 5
	triesTime = 5 * time.Minute
)

// allow counts a try for an account, right or wrong, and refuses too many of them.
func (s *site) allow(name string) error {
	maps.DeleteFunc(s.tries, func(_ string, t *tries) bool { return time.Since(t.since) > triesTime })
	if !validName(name) || len(s.tries) > maxSessions {
		return problem{http.StatusBadRequest, "Nobody has this name."}
	}
	t := s.tries[name]
	if t == nil {
		t = &tries{since: time.Now()}
		s.tries[name] = t
	}
	if t.count++; t.count > maxTries {
		return problem{http.StatusTooManyRequests, "Too many tries. Wait five minutes, or sign in with a key."}
	}
	return nil
}
