package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium, driven over a pipe by the DevTools protocol.
type browser struct {
	to io.Writer

	mu      sync.Mutex
	count   int
	waiting map[int]chan message
	events  map[string]func(message) // by session
}

type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
	Session string `json:"sessionId,omitempty"`
}

// findChromium skips the test where there is none, unless the examples' tests must run.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "the browser's tests need Chromium: apt-get install chromium-headless-shell"
	if os.Getenv("KEYFOB_EXAMPLES") == "require" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// startBrowser starts a browser that lives as long as the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := findChromium(t)
	toRead, toWrite, err := os.Pipe()
	require.NoError(t, err)
	fromRead, fromWrite, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(program, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+t.TempDir(), "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-site-isolation-trials", // so that frames can be driven like their page
		"about:blank")
	cmd.ExtraFiles = []*os.File{toRead, fromWrite} // 3 and 4
	require.NoError(t, cmd.Start())
	toRead.Close()
	fromWrite.Close()
	b := &browser{to: toWrite, waiting: map[int]chan message{}, events: map[string]func(message){}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(fromRead)
	}()
	t.Cleanup(func() {
		toWrite.Close() // ends it
		<-done
		cmd.Wait()
		fromRead.Close()
	})
	return b
}

func (b *browser) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			break
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			b.dispatch(m)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, waiting := range b.waiting {
		close(waiting)
	}
	b.waiting = nil
}

func (b *browser) dispatch(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ID == 0 {
		if event := b.events[m.Session]; event != nil {
			event(m)
		}
		return
	}
	b.waiting[m.ID] <- m
	delete(b.waiting, m.ID)
}

// call runs a method of the DevTools protocol. It may be used on any goroutine.
func (b *browser) call(session, method string, params, result any) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answered := make(chan message, 1)
	b.mu.Lock()
	if b.waiting == nil {
		b.mu.Unlock()
		return errors.New("the browser is gone")
	}
	b.count++
	b.waiting[b.count] = answered
	text, err := json.Marshal(message{ID: b.count, Session: session, Method: method, Params: encoded})
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	m, ok := <-answered
	switch {
	case !ok:
		return errors.New("the browser is gone")
	case m.Error != nil:
		return errors.New(method + ": " + m.Error.Message)
	case result == nil:
		return nil
	}
	return json.Unmarshal(m.Result, result)
}

// tab is a page of the browser, with its frames.
type tab struct {
	*browser
	t       *testing.T
	session string

	mu       sync.Mutex
	contexts map[int]string // the origins of its frames, by their contexts
	bound    func(context int, origin, payload string)
}

type object map[string]any

func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	tab := &tab{browser: b, t: t, contexts: map[int]string{}}
	var target struct{ TargetID string }
	require.NoError(t, b.call("", "Target.createTarget", object{"url": "about:blank"}, &target))
	var attached struct{ SessionID string }
	require.NoError(t, b.call("", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached))
	tab.session = attached.SessionID
	b.mu.Lock()
	b.events[tab.session] = tab.event
	b.mu.Unlock()
	tab.do("Page.enable", nil, nil)
	tab.do("Runtime.enable", nil, nil)
	tab.do("Emulation.setFocusEmulationEnabled", object{"enabled": true}, nil) // its window is in front
	return tab
}

// do runs a method for this tab.
func (tab *tab) do(method string, params, result any) {
	tab.t.Helper()
	if params == nil {
		params = object{}
	}
	require.NoError(tab.t, tab.call(tab.session, method, params, result))
}

// event keeps track of the contexts that scripts run in, and passes on what they say to the binding.
func (tab *tab) event(m message) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	var params struct {
		Context struct {
			ID     int
			Origin string
		}
		ExecutionContextID int
		Payload            string
	}
	if json.Unmarshal(m.Params, &params) != nil {
		return
	}
	switch m.Method {
	case "Runtime.executionContextCreated":
		tab.contexts[params.Context.ID] = params.Context.Origin
	case "Runtime.executionContextDestroyed":
		delete(tab.contexts, params.ExecutionContextID)
	case "Runtime.executionContextsCleared":
		clear(tab.contexts)
	case "Runtime.bindingCalled":
		go tab.bound(params.ExecutionContextID, tab.contexts[params.ExecutionContextID], params.Payload)
	}
}

// contextOf returns a context of that origin, or 0.
func (tab *tab) contextOf(origin string) int {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for id, of := range tab.contexts {
		if of == origin {
			return id
		}
	}
	return 0
}

// eval evaluates an expression in a frame of that origin. There may be none while pages change.
func (tab *tab) eval(origin, expression string, value any) error {
	context := tab.contextOf(origin)
	if context == 0 {
		return errors.New("no page of " + origin)
	}
	return tab.evalIn(context, expression, value)
}

func (tab *tab) evalIn(context int, expression string, value any) error {
	params := object{"expression": expression, "contextId": context, "returnByValue": true, "awaitPromise": true}
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	if err := tab.call(tab.session, "Runtime.evaluate", params, &out); err != nil {
		return err
	}
	if out.ExceptionDetails != nil {
		return errors.New(out.ExceptionDetails.Exception.Description)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(out.Result.Value, value)
}

// bind gives the tab's pages a function, which passes a text to do, with the context and the origin that it comes from.
func (tab *tab) bind(name string, do func(context int, origin, payload string)) {
	tab.t.Helper()
	tab.mu.Lock()
	tab.bound = do
	tab.mu.Unlock()
	tab.do("Runtime.addBinding", object{"name": name}, nil)
}

// visit opens an address.
func (tab *tab) visit(url string) {
	tab.t.Helper()
	tab.do("Page.navigate", object{"url": url}, nil)
}

// key presses and releases a key.
func (tab *tab) key(name, code string, number int, text string) {
	tab.t.Helper()
	params := object{"type": "keyDown", "key": name, "code": code, "windowsVirtualKeyCode": number, "text": text}
	tab.do("Input.dispatchKeyEvent", params, nil)
	params["type"], params["text"] = "keyUp", ""
	tab.do("Input.dispatchKeyEvent", params, nil)
}

// fits asserts that the page needs no scrolling to the sides, and keeps pictures of it in the folder SCREENSHOTS, if
// that is set.
func (tab *tab) fits(origin, name string) {
	tab.t.Helper()
	for _, width := range []int{1280, 320} {
		metrics := object{"width": width, "height": 720, "deviceScaleFactor": 1, "mobile": false}
		tab.do("Emulation.setDeviceMetricsOverride", metrics, nil)
		var excess int
		require.NoError(tab.t, tab.eval(origin, "document.documentElement.scrollWidth - document.documentElement.clientWidth", &excess))
		require.LessOrEqual(tab.t, excess, 0, "%s at a width of %d", name, width)
		if folder := os.Getenv("SCREENSHOTS"); folder != "" {
			tab.screenshot(fmt.Sprintf("%s/%s-%s-%d.png", folder, filepath.Base(tab.t.Name()), name, width))
		}
	}
	tab.do("Emulation.clearDeviceMetricsOverride", nil, nil)
}

func (tab *tab) screenshot(file string) {
	tab.t.Helper()
	var picture struct{ Data []byte }
	tab.do("Page.captureScreenshot", object{"captureBeyondViewport": true}, &picture)
	require.NoError(tab.t, os.WriteFile(file, picture.Data, 0o600))
}

const patience = 30 * time.Second // of a test on a busy machine
