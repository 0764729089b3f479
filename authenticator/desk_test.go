package authenticator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// desk is where the user sits, with keys plugged into a hub. What happens there goes into the log.
type desk struct {
	t      *testing.T
	hub    virtual.Hub
	client *Client
	opens  counter

	mu      sync.Mutex // guards the fields below
	fingers map[string]chan struct{}
	names   map[string]string // of keys by their paths
	log     []string
	pins    []string
}

// newDesk returns a desk whose user has the given PINs to tell.
func newDesk(t *testing.T, pins ...string) *desk {
	d := &desk{t: t, fingers: map[string]chan struct{}{}, names: map[string]string{}, pins: pins}
	d.client = &Client{UI: &UI{Notify: d.notify}, Watch: d.hub.Watch, Open: d.opens.counting(d.hub.Open)}
	if pins != nil {
		d.client.UI.PIN = d.pin
	}
	return d
}

// key makes a key with a name, which waits for its user's touch.
func (d *desk) key(name string, c virtual.Config) *virtual.Authenticator {
	d.t.Helper()
	touched := make(chan struct{})
	d.fingers[name] = touched
	c.UserPresence = func(ctx context.Context, p virtual.Prompt) error {
		select {
		case <-touched:
			d.note("%s: %v touched", name, p.Command)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	key, err := virtual.New(c)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { key.Close() })
	return key
}

// plug makes a key and plugs it in.
func (d *desk) plug(name string, c virtual.Config) *virtual.Authenticator {
	d.t.Helper()
	key := d.key(name, c)
	d.insert(name, key)
	return key
}

func (d *desk) insert(name string, key *virtual.Authenticator) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[d.hub.Plug(key).Path] = name
}

// touch touches a key that waits for it.
func (d *desk) touch(name string) {
	d.t.Helper()
	synctest.Wait()
	select {
	case d.fingers[name] <- struct{}{}:
		synctest.Wait()
	default:
		require.Fail(d.t, "not blinking: "+name)
	}
}

func (d *desk) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, fmt.Sprintf(format, args...))
}

func (d *desk) name(key hid.Info) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[key.Path]
}

func (d *desk) notify(e Event) {
	switch e.Kind {
	case EventInsert, EventSelect:
		require.Empty(d.t, e.Key)
		d.note("%v", e.Kind)
	case EventTouch, EventProcessing:
		d.note("%s: %v to %v", d.name(e.Key), e.Kind, e.Touch)
	case EventDropped:
		d.note("%s: dropped: %v", d.name(e.Key), KindOf(e.Err))
	default:
		d.note("%s: %v", d.name(e.Key), e.Kind)
	}
}

func (d *desk) pin(_ context.Context, req *PINRequest) ([]byte, error) {
	d.note("%s: PIN, reason %d", d.name(req.Key), req.Reason)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pins) == 0 {
		return nil, errors.New("asked for the PIN once too often")
	}
	pin := d.pins[0]
	d.pins = d.pins[1:]
	return []byte(pin), nil
}

// take returns what happened since the last call, in order for each key, the keys by their names.
func (d *desk) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	log := d.log
	d.log = nil
	slices.SortStableFunc(log, func(a, b string) int { return int(a[0]) - int(b[0]) })
	return log
}

type countedDevice struct {
	io.ReadWriteCloser
	closed func()
}

func (c *countedDevice) Close() error {
	c.closed()
	return c.ReadWriteCloser.Close()
}

// registration is a ceremony that makes a credential on whatever key, without the rest of WebAuthn.
func (d *desk) registration(ctx context.Context, opts *CredentialOptions) *ongoing[*Credential] {
	return begin(d, func() (*Credential, error) {
		return conduct(ctx, d.client, func(ctx context.Context, p *player[*Credential]) (*Credential, error) {
			return p.device.MakeCredential(ctx, opts)
		})
	})
}

// ongoing is a ceremony that may not be over yet.
type ongoing[T any] struct {
	desk   *desk
	done   chan struct{}
	result T
	err    error
}

func begin[T any](d *desk, run func() (T, error)) *ongoing[T] {
	o := &ongoing[T]{desk: d, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.result, o.err = run()
	}()
	synctest.Wait()
	return o
}

func (o *ongoing[T]) isOver() bool {
	synctest.Wait()
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// end requires that the ceremony is over, and everything with it.
func (o *ongoing[T]) end() (T, error) {
	o.desk.t.Helper()
	require.True(o.desk.t, o.isOver(), "not over")
	require.Zero(o.desk.t, o.desk.opens.open.Load(), "keys left open")
	return o.result, o.err
}

// inBubble runs a test under fake time. Nothing may be left behind.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}
func setPIN(t *testing.T, key *virtual.Authenticator, pin string) {
	t.Helper()
	a, err := New(t.Context(), &wire{key: key}, nil)
	require.NoError(t, err)
	require.NoError(t, a.SetPIN(t.Context(), []byte(pin)))
	require.NoError(t, a.Close())
}

// counter counts what is open.
type counter struct{ open atomic.Int32 }

func (c *counter) counting(open func(string) (io.ReadWriteCloser, error)) func(string) (io.ReadWriteCloser, error) {
	return func(path string) (io.ReadWriteCloser, error) {
		device, err := open(path)
		if err != nil {
			return nil, err
		}
		c.open.Add(1)
		return &countedDevice{ReadWriteCloser: device, closed: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
	}
}
