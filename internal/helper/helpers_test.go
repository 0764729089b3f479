package helper

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// parent is a program that started the helper.
type parent struct {
	t       *testing.T
	hub     *virtual.Hub
	framing Framing
	in      *io.PipeWriter // the helper's standard input
	out     *io.PipeReader // and output
	lines   *bufio.Reader
	ended   chan error // how Serve returns
	opens   atomic.Int32
}

// newParent starts a helper whose keys are in a hub.
func newParent(t *testing.T, s *Server, f Framing) *parent {
	t.Helper()
	p := startParent(t, t.Context(), s, f)
	hello := p.read()
	require.Equal(t, object{"type": "hello", "protocol": 1.0, "version": s.Version}, hello)
	return p
}

// newWaitingParent starts a helper whose key waits for a touch to create a credential, the request "c1".
func newWaitingParent(t *testing.T) (p *parent, touch chan<- struct{}) {
	t.Helper()
	p = newParent(t, &Server{}, Lines)
	touch, presence := patientFinger()
	p.plug(virtual.Config{UserPresence: presence})
	p.say(create("c1"))
	p.await("event", "touch")
	return p, touch
}

func startParent(t *testing.T, ctx context.Context, s *Server, f Framing) *parent {
	p := &parent{t: t, hub: &virtual.Hub{}, framing: f, ended: make(chan error, 1)}
	s.Client = authenticator.Client{Watch: p.hub.Watch, Open: func(path string) (io.ReadWriteCloser, error) {
		p.opens.Add(1)
		return p.hub.Open(path)
	}}
	s.List = func() ([]hid.Info, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		present, _, err := p.hub.Watch(ctx)
		return present, err
	}
	in, ours := io.Pipe()
	theirs, out := io.Pipe()
	p.in, p.out, p.lines = ours, theirs, bufio.NewReader(theirs)
	go func() {
		p.ended <- s.Serve(ctx, f, in, out)
		in.Close()
		out.Close()
	}()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return p
}

// plug makes a key and plugs it in.
func (p *parent) plug(c virtual.Config) *virtual.Authenticator {
	p.t.Helper()
	key, err := virtual.New(c)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { key.Close() })
	p.hub.Plug(key)
	return key
}

type object = map[string]any

// write sends text as it is.
func (p *parent) write(text string) {
	p.t.Helper()
	_, err := p.in.Write(p.framing.encode([]byte(text)))
	require.NoError(p.t, err)
}

func (p *parent) say(message object) {
	p.t.Helper()
	b, err := json.Marshal(message)
	require.NoError(p.t, err)
	p.write(string(b))
}

func (p *parent) read() (message object) {
	p.t.Helper()
	b, err := p.framing.read(p.lines)
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal(b, &message), "%s", b)
	return message
}

// await reads until a message has this value of the member, and returns it. What ends a request early fails the test.
func (p *parent) await(member, value string) object {
	p.t.Helper()
	for {
		m := p.read()
		if m[member] == value {
			return m
		}
		require.Contains(p.t, []any{"hello", "event", "question"}, m["type"], "%v", m)
	}
}

func (p *parent) result() object {
	p.t.Helper()
	return p.await("type", "result")["result"].(object)
}

// refused reads an error, which is about the request, and returns it.
func (p *parent) refused(id any) object {
	p.t.Helper()
	m := p.await("type", "error")
	require.Equal(p.t, id, m["id"])
	return m["error"].(object)
}

// hangUp closes the helper's standard input and returns what Serve said, when it has ended.
func (p *parent) hangUp() error {
	p.t.Helper()
	require.NoError(p.t, p.in.Close())
	go io.Copy(io.Discard, p.lines)
	return <-p.ended
}

func (p *parent) answer(id string, asked object, value any) {
	p.t.Helper()
	p.say(object{"type": "answer", "id": id, "question": asked["question"], "value": value})
}

const (
	origin    = "https://login.example.org"
	challenge = "Y2hhbGxlbmdlLWNoYWxsZW5nZQ"
)

func create(id string, change ...func(options object)) object {
	options := object{
		"rp": object{"id": "example.org", "name": "Example"}, "challenge": challenge,
		"user":             object{"id": "YWxpY2U", "name": "alice", "displayName": "Alice"},
		"pubKeyCredParams": []object{{"type": "public-key", "alg": -7}},
	}
	for _, c := range change {
		c(options)
	}
	return object{"type": "create", "id": id, "origin": origin, "options": options}
}

func get(id string, change ...func(options object)) object {
	options := object{"rpId": "example.org", "challenge": challenge}
	for _, c := range change {
		c(options)
	}
	return object{"type": "get", "id": id, "origin": origin, "options": options}
}

// needsUV is for a key that wants its PIN.
func needsUV(options object) {
	options["userVerification"] = "required"
	options["authenticatorSelection"] = object{"userVerification": "required"}
}

func resident(options object) { options["authenticatorSelection"] = object{"residentKey": "required"} }

// patientFinger touches a key when told to.
func patientFinger() (touch chan struct{}, presence func(context.Context, virtual.Prompt) error) {
	touch = make(chan struct{})
	return touch, func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case <-touch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setPIN gives a key a PIN.
func setPIN(t *testing.T, key *virtual.Authenticator, pin string) {
	t.Helper()
	a, err := authenticator.New(t.Context(), key, nil)
	require.NoError(t, err)
	require.NoError(t, a.SetPIN(t.Context(), []byte(pin)))
}
