package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

//go:embed static templates
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"day": func(t time.Time) string { return t.Format("2 January 2006") },
}).ParseFS(files, "templates/*.html"))

type config struct {
	Origin    string   // how browsers call the site
	File      string   // for the accounts
	Embedders []string // origins that may show the site in a frame
	Log       *slog.Logger
}

// site is the web site. One lock guards all that it knows; no request holds it while it reads or writes the network.
type site struct {
	config   config
	log      *slog.Logger
	webauthn *webauthn.WebAuthn
	handler  http.Handler
	secure   bool

	mu       sync.Mutex
	store    *store
	sessions map[string]*session
	tries    map[string]*tries // by account
}

func newSite(c config) (*site, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, err
	}
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: 5 * time.Minute, TimeoutUVD: 5 * time.Minute}
	w, err := webauthn.New(&webauthn.Config{
		RPID:                  origin.Hostname(),
		RPDisplayName:         "Sign-in example",
		RPOrigins:             []string{c.Origin},
		RPAllowCrossOrigin:    len(c.Embedders) > 0,
		RPTopOrigins:          c.Embedders,
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: limit, Registration: limit},
	})
	if err != nil {
		return nil, err
	}
	accounts, err := openStore(c.File)
	if err != nil {
		return nil, err
	}
	s := &site{
		config: c, log: c.Log, webauthn: w, secure: origin.Scheme == "https",
		store: accounts, sessions: map[string]*session{}, tries: map[string]*tries{},
	}
	s.handler = s.routes()
	return s, nil
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(files))
	handle := func(pattern string, do handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, do) })
	}
	handle("GET /{$}", signedIn(page("home")))
	handle("GET /signin", page("signin"))
	handle("GET /join", page("join"))
	handle("GET /second", waiting(page("second")))
	handle("GET /lost", page("lost"))
	handle("POST /join", s.join)
	handle("POST /signin", s.password)
	handle("POST /lost", s.lost)
	handle("POST /signout", s.signOut)
	handle("POST /password", signedIn(s.setPassword))
	handle("POST /password/remove", signedIn(s.removePassword))
	handle("POST /codes", signedIn(s.codes))
	handle("POST /keys/{id}/{change}", signedIn(s.changeKey))
	handle("POST /webauthn/register/options", signedIn(s.registerOptions))
	handle("POST /webauthn/register", signedIn(s.register))
	handle("POST /webauthn/signin/options", s.signinOptions)
	handle("POST /webauthn/signin", s.signin)
	return http.NewCrossOriginProtection().Handler(mux) // forms and scripts of other origins are refused
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ancestors := strings.Join(append([]string{"'self'"}, s.config.Embedders...), " ")
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors "+ancestors)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	s.handler.ServeHTTP(w, r)
}

// request is what a handler gets; it holds the lock.
type request struct {
	*http.Request
	body    []byte   // if it is JSON; a form is parsed
	token   string   // of the session; empty if it is new
	session *session // never nil
	account *account // who is signed in
}

// answer is one of: a page, JSON, a redirection.
type answer struct {
	page     string
	json     any
	location string
}

type handler func(*request) (answer, error)

// problem is an error for the user.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

// redirect is the error of those who have to be elsewhere first.
type redirect string

func (r redirect) Error() string { return "see " + string(r) }

func signedIn(do handler) handler {
	return func(r *request) (answer, error) {
		if r.account == nil {
			return answer{}, redirect("/signin")
		}
		return do(r)
	}
}

// waiting is for those whose password was right: the session may have ended meanwhile.
func waiting(do handler) handler {
	return func(r *request) (answer, error) {
		if r.session.waiting == "" {
			return answer{}, redirect("/signin")
		}
		return do(r)
	}
}

func page(name string) handler {
	return func(*request) (answer, error) { return answer{page: name}, nil }
}

func (s *site) serve(w http.ResponseWriter, hr *http.Request, do handler) {
	r := &request{Request: hr}
	if err := r.read(w); err != nil {
		http.Error(w, "The request makes no sense.", http.StatusBadRequest)
		return
	}
	write := s.run(w, r, do)
	write()
}

// run runs a handler under the lock, and returns what is left to be done without it.
func (s *site) run(w http.ResponseWriter, r *request, do handler) (write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.token, r.session = s.session(r.Request)
	r.account = s.store.Accounts[r.session.account]
	a, err := do(r)
	write = s.respond(w, r, a, err)
	if r.token == "" && r.Method != http.MethodGet {
		if err := s.keep(w, r.session); err != nil {
			return s.fail(w, r, err)
		}
	}
	return write
}

// read reads the body, at most 64 KiB of it.
func (r *request) read(w http.ResponseWriter) (err error) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.isScript() {
		r.body, err = io.ReadAll(r.Body)
		return err
	}
	return r.ParseForm()
}

// isScript says whether the page's script asks, and not the browser for a page.
func (r *request) isScript() bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/json"
}

func (s *site) respond(w http.ResponseWriter, r *request, a answer, err error) func() {
	switch {
	case err != nil:
		return s.fail(w, r, err)
	case a.page != "":
		return s.render(w, r, a)
	case r.isScript() && a.location != "":
		a.json = map[string]string{"location": a.location}
		fallthrough
	case r.isScript():
		return reply(w, http.StatusOK, a.json)
	default:
		return func() { http.Redirect(w, r.Request, a.location, http.StatusSeeOther) }
	}
}

// fail tells the page's script of a problem, or the next page.
func (s *site) fail(w http.ResponseWriter, r *request, err error) func() {
	p := problem{http.StatusInternalServerError, "Something went wrong here. Please try again."}
	var to redirect
	if !errors.As(err, &p) && !errors.As(err, &to) {
		s.log.Error("failed", "path", r.URL.Path, "error", err)
	}
	switch {
	case r.isScript() && to != "":
		return reply(w, http.StatusOK, map[string]redirect{"location": to})
	case r.isScript():
		return reply(w, p.status, map[string]string{"error": p.text})
	case to == "" && r.Method == http.MethodGet:
		return func() { http.Error(w, p.text, p.status) }
	case to == "":
		r.session.problem = p.text
		to = redirect(back(r))
	}
	return func() { http.Redirect(w, r.Request, string(to), http.StatusSeeOther) }
}

// back is the page with the form of this request, with the user name in it.
func back(r *request) string {
	switch r.URL.Path {
	case "/join", "/signin", "/lost":
		return r.URL.Path + "?" + url.Values{"name": {r.PostFormValue("name")}}.Encode()
	}
	return "/"
}

func reply(w http.ResponseWriter, status int, value any) func() {
	return func() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(value)
	}
}

func (s *site) render(w http.ResponseWriter, r *request, a answer) func() {
	var out bytes.Buffer
	err := pages.ExecuteTemplate(&out, a.page+".html", map[string]any{
		"Notice": r.session.notice, "Problem": r.session.problem, "Codes": r.session.codes,
		"Name": r.FormValue("name"), "Waiting": r.session.waiting, "Account": r.account,
	})
	if err != nil {
		return s.fail(w, r, err)
	}
	r.session.notice, r.session.problem, r.session.codes = "", "", nil
	return func() { out.WriteTo(w) }
}

// refuse is for what a key, or somebody who pretends to be one, answered.
func (s *site) refuse(err error) error {
	s.log.Warn("answer refused", "error", err)
	return problem{http.StatusForbidden, "This key's answer is not accepted."}
}

func validName(name string) bool {
	return name != "" && name == strings.TrimSpace(name) && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 64
}
