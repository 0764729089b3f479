package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/stretchr/testify/require"
)

// app is what a desktop app does for the pages that it shows: it starts "keyfob helper", gives navigator.credentials
// to the pages, tells the helper their origins, and asks the user for PINs. The user has two virtual keys, one of them
// plugged in.
type app struct {
	t       *testing.T
	tab     *tab
	user    *person // at the window that asks for the PIN
	program string
	site    string // the only origin whose requests it passes on
	touches atomic.Bool
	sockets map[string]string
	helper  *exec.Cmd
	to      io.WriteCloser
	ended   chan struct{}

	mu      sync.Mutex
	top     string         // the origin of the page in the tab
	asking  map[string]int // the contexts that wait, by request
	pending object         // the answer to the open question, without its value
}

const pin = "1234"

func newApp(t *testing.T, tab *tab, site string) *app {
	t.Helper()
	a := &app{
		t: t, tab: tab, site: site, program: buildKeyfob(t),
		sockets: map[string]string{}, asking: map[string]int{},
	}
	for _, name := range []string{desk, pocket} {
		a.sockets[name] = a.serveKey(filepath.Join(t.TempDir(), "key"))
	}
	tab.bind("keyfobCall", a.take)
	script := read(t, "testdata/preload.js") + read(t, "../helper-js/webauthn.js")
	tab.do("Page.addScriptToEvaluateOnNewDocument", object{"source": script}, nil)
	window := tab.open(t)
	window.bind("pinAnswer", a.answer)
	file, err := filepath.Abs("testdata/pin.html")
	require.NoError(t, err)
	window.visit("file://" + file)
	a.user = &person{t: t, tab: window, origin: "file://"}
	t.Cleanup(a.stop)
	return a
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func buildKeyfob(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "keyfob")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = "../../cmd/keyfob" // which is a module of its own
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// serveKey serves a virtual key with a PIN at a socket, which the helper can use like a device.
func (a *app) serveKey(socket string) string {
	a.t.Helper()
	key, err := virtual.New(virtual.Config{UserPresence: a.touch})
	require.NoError(a.t, err)
	channel, err := ctaphid.Open(a.t.Context(), key.Device())
	require.NoError(a.t, err)
	own, err := authenticator.New(a.t.Context(), channel, nil)
	require.NoError(a.t, err)
	require.NoError(a.t, own.SetPIN(a.t.Context(), []byte(pin)))
	require.NoError(a.t, own.Close())
	ctx, cancel := context.WithCancel(context.Background())
	ready, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		key.ServeUnix(ctx, socket, func() { close(ready) })
	}()
	<-ready
	a.t.Cleanup(func() {
		cancel()
		<-served
		key.Close()
	})
	return "unix:" + socket
}

func (a *app) touch(ctx context.Context, _ virtual.Prompt) error {
	if a.touches.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// visit opens an address, and remembers its origin for the frames in the page.
func (a *app) visit(url string) {
	a.mu.Lock()
	a.top = url
	a.mu.Unlock()
	a.tab.visit(url)
}

// plug starts the helper with that key; with none, the key that is there will not be touched.
func (a *app) plug(key string) {
	a.touches.Store(key != "")
	if key == "" {
		return
	}
	a.stop()
	a.helper = exec.Command(a.program, "helper", "--origin", a.site, "--device", a.sockets[key])
	a.helper.Stderr = os.Stderr
	to, err := a.helper.StdinPipe()
	require.NoError(a.t, err)
	from, err := a.helper.StdoutPipe()
	require.NoError(a.t, err)
	require.NoError(a.t, a.helper.Start())
	a.to, a.ended = to, make(chan struct{})
	go a.listen(from, a.ended)
}

func (a *app) stop() {
	if a.helper == nil {
		return
	}
	a.to.Close()
	<-a.ended
	require.NoError(a.t, a.helper.Wait())
	a.helper = nil
}

func (a *app) verify(act func()) {
	act()
	a.givePIN("8 tries left.", pin)
}

// mistype gives a wrong PIN, and then up.
func (a *app) mistype(act func()) {
	act()
	a.givePIN("8 tries left.", "4321")
	a.user.sees("That PIN was wrong. 7 tries left.")
	a.user.press("Cancel")
}

// retry gives a wrong PIN, and then the right one.
func (a *app) retry(act func()) {
	act()
	a.givePIN("7 tries left.", "4321")
	a.givePIN("That PIN was wrong. 6 tries left.", pin)
}

func (a *app) givePIN(question, answer string) {
	a.user.sees(question)
	a.user.types("PIN of your key", answer)
	a.user.press("OK")
}

// take passes on what a frame asks, if pages may ask that. The frame's origin is the browser's word, not the frame's.
func (a *app) take(context int, origin, payload string) {
	var asked struct {
		Type, ID string
		Options  json.RawMessage
	}
	if json.Unmarshal([]byte(payload), &asked) != nil {
		return
	}
	switch asked.Type {
	case "cancel":
		a.send(object{"type": asked.Type, "id": asked.ID})
	case "create", "get":
		request := object{"type": asked.Type, "id": asked.ID, "origin": origin, "options": asked.Options}
		a.mu.Lock()
		if origin != a.top {
			request["topOrigin"] = a.top
		}
		a.asking[asked.ID] = context
		a.mu.Unlock()
		a.send(request)
	}
}

func (a *app) send(message any) {
	text, err := json.Marshal(message)
	if err == nil {
		a.to.Write(append(text, '\n'))
	}
}

// listen answers the helper's questions, and gives the ends of requests to the frames that asked.
func (a *app) listen(from io.Reader, ended chan<- struct{}) {
	defer close(ended)
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct {
			Type, ID, Of string
			Question     int
		}
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			return
		}
		switch {
		case m.Type == "question":
			a.mu.Lock()
			a.pending = object{"type": "answer", "id": m.ID, "question": m.Question}
			a.mu.Unlock()
			a.user.tab.eval(a.user.origin, "ask("+lines.Text()+")", nil)
		case (m.Type == "result" || m.Type == "error") && m.Of == "":
			a.mu.Lock()
			context := a.asking[m.ID]
			delete(a.asking, m.ID)
			a.mu.Unlock()
			a.tab.evalIn(context, "keyfobReply("+lines.Text()+")", nil)
		}
	}
}

// answer passes on what the user has typed in the window.
func (a *app) answer(_ int, _, payload string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending["value"] = json.RawMessage(payload)
	a.send(a.pending)
}
