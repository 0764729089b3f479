package virtual

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/attest"
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
	enrolment    *enrolment      // of a finger, nil when none goes on
	token        *token          // nil when none is in use
	pinFailures  int             // in a row
	largeBlobs   *largeBlobWrite // nil when none goes on
	poll         *poll           // of U2F, nil when none goes on
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
	a.config.preset = a.state.Preset // it stays what it was made of, also through a reset
	return a.prepareAttestation()
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
	walk        *walk        // the assertions that authenticatorGetNextAssertion returns; nil for none
	enumeration *enumeration // what authenticatorCredentialManagement has begun to list; nil for nothing
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
