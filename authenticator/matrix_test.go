package authenticator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// The matrix plays ceremonies over every class of key, request and fault, with one to four keys at once, whose user
// touches one of them whenever it blinks. Whatever happens, certain things must hold.

const (
	matrixPIN      = "1234"
	matrixDeadline = 2 * time.Minute
)

// matrixKey is a key on the user's desk.
type matrixKey struct {
	*virtual.Authenticator
	name     string
	atHand   atomic.Bool   // touched at once: while the test prepares it
	finger   chan struct{} // a touch
	waiting  atomic.Int32
	granted  atomic.Int32 // touches that the key took
	pinsSeen atomic.Int32 // PINs that the platform sent
	fault    func(k *matrixKey, cmd ctap2.Command) []byte
	commands atomic.Int32 // since the ceremony began
	began    atomic.Bool
}

func (k *matrixKey) presence(ctx context.Context, _ virtual.Prompt) error {
	if k.atHand.Load() {
		return nil
	}
	k.waiting.Add(1)
	defer k.waiting.Add(-1)
	select {
	case <-k.finger:
		k.granted.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer counts PINs, and lets the fault answer in the key's place.
func (k *matrixKey) answer(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
	if cmd != ctaphid.CommandCBOR || len(request) == 0 || !k.began.Load() {
		return run()
	}
	command := ctap2.Command(request[0])
	var params ctap2.ClientPINRequest
	if command == clientPIN && ctapcbor.Unmarshal(request[1:], &params) == nil && params.PINHashEnc != nil {
		k.pinsSeen.Add(1)
	}
	k.commands.Add(1)
	if k.fault != nil {
		if answer := k.fault(k, command); answer != nil {
			return answer
		}
	}
	return run()
}

// matrixClass is a kind of key.
type matrixClass struct {
	name   string
	config virtual.Config
	pin    bool
}

func matrixClasses() (classes []matrixClass) {
	for _, preset := range virtual.Presets() {
		c := matrixClass{name: string(preset), config: preset.Config(), pin: preset != virtual.PresetU2F && preset != virtual.Preset20}
		classes = append(classes, c)
	}
	return append(classes,
		matrixClass{name: "no pin", config: virtual.Config{}},
		matrixClass{name: "pad", config: virtual.Config{UserVerification: func(context.Context, virtual.Prompt) error { return nil }}, pin: true},
		matrixClass{name: "broken pad", config: virtual.Config{
			UserVerification: func(context.Context, virtual.Prompt) error { return errors.New("not you") },
		}, pin: true})
}

func newMatrixKey(t *testing.T, class matrixClass, ignoresCancel bool) *matrixKey {
	k := &matrixKey{name: class.name, finger: make(chan struct{})}
	c := class.config
	c.UserPresence = k.presence
	if verify := c.UserVerification; verify != nil {
		c.UserVerification = func(ctx context.Context, p virtual.Prompt) error {
			return errors.Join(k.presence(ctx, p), verify(ctx, p))
		}
	}
	if class.pin {
		c.PIN.Initial = []byte(matrixPIN)
	}
	c.Faults.Answer, c.Faults.IgnoreCancel = k.answer, ignoresCancel
	key, err := virtual.New(c)
	require.NoError(t, err)
	k.Authenticator = key
	return k
}

// unclosed is a key that outlives its users.
type unclosed struct{ *virtual.Authenticator }

func (unclosed) Close() error { return nil }

// credential makes a credential on the key if it can hold such a one.
func (k *matrixKey) credential(t *testing.T, resident bool) []byte {
	k.atHand.Store(true)
	defer k.atHand.Store(false)
	ui := &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) { return []byte(matrixPIN), nil }}
	a, err := New(t.Context(), unclosed{k.Authenticator}, ui) // not over HID, where the faults are
	require.NoError(t, err)
	defer a.Close()
	opts := credentialOptions()
	opts.HMACSecret = a.Info().HasExtension("hmac-secret")
	opts.ResidentKey = resident && k.name != string(virtual.PresetU2F)
	cred, err := a.MakeCredential(t.Context(), opts)
	require.NoError(t, err)
	return cred.ID
}

// matrixRequest is a ceremony.
type matrixRequest struct {
	name string
	run  func(ctx context.Context, c *Client, held []byte) error // held is a credential of the first key
	held bool                                                    // which needs one
}

func matrixRequests() (all []matrixRequest) {
	for _, uv := range []webauthn.Requirement{webauthn.Discouraged, webauthn.Preferred, webauthn.Required} {
		for _, resident := range []webauthn.Requirement{webauthn.Discouraged, webauthn.Preferred, webauthn.Required} {
			all = append(all, matrixRequest{
				name: fmt.Sprintf("register uv %s resident %s", uv, resident),
				run: func(ctx context.Context, c *Client, _ []byte) error {
					return matrixRegister(ctx, c, webauthn.AuthenticatorSelection{UserVerification: uv, ResidentKey: resident})
				},
			})
		}
		for _, usernameless := range []bool{false, true} {
			all = append(all, matrixRequest{
				name: fmt.Sprintf("authenticate uv %s usernameless %t", uv, usernameless),
				held: true,
				run: func(ctx context.Context, c *Client, held []byte) error {
					if usernameless {
						return matrixSignIn(ctx, c, uv)
					}
					return matrixSignIn(ctx, c, uv, []byte("of another key"), held)
				},
			})
		}
	}
	return append(all,
		matrixRequest{name: "excluded", held: true, run: func(ctx context.Context, c *Client, held []byte) error {
			return matrixRegister(ctx, c, webauthn.AuthenticatorSelection{}, held)
		}},
		matrixRequest{name: "held by no key", run: func(ctx context.Context, c *Client, _ []byte) error {
			return matrixSignIn(ctx, c, webauthn.Discouraged, []byte("lost"))
		}},
		matrixRequest{name: "derive", held: true, run: func(ctx context.Context, c *Client, held []byte) error {
			ctx, cancel := context.WithTimeout(ctx, matrixDeadline)
			defer cancel()
			_, err := c.Derive(ctx, &DeriveOptions{RPID: "example.org", Credentials: []SecretCredential{{ID: held, Salts: [][]byte{hash("salt")}}}})
			return err
		}},
	)
}

func matrixRegister(ctx context.Context, c *Client, selection webauthn.AuthenticatorSelection, exclude ...[]byte) error {
	opts := credentialOptions()
	_, err := c.Register(ctx, origin, &webauthn.CreationOptions{
		RP: opts.RP, User: opts.User, Challenge: challenge, AuthenticatorSelection: selection,
		ExcludeCredentials: descriptors(exclude), Timeout: matrixDeadline,
	})
	return err
}

func matrixSignIn(ctx context.Context, c *Client, uv webauthn.Requirement, allow ...[]byte) error {
	_, err := c.Authenticate(ctx, origin, &webauthn.RequestOptions{
		RPID: "example.org", Challenge: challenge, UserVerification: uv, AllowCredentials: descriptors(allow), Timeout: matrixDeadline,
	})
	return err
}

func descriptors(ids [][]byte) (list []ctap2.CredentialDescriptor) {
	for _, id := range ids {
		list = append(list, descriptor(id))
	}
	return list
}

// matrixFault is what goes wrong, always with the first key, which is the one that the user touches.
type matrixFault struct {
	name     string
	pins     []string // that the user knows; nil means the right one
	answer   func(k *matrixKey, cmd ctap2.Command) []byte
	wire     virtual.Fault
	meddle   func(m *matrixGame) // runs beside the ceremony
	stubborn bool                // the keys ignore CANCEL
	everyone bool                // the user touches all keys at once
}

func matrixFaults() []matrixFault {
	return []matrixFault{
		{name: "none"},
		{name: "a wrong PIN first", pins: []string{"0000", matrixPIN}},
		{name: "only wrong PINs", pins: []string{"0000", "1111", "2222", "3333", "4444", "5555"}},
		{name: "no PIN", pins: []string{}},
		{name: "pulled", meddle: func(m *matrixGame) { time.Sleep(700 * time.Millisecond); m.hub.Unplug(m.keys[0].Authenticator) }},
		{name: "another one pulled", meddle: func(m *matrixGame) {
			time.Sleep(200 * time.Millisecond)
			m.hub.Unplug(m.keys[len(m.keys)-1].Authenticator)
		}},
		{name: "plugged in late", meddle: func(m *matrixGame) {
			time.Sleep(300 * time.Millisecond)
			m.hub.Unplug(m.keys[0].Authenticator)
			m.hub.Plug(m.keys[0].Authenticator)
		}},
		{name: "cancelled", meddle: func(m *matrixGame) { time.Sleep(900 * time.Millisecond); m.cancel() }},
		{name: "cancelled, keys that go on", meddle: func(m *matrixGame) { time.Sleep(100 * time.Millisecond); m.cancel() }, stubborn: true},
		{name: "OTHER at the second command", answer: func(k *matrixKey, _ ctap2.Command) []byte {
			if k.commands.Load() == 2 {
				return []byte{byte(ctap2.ErrOther)}
			}
			return nil
		}},
		{name: "garbage at the third command", answer: func(k *matrixKey, _ ctap2.Command) []byte {
			if k.commands.Load() == 3 {
				return []byte{0, 0xbf, 0x00}
			}
			return nil
		}},
		{name: "wants a PIN for everything", answer: func(_ *matrixKey, cmd ctap2.Command) []byte {
			if cmd == makeCredential || cmd == getAssertion {
				return []byte{byte(ctap2.ErrPUATRequired)}
			}
			return nil
		}},
		{name: "gives up at once", answer: func(_ *matrixKey, cmd ctap2.Command) []byte {
			if cmd == makeCredential || cmd == getAssertion || cmd == ctap2.CommandSelection {
				return []byte{byte(ctap2.ErrUserActionTimeout)}
			}
			return nil
		}},
		{name: "selected at once", answer: func(_ *matrixKey, cmd ctap2.Command) []byte {
			if cmd == ctap2.CommandSelection {
				return []byte{0}
			}
			return nil
		}},
		{name: "all touched at once", everyone: true},
		{name: "silent", wire: virtual.At(2, 0, virtual.Silence)},
		{name: "keepalives for ever", wire: virtual.At(2, 0, virtual.KeepaliveForever)},
	}
}

// matrixGame is one ceremony.
type matrixGame struct {
	t       *testing.T
	hub     virtual.Hub
	keys    []*matrixKey
	cancel  context.CancelFunc
	answers atomic.Int32 // PINs that the user gave

	mu     sync.Mutex
	pins   []string
	events map[string]map[EventKind]int // by path
	over   bool
}

func (m *matrixGame) pin(context.Context, *PINRequest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pins) == 0 {
		return nil, context.Canceled // the user gives up
	}
	m.answers.Add(1)
	pin := m.pins[0]
	if len(m.pins) > 1 {
		m.pins = m.pins[1:]
	}
	return []byte(pin), nil
}

func (m *matrixGame) notify(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	require.False(m.t, m.over, "an event after the end")
	if m.events[e.Key.Path] == nil {
		m.events[e.Key.Path] = map[EventKind]int{}
	}
	m.events[e.Key.Path][e.Kind]++
}

// touch is the user: whenever one of the keys blinks it is touched, after a moment, until the ceremony is over.
func (m *matrixGame) touch(over <-chan struct{}, keys []*matrixKey) {
	for {
		select {
		case <-over:
			return
		case <-time.After(500 * time.Millisecond):
		}
		for _, k := range keys {
			select {
			case k.finger <- struct{}{}:
			default:
			}
		}
	}
}

func playMatrix(t *testing.T, class matrixClass, others []matrixClass, request matrixRequest, fault matrixFault) {
	m := &matrixGame{t: t, pins: fault.pins, events: map[string]map[EventKind]int{}}
	if fault.pins == nil {
		m.pins = []string{matrixPIN}
	}
	first := class
	first.config.Faults.Report = fault.wire
	for _, class := range append([]matrixClass{first}, others...) {
		k := newMatrixKey(t, class, fault.stubborn)
		defer k.Authenticator.Close()
		m.keys = append(m.keys, k)
	}
	var held []byte
	if request.held {
		held = m.keys[0].credential(t, true)
	}
	m.keys[0].fault = fault.answer
	before := make([]int, len(m.keys))
	for i, k := range m.keys {
		before[i] = k.Credentials()
		k.began.Store(true)
		m.hub.Plug(k.Authenticator)
	}
	var opens counter
	client := &Client{UI: &UI{PIN: m.pin, Notify: m.notify}, Watch: m.hub.Watch, Open: opens.counting(m.hub.Open)}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.cancel = cancel
	over := make(chan struct{})
	var beside sync.WaitGroup
	touched := m.keys[:1]
	if fault.everyone {
		touched = m.keys
	}
	beside.Go(func() { m.touch(over, touched) })
	if fault.meddle != nil {
		beside.Go(func() { fault.meddle(m) })
	}
	begin := time.Now()
	err := request.run(ctx, client, held)
	took := time.Since(begin)
	m.mu.Lock()
	m.over = true
	m.mu.Unlock()
	close(over)
	beside.Wait()
	time.Sleep(2 * time.Second) // U2F keys blink on until nobody asks them

	m.check(err, took)
	m.checkChoice()
	if !fault.everyone {
		m.checkOthers(before)
	}
	require.Zero(t, opens.open.Load(), "keys left open")
}

// check holds the game against what must hold whatever happens.
func (m *matrixGame) check(err error, took time.Duration) {
	t := m.t
	if err != nil {
		var status ctap2.Status
		require.True(t, KindOf(err) != KindOther || errors.As(err, &status), "an error of no kind: %v", err)
	}
	require.LessOrEqual(t, took, matrixDeadline+5*time.Second)
	pins := 0
	for _, k := range m.keys {
		require.Zero(t, k.waiting.Load(), "%s still blinks", k.name)
		pins += int(k.pinsSeen.Load())
	}
	require.LessOrEqual(t, pins, int(m.answers.Load()), "more PINs than the user gave")
	for path, kinds := range m.events {
		for _, once := range []EventKind{EventAdded, EventRemoved, EventDropped} {
			require.LessOrEqual(t, kinds[once], 1, "%s: %v", path, once)
		}
	}
}

// checkChoice: the user chooses one key, and gives a PIN to no other.
func (m *matrixGame) checkChoice() {
	chosen, touches := 0, 0
	for _, kinds := range m.events {
		chosen += min(1, kinds[EventTouched])
		touches += kinds[EventTouched]
	}
	require.LessOrEqual(m.t, chosen, 1, "%v", m.events)
	granted, withPIN := int32(0), 0
	for _, k := range m.keys {
		granted += k.granted.Load()
		withPIN += int(min(1, k.pinsSeen.Load()))
	}
	require.LessOrEqual(m.t, withPIN, 1)
	require.LessOrEqual(m.t, touches, int(granted)+1, "%v", m.events)
}

// checkOthers: the keys that nobody touched made nothing, and got no PIN unless they were the last that was left.
func (m *matrixGame) checkOthers(before []int) {
	left := 0
	for _, kinds := range m.events {
		left += kinds[EventRemoved] + kinds[EventDropped]
	}
	lastOne := left >= len(m.keys)-1
	for i, k := range m.keys[1:] {
		require.Equal(m.t, before[i+1], k.Credentials(), "%s was not touched", k.name)
		require.True(m.t, lastOne || k.pinsSeen.Load() == 0, "%s was not chosen: %v", k.name, m.events)
	}
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	classes, requests, faults := matrixClasses(), matrixRequests(), matrixFaults()
	played := 0
	for i, class := range classes {
		for j, request := range requests {
			for k, fault := range faults {
				played++
				if raceEnabled && played%10 != 0 || testing.Short() && played%16 != 0 {
					continue
				}
				n := (i + j + k) % 4 // others, of the classes that follow
				var others []matrixClass
				for o := range n {
					others = append(others, classes[(i+o*3+1)%len(classes)])
				}
				t.Run(fmt.Sprintf("%s and %d others/%s/%s", class.name, n, request.name, fault.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { playMatrix(t, class, others, request, fault) })
				})
			}
		}
	}
	require.Greater(t, played, 2000)
}
