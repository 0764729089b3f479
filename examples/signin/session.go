package main

import (
	"crypto/rand"
	"maps"
	"net/http"
	"time"
)

// session is what the site knows of one browser until it restarts. Its users hold the site's lock.
type session struct {
	account  string    // who is signed in
	waiting  string    // whose password was right, and whose second factor is to come
	ceremony *ceremony // that runs
	notice   string    // for the next page
	problem  string    // for the next page
	codes    []string  // new backup codes, for the next page
	expires  time.Time
}

const (
	visit       = 15 * time.Minute // to get signed in
	stay        = 12 * time.Hour
	maxSessions = 10000
)

// takeCeremony returns the ceremony that runs, if it is of the right kind, and ends it: no challenge is good for two
// answers.
func (s *session) takeCeremony(right func(*ceremony) bool) (*ceremony, error) {
	c := s.ceremony
	s.ceremony = nil
	if c == nil || !right(c) {
		return nil, problem{http.StatusBadRequest, "That took too long. Please try again."}
	}
	return c, nil
}

// session returns the browser's session and its token, or a new session that has none.
func (s *site) session(r *http.Request) (token string, found *session) {
	if cookie, err := r.Cookie("session"); err == nil {
		token = cookie.Value
	}
	if found = s.sessions[token]; found == nil || time.Now().After(found.expires) {
		return "", &session{expires: time.Now().Add(visit)}
	}
	return token, found
}

// keep remembers a new session and gives the browser its token.
func (s *site) keep(w http.ResponseWriter, kept *session) error {
	maps.DeleteFunc(s.sessions, func(_ string, old *session) bool { return time.Now().After(old.expires) })
	if len(s.sessions) >= maxSessions {
		return problem{http.StatusServiceUnavailable, "There are too many visitors. Please try again later."}
	}
	token := rand.Text()
	s.sessions[token] = kept
	cookie := &http.Cookie{Name: "session", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure}
	if len(s.config.Embedders) > 0 { // a frame in another site has cookies of its own
		cookie.SameSite, cookie.Secure, cookie.Partitioned = http.SameSiteNoneMode, true, true
	}
	http.SetCookie(w, cookie)
	return nil
}

// startSession signs the user in. The browser gets a new token, so that nobody knows it who knew the old one.
func (s *site) startSession(r *request, a *account) (answer, error) {
	delete(s.sessions, r.token)
	r.token, r.session = "", &session{account: a.Name, expires: time.Now().Add(stay)}
	return answer{location: "/"}, s.store.save()
}
