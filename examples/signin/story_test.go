package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The keys on the user's desk.
const (
	desk   = "desk"
	pocket = "pocket"
)

// keys is how the browser gets at security keys.
type keys interface {
	visit(url string) // with the browser's tab
	plug(key string)  // that one is touched from now on; "" is none

	// The user does what makes the key ask who they are, and then:
	verify(act func())  // proves it
	mistype(act func()) // cannot
	retry(act func())   // after that, can at last
}

// TestBrowser has a user at a keyboard go through everything that the site does, once with the browser's own WebAuthn
// and once by way of keyfob's helper. The site cannot tell the difference.
func TestBrowser(t *testing.T) {
	findChromium(t)
	var own, helped *record
	t.Run("own WebAuthn", func(t *testing.T) {
		own = tell(t, func(tab *tab, _ string) keys { return newNative(tab) })
	})
	t.Run("keyfob", func(t *testing.T) {
		helped = tell(t, func(tab *tab, origin string) keys { return newApp(t, tab, origin) })
	})
	if own == nil || helped == nil {
		return // one of them failed, or was not to run
	}
	require.Equal(t, own.requests, helped.requests)
	require.Equal(t, own.log, helped.log)
	require.Equal(t, own.accounts, helped.accounts)
}

// record is what the site got and kept, without what is random.
type record struct {
	requests []string
	log      string
	accounts string
}

// story is one user's way through the site.
type story struct {
	*person
	keys
	web   *web
	codes []string // backup codes
}

func tell(t *testing.T, plugIn func(tab *tab, site string) keys) *record {
	t.Helper()
	w := newWeb(t)
	tab := startBrowser(t).open(t)
	s := &story{person: &person{t: t, tab: tab, origin: w.origin}, keys: plugIn(tab, w.origin), web: w}
	s.joins()
	s.registersKeys()
	s.makesCodesAndRenames()
	s.usesSecondFactor()
	s.replacesPassword()
	s.needsNoName()
	s.losesKeys()
	s.keepsTheLastWayIn()
	s.signsInWithinAFrame()
	return w.record()
}

func (s *story) joins() {
	s.visit(s.origin)
	s.sees("Sign in with a key")
	s.tab.fits(s.origin, "signin")
	s.press("Create an account")
	s.sees("Create the account")
	s.types("User name", "alice")
	s.types("Password", "correct horse")
	s.press("Create the account")
	s.sees("Your account")
}

func (s *story) registersKeys() {
	s.plug(desk)
	s.verify(func() { s.registers("Desk key") })
	s.sees("Registered on")
	s.plug(pocket)
	s.verify(func() { s.registers("Pocket key") })
	s.sees("New name of Pocket key")
	s.verify(func() { s.registers("Pocket key again") })
	s.sees("This key is registered already.")
}

func (s *story) makesCodesAndRenames() {
	s.press("Make new codes")
	s.sees("Your new backup codes")
	s.tab.fits(s.origin, "home")
	const shown = `[...document.querySelectorAll("code")].map((e) => e.innerText)`
	require.NoError(s.t, s.tab.eval(s.origin, shown, &s.codes))
	require.Len(s.t, s.codes, 10)
	s.types("New name of Pocket key", "Red key")
	s.press("Rename Pocket key")
	s.sees("The key is renamed.")
	s.seesNot(s.codes[0])
}

func (s *story) usesSecondFactor() {
	s.signsOut()
	s.givesPassword("wrong horse")
	s.sees("The name or the password is wrong.")
	s.givesPassword("correct horse")
	s.sees("Now use one of your keys.")
	s.plug("")
	s.press("Use a key")
	s.sees("Plug it in")
	s.tab.fits(s.origin, "touch")
	s.press("Cancel")
	s.sees("Cancelled.")
	s.press("Use a key")
	s.sees("Plug it in")
	s.tab.key("Escape", "Escape", 27, "")
	s.sees("Cancelled.")
	s.plug(pocket)
	s.press("Use a key")
	s.sees("last used on")
}

func (s *story) replacesPassword() {
	s.signsOut()
	s.plug(desk)
	s.types("Your name", "alice")
	s.mistype(func() { s.press("Sign in without a password") })
	s.sees("That did not work")
	s.tab.fits(s.origin, "problem")
	s.retry(func() { s.press("Sign in without a password") })
	s.sees("You are signed in as alice")
}

func (s *story) needsNoName() {
	s.signsOut()
	s.verify(func() { s.press("Sign in with a key") })
	s.sees("You are signed in as alice")
	s.press("Disable Desk key")
	s.sees("The key is disabled.")
	s.signsOut()
	s.verify(func() { s.press("Sign in with a key") })
	s.sees("This key's answer is not accepted.")
}

func (s *story) losesKeys() {
	s.givesCode(s.codes[3])
	s.sees("You have 9, each for one time without a key.")
	s.signsOut()
	s.givesCode(strings.ToLower(s.codes[3]))
	s.sees("This code is wrong or used")
	s.types("Backup code", s.codes[9])
	s.press("Sign in")
	s.sees("You have 8, each for one time without a key.")
}

func (s *story) givesCode(code string) {
	s.givesPassword("correct horse")
	s.sees("Now use one of your keys.")
	s.press("I have lost my key")
	s.sees("Signing in as alice")
	s.tab.fits(s.origin, "lost")
	s.types("Backup code", code)
	s.press("Sign in")
}

func (s *story) keepsTheLastWayIn() {
	s.press("Remove the password")
	s.sees("Your keys are enough.")
	for _, button := range []string{"Disable Red key", "Remove Red key"} {
		s.press(button)
		s.sees("This is the last way into your account")
		s.visit(s.origin)
		s.seesNot("This is the last way")
	}
	s.press("Enable Desk key")
	s.sees("The key is enabled.")
	s.press("Remove Desk key")
	s.sees("The key is removed.")
	s.tab.fits(s.origin, "last")
}

func (s *story) signsInWithinAFrame() {
	s.signsOut()
	s.plug(pocket)
	s.visit(s.web.shop)
	s.sees("Sign in with a key")
	s.verify(func() { s.press("Sign in with a key") })
	s.sees("You are signed in as alice")
	s.tab.fits(s.web.shop, "frame")
}

// person uses the site by keyboard only.
type person struct {
	t      *testing.T
	tab    *tab
	origin string
}

func (u *person) registers(name string) {
	u.t.Helper()
	u.types("Name of the new key", name)
	u.press("Register a key")
}

func (u *person) givesPassword(password string) {
	u.t.Helper()
	u.types("User name", "alice")
	u.types("Password", password)
	u.press("Sign in")
}

func (u *person) signsOut() {
	u.t.Helper()
	u.press("Sign out")
	u.sees("With a key alone")
}

// types replaces what is in the field with that label.
func (u *person) types(label, text string) {
	u.t.Helper()
	u.goTo(label)
	require.NoError(u.t, u.tab.eval(u.origin, "document.activeElement.select()", nil))
	u.tab.do("Input.insertText", object{"text": text}, nil)
}

// press presses Enter on the button or link of that name.
func (u *person) press(name string) {
	u.t.Helper()
	u.goTo(name)
	u.tab.key("Enter", "Enter", 13, "\r")
}

// goTo presses Tab until the focus is where it should be.
func (u *person) goTo(name string) {
	u.t.Helper()
	const focused = `(() => {
		const e = document.activeElement;
		return e.ariaLabel || e.labels?.[0]?.innerText || e.innerText || "";
	})()`
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var at string
		if u.tab.eval(u.origin, focused, &at) == nil && at == name {
			return
		}
		u.tab.key("Tab", "Tab", 9, "")
	}
	require.FailNow(u.t, "there is no way to reach it by keyboard", name)
}

func (u *person) sees(text string)    { u.t.Helper(); u.waits(text, true) }
func (u *person) seesNot(text string) { u.t.Helper(); u.waits(text, false) }

func (u *person) waits(text string, there bool) {
	u.t.Helper()
	var shown string
	look := func(c *assert.CollectT) {
		require.NoError(c, u.tab.eval(u.origin, "document.readyState === 'complete' ? document.body.innerText : ''", &shown))
		require.NotEmpty(c, shown)
		require.Equal(c, there, strings.Contains(shown, text), "%q in the page:\n%s", text, shown)
	}
	require.EventuallyWithT(u.t, look, patience, 20*time.Millisecond)
}

// web is the site, and a shop that has it in a frame.
type web struct {
	t      *testing.T
	origin string
	shop   string
	file   string
	log    bytes.Buffer

	mu       sync.Mutex
	requests []string
}

func newWeb(t *testing.T) *web {
	t.Helper()
	w := &web{t: t, file: filepath.Join(t.TempDir(), "signin.json")}
	shop := httptest.NewServer(http.HandlerFunc(w.serveShop))
	t.Cleanup(shop.Close)
	w.shop = "http://shop.localhost" + port(shop.Listener)
	server := httptest.NewUnstartedServer(nil)
	w.origin = "http://login.localhost" + port(server.Listener)
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	s, err := newSite(config{Origin: w.origin, File: w.file, Embedders: []string{w.shop}, Log: log})
	require.NoError(t, err)
	server.Config.Handler = w.watch(s)
	server.Start()
	t.Cleanup(server.Close)
	return w
}

func port(l net.Listener) string {
	_, number, _ := net.SplitHostPort(l.Addr().String())
	return ":" + number
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func (w *web) serveShop(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(rw, `<!DOCTYPE html><title>Shop</title><h1>Shop</h1>
		<iframe title="Sign in" width="300" height="500" allow="publickey-credentials-get %[1]s" src="%[1]s/signin"></iframe>`, w.origin)
}

// watch records the requests of a handler.
func (w *web) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !strings.HasPrefix(r.URL.Path, "/static/") { // they come in any order
			w.mu.Lock()
			w.requests = append(w.requests, w.describe(r, body))
			w.mu.Unlock()
		}
		h.ServeHTTP(rw, r)
	})
}

// describe tells what a request says, without what is random in it, and without the signature counter: Chromium's keys
// also count what they sign unseen, to find out whether they have a credential.
func (w *web) describe(r *http.Request, body []byte) string {
	said := r.Method + " " + r.URL.Path
	if strings.HasPrefix(r.URL.Path, "/keys/") {
		said = r.Method + " /keys/ID/" + filepath.Base(r.URL.Path)
	}
	switch r.URL.Path {
	case "/webauthn/register/options", "/webauthn/signin/options":
		return said + " " + string(body)
	case "/webauthn/register":
		return said + " " + w.registration(body)
	case "/webauthn/signin":
		return said + " " + w.assertion(body)
	}
	return said
}

func (w *web) registration(body []byte) string {
	p, err := protocol.ParseCredentialCreationResponseBytes(body)
	if err != nil {
		return err.Error()
	}
	att := p.Response.AttestationObject
	return w.text(object{
		"members": members(body), "clientData": w.clientData(p.Response.CollectedClientData), "format": att.Format,
		"flags": att.AuthData.Flags, "aaguid": att.AuthData.AttData.AAGUID,
		"extensions": att.AuthData.ExtData, "transports": p.Response.Transports, "results": p.ClientExtensionResults,
		"attachment": p.AuthenticatorAttachment, "algorithm": p.Raw.AttestationResponse.PublicKeyAlgorithm,
	})
}

func (w *web) assertion(body []byte) string {
	p, err := protocol.ParseCredentialRequestResponseBytes(body)
	if err != nil {
		return err.Error()
	}
	data := p.Response.AuthenticatorData
	return w.text(object{
		"members": members(body), "clientData": w.clientData(p.Response.CollectedClientData),
		"flags": data.Flags, "extensions": data.ExtData, "handle": len(p.Response.UserHandle),
		"results": p.ClientExtensionResults, "attachment": p.AuthenticatorAttachment,
	})
}

func (w *web) clientData(c protocol.CollectedClientData) protocol.CollectedClientData {
	c.Challenge = fmt.Sprint(len(c.Challenge))
	c.Origin = strings.ReplaceAll(c.Origin, w.origin, "SITE")
	c.TopOrigin = strings.ReplaceAll(c.TopOrigin, w.shop, "SHOP")
	return c
}

func (w *web) text(value any) string {
	text, err := json.Marshal(value)
	require.NoError(w.t, err)
	return string(text)
}

// members are the names in a JSON text, in alphabetic order, without the values.
func members(text []byte) any {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return nil
	}
	return names(value)
}

func names(value any) any {
	from, ok := value.(map[string]any)
	if !ok {
		return fmt.Sprintf("%T", value)
	}
	to := map[string]any{}
	for name, member := range from {
		to[name] = names(member)
	}
	return to
}

// record returns what the site has got, said and kept.
func (w *web) record() *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := openStore(w.file)
	require.NoError(w.t, err)
	for _, a := range s.Accounts {
		require.Len(w.t, a.Handle, 32)
		a.Handle, a.Password = nil, nil
		a.Codes = a.Codes[:0:len(a.Codes)]
		for _, k := range a.Keys {
			require.WithinRange(w.t, k.LastUsed, k.Created, time.Now())
			k.Created, k.LastUsed = time.Time{}, time.Time{}
			c := &k.Credential
			c.ID, c.PublicKey = nil, c.PublicKey[:10] // the rest of it is random
			c.Authenticator.SignCount = 0
			c.Attestation.ClientDataJSON, c.Attestation.ClientDataHash = nil, nil
			c.Attestation.AuthenticatorData, c.Attestation.Object = nil, nil
		}
	}
	return &record{requests: w.requests, log: w.log.String(), accounts: w.text(s.Accounts)}
}
