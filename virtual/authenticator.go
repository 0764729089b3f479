package virtual

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Authenticator is one security key. Its methods may be called concurrently; like a real key it runs one command at
// a time.
type Authenticator struct {
	config    Config          // not changed after New
	features  map[string]bool // that the key has; not changed either
	entropy   entropy
	lock      *stateLock    // nil without a state file
	once      sync.Once     // Close
	turn      chan struct{} // holds a value while a command runs
	inProcess session
	bus       bus
	polls     sync.WaitGroup    // the callbacks that U2F runs in the background
	asking    sync.Mutex        // held while a callback asks the user, one at a time; taken before mu
	authority *attest.Authority // of the formats that need one for themselves, else nil

	mu       sync.Mutex // guards the fields below; never held while a callback runs
	state    *state     // replaced, never changed: see update
	volatile volatile
	era      int                     // counts how often that was cleared
	abort    context.CancelCauseFunc // of the running command; nil without one
	closed   bool
}

// volatile is what a power cycle clears.
type volatile struct {
	poweredAt    time.Time
	keyAgreement map[ctap2.PINProtocol]*ecdh.PrivateKey
	token        *token // nil when none is in use
	pinFailures  int    // in a row
	poll         *poll  // of U2F, nil when none goes on
}

// New returns a key that is powered up. It fails when the configuration asks for what no key can be, or when the
// state file is in use, corrupt or can't be written; the error then wraps the cause, or says which process uses it.
func New(c Config) (*Authenticator, error) {
	a, err := newAuthenticator(c, systemEntropy)
	if err != nil {
		return nil, fmt.Errorf("virtual: %w", err)
	}
	return a, nil
}

func newAuthenticator(c Config, e entropy) (*Authenticator, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	a := &Authenticator{config: c, features: c.features(), entropy: e, turn: make(chan struct{}, 1)}
	a.bus.init(a)
	if err := a.load(); err != nil {
		a.lock.release()
		return nil, err
	}
	a.powerUp()
	return a, nil
}

func (a *Authenticator) load() (err error) {
	if path := a.config.StateFile; path != "" {
		if a.lock, err = lockState(path); err != nil {
			return err
		}
	}
	if a.state, err = loadState(&a.config); err != nil {
		return err
	}
	return a.prepareAttestation()
}

// entropy is where keys that platforms see come from. Golden vectors need them fixed.
type entropy struct {
	keyAgreement func() *ecdh.PrivateKey
	token        func() [tokenSize]byte
}

var systemEntropy = entropy{
	keyAgreement: func() *ecdh.PrivateKey {
		key, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			panic(err) // the system's randomness never fails
		}
		return key
	},
	token: func() (t [tokenSize]byte) {
		rand.Read(t[:])
		return t
	},
}

func (a *Authenticator) powerUp() {
	a.era++
	a.endPoll()
	a.volatile = volatile{
		poweredAt:    time.Now(),
		keyAgreement: make(map[ctap2.PINProtocol]*ecdh.PrivateKey),
	}
	for _, p := range a.config.PINUVAuthProtocols {
		a.regenerate(p)
	}
}

var errPowerCycled = errors.New("power was cut")

// PowerCycle unplugs the key and plugs it in again, in no time: a running command ends without an answer, and
// tokens, key agreements, channels, a lock and the block after three wrong PINs in a row are gone. What
// [Authenticator.Device] opened stays open.
func (a *Authenticator) PowerCycle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bus.powerUp() // first, so that a command which ends has nobody to tell
	if a.abort != nil {
		a.abort(errPowerCycled)
	}
	a.powerUp()
}

// Credentials returns how many credentials are stored in the key: passkeys, and RSA keys of any kind. Others live
// in their credential IDs.
func (a *Authenticator) Credentials() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.state.Credentials)
}

// session is what the key remembers of one platform between its commands.
type session struct {
	walk *walk // the assertions that authenticatorGetNextAssertion returns; nil for none
}

// CBOR runs one command, a command byte and its parameters, and returns the response, a status byte and its
// members. It makes the key a transport for package ctap2. When ctx is done the command ends as if the platform had
// cancelled it, and the error is the context's cause. A key with U2F only gives an error that wraps
// [ctaphid.ErrInvalidCommand].
//
// While the key waits for the user, keepalive is called with 2 (user presence needed), unless it is nil; when the
// wait is over, and before work that takes long, with 1 (processing). All callbacks run on the caller's goroutine.
func (a *Authenticator) CBOR(ctx context.Context, request []byte, keepalive func(status byte)) ([]byte, error) {
	if keepalive == nil {
		keepalive = func(byte) {}
	}
	return a.executeInProcess(ctx, ctaphid.CommandCBOR, &call{session: &a.inProcess, keepalive: keepalive}, request)
}

// Msg runs one U2F command, an APDU in the short or the extended encoding, and returns the response APDU. It makes
// the key a transport for package ctap1. It never waits for the user: see [Config]. When ctx is done while others
// use the key, the error is the context's cause. A key without U2F gives an error that wraps
// [ctaphid.ErrInvalidCommand].
func (a *Authenticator) Msg(ctx context.Context, apdu []byte) ([]byte, error) {
	return a.executeInProcess(ctx, ctaphid.CommandMsg, nil, apdu)
}

func (a *Authenticator) executeInProcess(
	ctx context.Context, cmd ctaphid.Command, c *call, request []byte,
) ([]byte, error) {
	if !a.config.takes(cmd) {
		return nil, fmt.Errorf("virtual: %v: %w", cmd, ctaphid.ErrInvalidCommand)
	}
	response, err := a.execute(ctx, cmd, c, request)
	if err != nil {
		return nil, fmt.Errorf("virtual: %w", err)
	}
	return response, nil
}

// call is one command on its way.
type call struct {
	command   ctap2.Command
	session   *session
	keepalive func(status byte)
}

// execute runs one CTAP2 or U2F command, unless a fault answers in the key's place. The error says why there is no
// answer: ctx ended, the power was cut.
func (a *Authenticator) execute(
	ctx context.Context, cmd ctaphid.Command, c *call, request []byte,
) (response []byte, err error) {
	run := func() (response []byte) {
		response, err = a.inTurn(ctx, cmd, c, request)
		return response
	}
	if a.config.Faults.Answer == nil {
		response = run()
	} else {
		response = a.config.Faults.Answer(cmd, request, run)
	}
	if err != nil {
		return nil, err
	}
	return response, nil
}

// inTurn runs one command when it is its turn.
func (a *Authenticator) inTurn(
	ctx context.Context, cmd ctaphid.Command, c *call, request []byte,
) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fs.ErrClosed
	}
	if cmd == ctaphid.CommandMsg {
		return a.runMsg(request), nil
	}
	a.abort = cancel
	defer func() { a.abort = nil }()
	return a.runCBOR(ctx, c, request)
}

// runCBOR runs one CTAP2 command.
func (a *Authenticator) runCBOR(ctx context.Context, c *call, request []byte) ([]byte, error) {
	response := a.answer(ctx, c, request)
	if ctx.Err() != nil && ctap2.Status(response[0]) == ctap2.ErrKeepaliveCancel {
		return nil, context.Cause(ctx)
	}
	return response, nil
}

// answer returns the response to one command: never empty, whatever the request.
func (a *Authenticator) answer(ctx context.Context, c *call, request []byte) []byte {
	members, err := a.dispatch(ctx, c, request)
	if err != nil {
		return []byte{byte(statusOf(err))}
	}
	if members == nil {
		return []byte{0}
	}
	encoded, err := ctapcbor.Marshal(members)
	if err != nil {
		return []byte{byte(ctap2.ErrOther)}
	}
	return append([]byte{0}, encoded...)
}

// statusOf is OTHER for what is no fault of the platform, such as a full disk.
func statusOf(err error) ctap2.Status {
	if status, ok := errors.AsType[ctap2.Status](err); ok && status != 0 {
		return status
	}
	return ctap2.ErrOther
}

// A handler runs a command. It returns the members of the response, nil for none, or a [ctap2.Status] as the error.
type handler func(a *Authenticator, ctx context.Context, c *call, params []byte) (any, error)

var handlers = map[ctap2.Command]handler{
	ctap2.CommandMakeCredential:   (*Authenticator).makeCredential,
	ctap2.CommandGetAssertion:     (*Authenticator).getAssertion,
	ctap2.CommandGetNextAssertion: (*Authenticator).getNextAssertion,
	ctap2.CommandGetInfo:          (*Authenticator).getInfo,
	ctap2.CommandClientPIN:        (*Authenticator).clientPIN,
	ctap2.CommandReset:            (*Authenticator).reset,
	ctap2.CommandSelection:        (*Authenticator).selection,
}

func (a *Authenticator) dispatch(ctx context.Context, c *call, request []byte) (any, error) {
	if len(request) == 0 {
		return nil, ctap2.ErrInvalidLength
	}
	if len(request) > a.config.MaxMessageSize {
		return nil, ctap2.ErrRequestTooLarge
	}
	c.command = ctap2.Command(request[0])
	if c.command != ctap2.CommandGetNextAssertion {
		c.session.walk = nil // section 6.3: any other command ends it
	}
	handle, ok := handlers[c.command]
	if !ok {
		return nil, ctap2.ErrInvalidCommand
	}
	return handle(a, ctx, c, request[1:])
}

// outside runs f, which may be somebody else's code or take long, without the mutex.
func (a *Authenticator) outside(f func()) {
	a.mu.Unlock()
	defer a.mu.Lock()
	f()
}

// working tells the platform that the key is busy without the user.
func (a *Authenticator) working(c *call, f func()) {
	a.outside(func() {
		c.keepalive(ctaphid.KeepaliveProcessing)
		f()
	})
}
