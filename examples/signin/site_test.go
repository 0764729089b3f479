package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

const origin = "http://localhost:8080"

func init() { passwordCost = bcrypt.MinCost }

// visitor is somebody with a browser, and with a key.
type visitor struct {
	t      *testing.T
	site   *site
	cookie *http.Cookie
	key    *virtual.Authenticator
	client *authenticator.Client
}

func newTestSite(t *testing.T) *site {
	t.Helper()
	s, err := newSite(config{Origin: origin, File: filepath.Join(t.TempDir(), "accounts"), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return s
}

func newVisitor(t *testing.T, s *site) *visitor {
	t.Helper()
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	hub := new(virtual.Hub)
	hub.Plug(key)
	ui := &authenticator.UI{PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte(pin), nil }}
	return &visitor{t: t, site: s, key: key, client: &authenticator.Client{UI: ui, Watch: hub.Watch, Open: hub.Open}}
}

// newMember is a visitor who has joined as alice with a key that can verify her, and is signed in.
func newMember(t *testing.T, s *site) *visitor {
	t.Helper()
	v := newVisitor(t, s)
	setPIN(t, v.key)
	v.join("alice")
	v.register("Key")
	return v
}

// setPIN makes a key one that can verify its user.
func setPIN(t *testing.T, key *virtual.Authenticator) {
	t.Helper()
	channel, err := ctaphid.Open(t.Context(), key.Device())
	require.NoError(t, err)
	own, err := authenticator.New(t.Context(), channel, nil)
	require.NoError(t, err)
	require.NoError(t, own.SetPIN(t.Context(), []byte(pin)))
	require.NoError(t, own.Close())
}

func (v *visitor) send(r *http.Request) *httptest.ResponseRecorder {
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.site.ServeHTTP(w, r)
	for _, cookie := range w.Result().Cookies() {
		v.cookie = cookie
	}
	return w
}

// page returns the page at a path, or where that leads to.
func (v *visitor) page(path string) string {
	w := v.send(httptest.NewRequest("GET", path, nil))
	if to := w.Header().Get("Location"); to != "" {
		return v.page(to)
	}
	return w.Body.String()
}

// post sends a form of names and values, and returns the page that follows.
func (v *visitor) post(path string, form ...string) string {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := v.send(r)
	require.Equal(v.t, http.StatusSeeOther, w.Code)
	return v.page(w.Header().Get("Location"))
}

// json sends a value as the page's script does.
func (v *visitor) json(path string, value, into any) int {
	v.t.Helper()
	body, err := json.Marshal(value)
	require.NoError(v.t, err)
	r := httptest.NewRequest("POST", path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := v.send(r)
	if into != nil {
		require.NoError(v.t, json.Unmarshal(w.Body.Bytes(), into))
	}
	return w.Code
}

func (v *visitor) join(name string) {
	v.t.Helper()
	require.Contains(v.t, v.post("/join", "name", name, "password", "correct horse"), "Your account")
}

func (v *visitor) register(name string) {
	v.t.Helper()
	var options struct{ PublicKey *webauthn.CreationOptions }
	require.Equal(v.t, http.StatusOK, v.json("/webauthn/register/options", object{"name": name}, &options))
	response, err := v.client.Register(v.t.Context(), origin, options.PublicKey)
	require.NoError(v.t, err)
	require.Equal(v.t, http.StatusOK, v.json("/webauthn/register", response, nil))
}

// answer returns what the key answers to the options for signing in.
func (v *visitor) answer(way, name string) (*webauthn.AuthenticationResponse, error) {
	v.t.Helper()
	var options struct{ PublicKey *webauthn.RequestOptions }
	require.Equal(v.t, http.StatusOK, v.json("/webauthn/signin/options", object{"way": way, "name": name}, &options))
	return v.client.Authenticate(v.t.Context(), origin, options.PublicKey)
}

// signin returns the status of the attempt to sign in with the key.
func (v *visitor) signin(way, name string) int {
	v.t.Helper()
	response, err := v.answer(way, name)
	require.NoError(v.t, err)
	return v.json("/webauthn/signin", response, nil)
}

// A key that did not verify its user when it was registered might get its PIN from a thief.
func TestKeyWithoutPINIsASecondFactorOnly(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	v.join("alice")
	v.register("Key")
	require.Contains(t, v.page("/"), "A second factor only.")
	require.Contains(t, v.post("/password/remove"), "This is the last way into your account")
	v.post("/signout")
	setPIN(t, v.key)
	require.Equal(t, http.StatusForbidden, v.signin(withoutName, ""))
	_, err := v.answer(insteadOfPassword, "alice")
	require.ErrorContains(t, err, "no credential")
	require.Contains(t, v.post("/signin", "name", "alice", "password", "correct horse"), "Now use one of your keys.")
	require.Equal(t, http.StatusOK, v.signin(secondFactor, ""))
	require.Contains(t, v.page("/"), "You are signed in")
}

func TestPasswordAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	v := newVisitor(t, s)
	v.join("alice")
	v.register("Key")
	v.post("/signout")
	require.NotContains(t, v.page("/second"), "The password was right.", "nobody gave it")
	v.post("/signin", "name", "alice", "password", "correct horse")
	require.NotContains(t, v.page("/"), "You are signed in")
	var options struct{ Location string }
	require.Equal(t, http.StatusOK, v.json("/webauthn/register/options", object{"name": "x"}, &options))
	require.Equal(t, "/signin", options.Location)

	mallory := newVisitor(t, s)
	mallory.join("mallory")
	mallory.register("Key")
	mallory.post("/signout")
	mallory.post("/signin", "name", "mallory", "password", "correct horse")
	response, err := mallory.answer(secondFactor, "alice")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/signin", response, nil), "no ceremony of this session")
	_, err = v.answer(secondFactor, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, v.json("/webauthn/signin", response, nil), "somebody else's key")
	require.Equal(t, http.StatusOK, mallory.json("/webauthn/signin", response, nil))
	require.Contains(t, mallory.page("/"), "You are signed in as <strong>mallory")
}

// TestKeysHaveOneAccount has a browser pay no heed to the keys that are excluded.
func TestKeysHaveOneAccount(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	v.join("alice")
	v.register("Key")
	taken := &v.site.store.Accounts["alice"].Keys[0].Credential.ID
	v.post("/signout")
	v.join("mallory")
	var options struct{ PublicKey *webauthn.CreationOptions }
	require.Equal(t, http.StatusOK, v.json("/webauthn/register/options", object{"name": "Key"}, &options))
	response, err := v.client.Register(t.Context(), origin, options.PublicKey)
	require.NoError(t, err)
	*taken = response.RawID
	require.Equal(t, http.StatusForbidden, v.json("/webauthn/register", response, nil))
	require.Empty(t, v.site.store.Accounts["mallory"].Keys)
}

func TestAnswersAreGoodForOnce(t *testing.T) {
	t.Parallel()
	v := newMember(t, newTestSite(t))
	v.post("/signout")
	response, err := v.answer(withoutName, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, v.json("/webauthn/signin", response, nil))
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/signin", response, nil))
	require.Equal(t, http.StatusOK, v.json("/webauthn/signin/options", object{"way": withoutName}, nil))
	require.Equal(t, http.StatusForbidden, v.json("/webauthn/signin", response, nil), "another challenge")
	response, err = v.answer(withoutName, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, v.json("/webauthn/signin", object{}, nil))
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/signin", response, nil), "after another answer")
}

func TestAnswersComeInTime(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]int{4 * time.Minute: http.StatusOK, 6 * time.Minute: http.StatusForbidden} {
		synctest.Test(t, func(t *testing.T) {
			v := newMember(t, newTestSite(t))
			v.post("/signout")
			response, err := v.answer(insteadOfPassword, "alice")
			require.NoError(t, err)
			time.Sleep(wait)
			require.Equal(t, want, v.json("/webauthn/signin", response, nil))
		})
	}
}

func TestKeyThatIsDisabledMeanwhile(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	v := newMember(t, s)
	at := "/keys/" + s.store.Accounts["alice"].Keys[0].ID()
	other := newVisitor(t, s)
	other.client = v.client
	response, err := other.answer(insteadOfPassword, "alice")
	require.NoError(t, err)
	require.Contains(t, v.post(at+"/disable"), "The key is disabled.")
	require.Equal(t, http.StatusForbidden, other.json("/webauthn/signin", response, nil))
	require.Contains(t, v.post(at+"/remove"), "The key is removed.")
	require.Contains(t, v.post(at+"/enable"), "not registered any more")
}

func TestCopiedKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	v := newMember(t, s)
	s.store.Accounts["alice"].Keys[0].Credential.Authenticator.SignCount = 1000
	require.Equal(t, http.StatusForbidden, v.signin(insteadOfPassword, "alice"))
}

func TestUnknownNamesLookLikeKnownOnes(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	type answered struct {
		PublicKey struct {
			AllowCredentials []struct {
				Type, ID   string
				Transports []string
			}
		}
	}
	var first, second, third answered
	v.json("/webauthn/signin/options", object{"way": insteadOfPassword, "name": "nobody"}, &first)
	v.json("/webauthn/signin/options", object{"way": insteadOfPassword, "name": "nobody"}, &second)
	v.json("/webauthn/signin/options", object{"way": insteadOfPassword, "name": "somebody"}, &third)
	require.Len(t, first.PublicKey.AllowCredentials, 1)
	require.Equal(t, first, second)
	require.NotEqual(t, first, third)

	setPIN(t, v.key)
	v.join("alice")
	v.register("Key")
	var real answered
	v.json("/webauthn/signin/options", object{"way": insteadOfPassword, "name": "alice"}, &real)
	require.Equal(t, real.PublicKey.AllowCredentials[0].Transports, first.PublicKey.AllowCredentials[0].Transports)
}

func TestTriesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, newTestSite(t))
		v.join("alice")
		v.post("/signout")
		for range maxTries {
			require.Contains(t, v.post("/signin", "name", "alice", "password", "wrong"), "is wrong")
		}
		require.Contains(t, v.post("/signin", "name", "alice", "password", "correct horse"), "Too many tries.")
		require.Contains(t, v.post("/signin", "name", "bob", "password", "wrong"), "is wrong")
		time.Sleep(triesTime + time.Second)
		require.Contains(t, v.post("/signin", "name", "alice", "password", "correct horse"), "You are signed in")
	})
}

func TestBackupCodeWithoutPassword(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	v := newMember(t, s)
	code := s.store.Accounts["alice"].newCodes()[0]
	v.post("/signout")
	require.Contains(t, v.post("/lost", "name", "alice", "code", code), "which comes first", "there is a password")
	require.Equal(t, http.StatusOK, v.signin(withoutName, ""))
	require.Contains(t, v.post("/password/remove"), "Your keys are enough.")
	v.post("/signout")
	require.Contains(t, v.post("/signin", "name", "alice", "password", "correct horse"), "is wrong")
	require.Contains(t, v.post("/lost", "name", "alice", "code", code), "You are signed in")
	v.post("/signout")
	require.Contains(t, v.post("/lost", "name", "alice", "code", code), "wrong or used")
}

func TestSessionChangesWithItsUser(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	v.post("/signin", "name", "alice", "password", "wrong")
	before := *v.cookie
	v.join("alice")
	require.NotEqual(t, before.Value, v.cookie.Value)
	require.Len(t, v.site.sessions, 1)
	require.True(t, v.cookie.HttpOnly)
	after := *v.cookie
	v.cookie = &before
	require.NotContains(t, v.page("/"), "You are signed in")
	v.cookie = &after
	v.post("/signout")
	v.cookie = &after
	require.NotContains(t, v.page("/"), "You are signed in")
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	v.join("alice")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "http://evil.example"}} {
		r := httptest.NewRequest("POST", origin+"/codes", nil)
		r.Header.Set(header[0], header[1])
		require.Equal(t, http.StatusForbidden, v.send(r).Code)
	}
	require.Equal(t, http.StatusOK, v.send(httptest.NewRequest("GET", origin+"/", nil)).Code)
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, newTestSite(t))
	v.join("alice")
	long := strings.Repeat("x", 65)
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/register/options", object{"name": long}, nil))
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/signin/options", object{"way": "charm"}, nil))
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/register", object{}, nil))
	big := object{"way": withoutName, "name": strings.Repeat(long, 1100)}
	require.Equal(t, http.StatusBadRequest, v.json("/webauthn/signin/options", big, nil))
	for _, way := range []string{"/webauthn/register", "/webauthn/signin"} {
		require.Equal(t, http.StatusOK, v.json(way+"/options", object{"name": "x", "way": withoutName}, nil))
		require.Equal(t, http.StatusForbidden, v.json(way, object{"id": 1}, nil))
	}
	require.Contains(t, v.post("/keys/AAAA/remove"), "not registered")
	require.Contains(t, newVisitor(t, v.site).post("/join", "name", "alice", "password", "correct horse"), "Somebody has this name")
	require.Contains(t, newVisitor(t, v.site).post("/join", "name", "bob", "password", "short"), "at least 8 characters")
	require.Contains(t, newVisitor(t, v.site).post("/signin", "name", long, "password", "x"), "Nobody has this name")
}

func TestAccountsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	v := newVisitor(t, s)
	setPIN(t, v.key)
	v.join("alice")
	v.register("<b>Key</b>")
	require.Contains(t, v.page("/"), "&lt;b&gt;Key")
	next, err := newSite(s.config)
	require.NoError(t, err)
	v.site = next
	require.Equal(t, http.StatusOK, v.signin(withoutName, ""))
	require.NotContains(t, v.page("/"), "never used")
	text, err := os.ReadFile(s.config.File)
	require.NoError(t, err)
	require.NotContains(t, string(text), "correct horse")
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t, newTestSite(t))
		v.join("alice")
		v.register("Key")
		time.Sleep(stay - time.Second)
		require.Contains(t, v.page("/"), "You are signed in")
		time.Sleep(2 * time.Second)
		require.NotContains(t, v.page("/"), "You are signed in")
		v.post("/signin", "name", "alice", "password", "correct horse")
		time.Sleep(visit + time.Second)
		_, err := v.answer(secondFactor, "")
		require.ErrorContains(t, err, "no credential", "the password is forgotten")
	})
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "accounts")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err := newSite(config{Origin: origin, File: file})
	require.Error(t, err)
}
