package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
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

// ceremony runs a test under fake time. Nothing may be left behind.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestOneKeyIsTouchedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{})
		o := d.registration(t.Context(), credentialOptions())
		require.False(t, o.isOver())
		require.Equal(t, []string{"a: added", "a: touch to register"}, d.take())
		d.touch("a")
		cred, err := o.end()
		require.NoError(t, err)
		require.NotEmpty(t, cred.ID)
		require.Equal(t, []string{"a: makeCredential touched", "a: processing to register", "a: touched"}, d.take())
	})
}

func TestOneKeyIsAskedForItsPINAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "0000", "1234")
		key := d.plug("a", virtual.Config{})
		setPIN(t, key, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{"a: added", "a: PIN, reason 0", "a: PIN, reason 1", "a: touch to register"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestTheRealRequestSelectsAmongSeveralKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		a, b, c := d.plug("a", virtual.Config{}), d.plug("b", virtual.Config{U2FOnly: true}), d.plug("c", virtual.Config{})
		opts := credentialOptions()
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{
			"a: added", "a: touch to register", "b: added", "b: touch to register", "c: added", "c: touch to register", "select",
		}, d.take())
		d.touch("b")
		time.Sleep(time.Second) // until the U2F key is asked again
		cred, err := o.end()
		require.NoError(t, err)
		require.Equal(t, "fido-u2f", cred.Attestation.Format)
		require.Zero(t, a.Credentials()+b.Credentials()+c.Credentials())
	})
}

func TestOnlyTheChosenKeyIsAskedForItsPIN(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		for _, name := range []string{"a", "b"} {
			setPIN(t, d.plug(name, virtual.Config{}), "1234")
		}
		opts := credentialOptions()
		opts.ResidentKey = true
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{
			"a: added", "a: touch to select", "b: added", "b: touch to select", "select",
		}, d.take())
		d.touch("b")
		require.Equal(t, []string{
			"b: selection touched", "b: processing to select", "b: touched", "b: PIN, reason 0", "b: touch to register",
		}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

// Of several keys that want a new PIN first, only the chosen one gets it.
func TestOnlyTheChosenKeyGetsANewPIN(t *testing.T) {
	force := withPIN(virtual.Config{})
	force.PIN.ForceChange = true
	for name, tc := range map[string]struct {
		config virtual.Config
		asked  []string
	}{
		"not set":       {virtual.Config{}, []string{"b: new PIN, reason 0"}},
		"forced change": {force, []string{"b: PIN, reason 0", "b: new PIN, reason 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, "1234")
				d.client.UI.NewPIN = func(_ context.Context, req *NewPINRequest) ([]byte, error) {
					d.note("%s: new PIN, reason %d", d.name(req.Key), req.Reason)
					return []byte("567890"), nil
				}
				a := d.plug("a", tc.config)
				d.plug("b", tc.config)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				require.Equal(t, []string{"a: added", "a: touch to select", "b: added", "b: touch to select", "select"}, d.take())
				d.touch("b")
				log := []string{"b: selection touched", "b: processing to select", "b: touched"}
				require.Equal(t, slices.Concat(log, tc.asked, []string{"b: touch to register"}), d.take())
				d.touch("b")
				_, err := o.end()
				require.NoError(t, err)
				other, err := New(t.Context(), unclosed{a}, nil)
				require.NoError(t, err)
				require.Equal(t, tc.config.PIN.Initial != nil, isOn(other.Info(), "clientPin"))
				require.Equal(t, tc.config.PIN.ForceChange, other.Info().ForcePINChange)
			})
		})
	}
}

// Lists that no key takes at once are taken in parts, on every class of key.
func TestLargeLists(t *testing.T) {
	t.Parallel()
	for name, c := range presetsThatWork() {
		s := newSite(t, c)
		id := s.register("").RawID
		require.Equal(t, id, s.signIn(allowing(200, id)).RawID, name)
		excluded := strings.Replace(allowing(200, id), "allow", "exclude", 1)
		_, err := s.client.Register(t.Context(), origin, creating(t, excluded))
		require.Equal(t, "InvalidStateError", AdviceOn(err).DOMException, name)
	}
}

// The others stop blinking at once, not when all is over.
func TestTheOthersStopWhileThePINIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		setPIN(t, d.plug("a", virtual.Config{}), "1234")
		d.plug("b", virtual.Config{NoU2F: true})
		answer := make(chan struct{})
		ask := d.client.UI.PIN
		d.client.UI.PIN = func(ctx context.Context, req *PINRequest) ([]byte, error) {
			<-answer
			return ask(ctx, req)
		}
		opts := credentialOptions()
		opts.UserVerification = UVPreferred
		o := d.registration(t.Context(), opts)
		d.touch("a")
		require.EqualValues(t, 1, d.opens.open.Load(), "the other is cancelled and closed")
		close(answer)
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

// A key without room for a resident key makes another credential, and is no less the chosen one for that.
func TestAFullKeyIsTouchedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{
			Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
				if bytes.Contains(request, []byte("brk\xf5")) { // the option, at the end of a request
					run() // which waits for the touch
					return []byte{byte(ctap2.ErrKeyStoreFull)}
				}
				return run()
			},
		}})
		d.plug("b", virtual.Config{})
		creation := creating(t, `,"authenticatorSelection":{"residentKey":"preferred"},"extensions":{"credProps":true}`)
		o := begin(d, func() (*webauthn.RegistrationResponse, error) {
			return d.client.Register(t.Context(), origin, creation)
		})
		d.touch("a")
		require.False(t, o.isOver())
		require.EqualValues(t, 1, d.opens.open.Load(), "the other is out")
		d.touch("a")
		resp, err := o.end()
		require.NoError(t, err)
		require.False(t, *resp.ClientExtensionResults.CredProps.ResidentKey)
	})
}

func TestTheLastKeyNeedsNoSelection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		a, b := d.plug("a", virtual.Config{}), d.plug("b", virtual.Config{})
		setPIN(t, a, "1234")
		setPIN(t, b, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		d.take()
		d.hub.Unplug(a)
		require.Equal(t, []string{"a: removed", "b: PIN, reason 0", "b: touch to register"}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestKeysJoinAndLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"insert"}, d.take())
		a := d.plug("a", virtual.Config{})
		require.Equal(t, []string{"a: added", "a: touch to register"}, d.take())
		d.plug("b", virtual.Config{})
		require.Equal(t, []string{"b: added", "b: touch to register", "select"}, d.take())
		d.hub.Unplug(a)
		require.Equal(t, []string{"a: removed"}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestThePulledChosenKeyEndsTheCeremony(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key := d.plug("a", virtual.Config{})
		setPIN(t, key, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		d.hub.Unplug(key)
		_, err := o.end()
		require.ErrorIs(t, err, hid.ErrRemoved)
	})
}

// A key that cannot serve the request says why when it is touched, and not before.
func TestUnsuitableKeysExplainThemselves(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"CTAP 2.1": {NoClientPIN: true},
		"U2F":      {U2FOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, "1234")
				d.plug("a", c)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				time.Sleep(time.Hour + time.Second) // not when the key's patience of 30 seconds ends
				require.False(t, o.isOver())
				d.touch("a")
				time.Sleep(time.Second)
				_, err := o.end()
				require.Contains(t, []Kind{KindPINNotSet, KindUnsupported}, KindOf(err))
			})
		})
	}
}

func TestAKeyThatGaveUpWaitingIsAskedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{TouchTimeout: 30 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		o := d.registration(ctx, credentialOptions())
		time.Sleep(4 * time.Minute)
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestAKeyThatAlwaysGivesUpIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{
			Answer: func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
				if cmd == ctaphid.CommandCBOR && request[0] == byte(makeCredential) {
					return []byte{byte(ctap2.ErrUserActionTimeout)}
				}
				return run()
			},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o := d.registration(ctx, credentialOptions())
		require.Equal(t, []string{"a: added", "a: dropped: timeout", "insert"}, d.take())
		time.Sleep(time.Minute)
		_, err := o.end()
		require.Equal(t, KindTimeout, KindOf(err))
		require.ErrorContains(t, err, "user action timed out", "the reason why the key did not take part")
	})
}

// watched returns a channel that is closed when ctx is done, as a watch does.
func watched(ctx context.Context) chan hid.Event {
	events := make(chan hid.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

// A watch may take its time to end. Nothing of it is left behind.
func TestTheWatchIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		var over atomic.Bool
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events := make(chan hid.Event)
			context.AfterFunc(ctx, func() {
				time.Sleep(time.Second)
				over.Store(true)
				close(events)
			})
			return nil, events, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.client.Select(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, over.Load())
	})
}

// Some keys say so when they have none of the list.
func TestInvalidCredentialIsNoMatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{InvalidCredential: true}})
		d.plug("b", virtual.Config{})
		o := begin(d, func() (*webauthn.AuthenticationResponse, error) {
			return d.client.Authenticate(t.Context(), origin, request(t, allowing(3)))
		})
		require.Equal(t, []string{"a: added", "a: touch to select", "b: added", "b: touch to select", "select"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.Equal(t, KindNoMatch, KindOf(err))
	})
}

// The nodes of a new key appear before the permission to open them. That is nothing to tell.
func TestKeysThatCannotBeOpenedYet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		denied := fmt.Errorf("no rule: %w", fs.ErrPermission)
		old, late, never := hid.Info{Path: "old", Err: denied}, hid.Info{Path: "late", Err: denied}, hid.Info{Path: "never", Err: denied}
		var events chan hid.Event
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events = watched(ctx)
			return []hid.Info{old}, events, nil
		}
		key := d.key("late", virtual.Config{})
		d.client.Open = func(path string) (io.ReadWriteCloser, error) { return key.Device(), nil }
		d.names = map[string]string{"old": "old", "late": "late", "never": "never"}

		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"insert", "old: dropped: permission"}, d.take())
		events <- hid.Event{Kind: hid.Added, Info: late}
		events <- hid.Event{Kind: hid.Added, Info: never}
		require.Empty(t, d.take())
		late.Err = nil
		events <- hid.Event{Kind: hid.Changed, Info: late}
		require.Equal(t, []string{"late: added", "late: touch to register"}, d.take())
		late.Serial = "7"
		events <- hid.Event{Kind: hid.Changed, Info: late}
		time.Sleep(permissionDelay)
		require.Equal(t, []string{"never: dropped: permission"}, d.take())
		d.touch("late")
		_, err := o.end()
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o = d.registration(ctx, credentialOptions())
		time.Sleep(time.Minute)
		_, err = o.end()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no rule", "perhaps that is why")
	})
}

func TestCancelledCeremonyLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		d.plug("a", virtual.Config{})
		d.plug("b", virtual.Config{U2FOnly: true})
		setPIN(t, d.plug("c", virtual.Config{AlwaysUV: true}), "1234")
		ctx, cancel := context.WithCancelCause(t.Context())
		o := d.registration(ctx, credentialOptions())
		require.False(t, o.isOver())
		cause := errors.New("enough")
		cancel(cause)
		_, err := o.end()
		require.ErrorIs(t, err, cause)
		require.Equal(t, KindCancelled, KindOf(err))
	})
}

// What a cancelled ceremony takes from the user is no fault of the keys.
func TestCancelDropsNoKey(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"opening":    {Faults: virtual.Faults{Report: virtual.At(0, 0, virtual.Silence)}},
		"explaining": {NoClientPIN: true},
		"U2F":        {U2FOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t)
				d.plug("a", c)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				ctx, cancel := context.WithCancel(t.Context())
				o := d.registration(ctx, opts)
				d.take()
				cancel()
				_, err := o.end()
				require.ErrorIs(t, err, context.Canceled)
				require.Empty(t, d.take(), "nothing to tell")
			})
		})
	}
}

// The user may take back the question at any time, and nothing is sent to the key after that.
func TestCancelDuringQuestions(t *testing.T) {
	answered := func(ctx context.Context) { <-ctx.Done() }
	pin := func(ctx context.Context, _ *PINRequest) ([]byte, error) { answered(ctx); return []byte("1234"), nil }
	newPIN := func(ctx context.Context, _ *NewPINRequest) ([]byte, error) {
		answered(ctx)
		return []byte("123456"), nil
	}
	for name, tc := range map[string]struct {
		ui     UI
		config virtual.Config
	}{
		"PIN":    {UI{PIN: pin}, withPIN(virtual.Config{})},
		"NewPIN": {UI{NewPIN: newPIN}, virtual.Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t)
				var sent atomic.Int32
				c := tc.config
				c.Faults.Answer = func(_ ctaphid.Command, _ []byte, run func() []byte) []byte {
					sent.Add(1)
					return run()
				}
				d.plug("a", c)
				d.client.UI = &tc.ui
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				ctx, cancel := context.WithCancelCause(t.Context())
				o := d.registration(ctx, opts)
				require.False(t, o.isOver())
				before := sent.Load()
				cause := errors.New("enough")
				cancel(cause)
				_, err := o.end()
				require.ErrorIs(t, err, cause)
				require.Equal(t, before, sent.Load(), "an answer that comes too late is none")
			})
		})
	}
}

// A ceremony that is cancelled when any message arrives at a key, or at any event, leaves nothing behind.
func TestCancelAtEveryPoint(t *testing.T) {
	t.Parallel()
	ends, completed := 0, false
	for point := 0; !completed && point < 100; point++ {
		synctest.Test(t, func(t *testing.T) { completed = cancelledAt(t, point) })
		ends++
	}
	require.True(t, completed)
	require.Greater(t, ends, 15)
}

// cancelledAt returns whether the ceremony came to its end before the point.
func cancelledAt(t *testing.T, point int) bool {
	d := newDesk(t, "1234")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var points atomic.Int32
	pass := func() {
		if points.Add(1) > int32(point) {
			cancel(cause)
		}
	}
	for _, name := range []string{"a", "b"} {
		c := withPIN(virtual.Config{NoU2F: name == "b"})
		c.Faults.Answer = func(_ ctaphid.Command, _ []byte, run func() []byte) []byte {
			pass()
			return run()
		}
		d.plug(name, c)
	}
	notify := d.client.UI.Notify
	d.client.UI.Notify = func(e Event) { notify(e); pass() }
	opts := credentialOptions()
	opts.UserVerification = UVRequired
	o := d.registration(ctx, opts)
	for !o.isOver() { // chosen, and used
		d.touch("a")
	}
	_, err := o.end()
	if err != nil {
		require.ErrorIs(t, err, cause)
	}
	return ctx.Err() == nil
}

// Whoever touches two keys at the same instant has chosen one of them.
func TestTwoKeysTouchedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		names := []string{"a", "b", "c"}
		for _, name := range names {
			d.plug(name, virtual.Config{})
		}
		o := d.registration(t.Context(), credentialOptions())
		d.take()
		for _, name := range names {
			close(d.fingers[name])
		}
		cred, err := o.end()
		require.NoError(t, err)
		require.NotEmpty(t, cred.ID)
		touched := slices.DeleteFunc(d.take(), func(line string) bool { return line[1:] != ": touched" })
		require.Len(t, touched, 1)
	})
}

// reader is a desk's key with a fingerprint reader, which takes good fingers and others.
func (d *desk) plugReader(name, pin string) (finger chan<- bool) {
	fingers := make(chan bool)
	key := d.plug(name, virtual.Config{UserVerification: func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case good := <-fingers:
			if good {
				return nil
			}
			return errors.New("another finger")
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	setPIN(d.t, key, pin)
	return fingers
}

// Several readers blink; the one that does not know the finger asks for the PIN in the end, and the others stop only then.
func TestFingersOnSeveralReaders(t *testing.T) {
	for name, pins := range map[string][]string{"with a PIN": {"1234"}, "with nobody to ask": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, pins...)
				a := d.plugReader("a", "1234")
				d.plugReader("b", "1234")
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				require.Equal(t, []string{"a: added", "a: touch to verify", "b: added", "b: touch to verify", "select"}, d.take())
				for range 2 {
					a <- false
					require.False(t, o.isOver())
					require.EqualValues(t, 2, d.opens.open.Load(), "the user may still take the other one")
				}
				a <- false
				if pins == nil {
					_, err := o.end() // without another touch
					require.ErrorIs(t, err, ErrPINRequired)
					return
				}
				log := d.take()
				require.Equal(t, []string{"a: touched", "a: PIN, reason 5", "a: touch to register"}, log[len(log)-3:])
				require.EqualValues(t, 1, d.opens.open.Load())
				d.touch("a")
				_, err := o.end()
				require.NoError(t, err)
			})
		})
	}
}

// A reader that is blocked, on a key without a PIN, is as good as none.
func TestABlockedReaderExplainsItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{
			NoClientPIN:      true,
			UserVerification: func(context.Context, virtual.Prompt) error { return ctap2.ErrUVBlocked },
			Faults: virtual.Faults{Answer: func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
				if cmd == ctaphid.CommandCBOR && request[0] == byte(clientPIN) && bytes.Contains(request, []byte{2, 6}) {
					return []byte{byte(ctap2.ErrUVBlocked)} // at once
				}
				return run()
			}},
		})
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{"a: added", "a: verification failed", "a: touch to select"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.Equal(t, KindUVFailed, KindOf(err))
	})
}

// A key that comes back to the same place is a new one.
func TestAKeyComesBackToItsPlace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		info := hid.Info{Path: "port"}
		var events chan hid.Event
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events = watched(ctx)
			return []hid.Info{info}, events, nil
		}
		d.client.Open = d.opens.counting(func(string) (io.ReadWriteCloser, error) { return d.hub.Open("virtual:1") })
		d.names["port"] = "port"
		key := d.key("a", virtual.Config{})
		d.hub.Plug(key)
		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"port: added", "port: touch to register"}, d.take())
		for range 2 {
			d.hub.Unplug(key) // before the watch tells
			require.Equal(t, []string{"insert", "port: removed"}, d.take())
			events <- hid.Event{Kind: hid.Removed, Info: info}
			require.Empty(t, d.take())
			d.hub = virtual.Hub{}
			d.hub.Plug(key)
			events <- hid.Event{Kind: hid.Added, Info: info}
			require.Equal(t, []string{"port: added", "port: touch to register"}, d.take())
		}
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

// A callback that does not return cannot keep the keys blinking.
func TestBlockedNotifyDelaysNoCancel(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		blocked := make(chan struct{})
		d.client.UI.Notify = func(Event) { <-blocked }
		var waiting atomic.Int32
		for range 2 {
			key, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
				waiting.Add(1)
				defer waiting.Add(-1)
				<-ctx.Done()
				return ctx.Err()
			}})
			require.NoError(t, err)
			defer key.Close()
			d.hub.Plug(key)
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := d.registration(ctx, credentialOptions())
		require.EqualValues(t, 2, waiting.Load())
		cancel()
		synctest.Wait()
		require.Zero(t, waiting.Load())
		require.Zero(t, d.opens.open.Load())
		require.False(t, o.isOver(), "the callback still runs")
		close(blocked)
		_, err := o.end()
		require.ErrorIs(t, err, context.Canceled)
	})
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
