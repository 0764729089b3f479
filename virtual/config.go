package virtual

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// Config says what kind of key an [Authenticator] is and how its user behaves. The zero value is a CTAP 2.1 key
// without built-in user verification and without a PIN (one can be set), whose user touches it at once.
type Config struct {
	// UserPresence waits for the user's touch, and returns nil when it came. A [ctap2.Status] as the error becomes
	// the answer to the platform; any other error means that the user refused (OPERATION_DENIED). It must return
	// when ctx is done, which happens when the platform cancels or after TouchTimeout. It may call the methods of
	// the Authenticator except CBOR, Msg and Close. Nil touches at once.
	//
	// U2F does not wait: the key answers at once that it wants a touch, and platforms ask again and again. The
	// callback then runs on a goroutine of its own until they have not asked for a second, and a touch counts for
	// the next ten. The error makes no difference: a touch that is refused is one that does not come.
	UserPresence func(ctx context.Context, p Prompt) error

	// UserVerification is the fingerprint reader, or nil for a key without built-in user verification. It returns
	// nil when the key recognized the user, which is a touch as well. Any error but a [ctap2.Status] means that it
	// did not, and costs one of three tries. The rules of UserPresence hold here too.
	UserVerification func(ctx context.Context, p Prompt) error

	// Wink, unless nil, is called each time a platform asks the key to identify itself. It must not block.
	Wink func()

	// StateFile keeps credentials, PIN and counters, in the clear, where only their owner may read them. [New]
	// loads or creates it; every change is on the disk before the platform gets its answer. One Authenticator at a
	// time may use it, until Close; where the system has flock, New refuses a second one. Empty keeps everything in
	// memory.
	StateFile string

	AAGUID             ctap2.AAGUID        // all zeros mean one of keyfob's own
	Attestation        Attestation         // what new credentials come with
	Algorithms         []cose.Algorithm    // nil means ES256, EdDSA, ES384, ES512 and RS256
	PINUVAuthProtocols []ctap2.PINProtocol // the favourite first; nil means 2 and 1
	NoU2F              bool                // CTAP2 only
	U2FOnly            bool                // U2F only; what is said here of CTAP2 means nothing then
	NoClientPIN        bool                // the key can have no PIN
	AlwaysUV           bool                // only silent assertions work without verification, and no U2F: option alwaysUv
	MakeCredUVRequired bool                // a key with a PIN wants it for every new credential: no makeCredUvNotRqd

	Capacity                 int // stored credentials; 0 means 100
	MaxCredentialCountInList int // entries of an allow or exclude list; 0 means 8
	MaxCredentialIDLength    int // bytes; 0 means 128; at least 98, as long as the key's own may be

	TouchTimeout time.Duration // 0 means 30 seconds
	ResetWindow  time.Duration // after power-up, when reset is allowed; 0 means always, where real keys have 10 seconds

	Faults Faults // what the key does wrong
}

// Prompt says what the user is asked for.
type Prompt struct {
	Command ctap2.Command // what the platform wants, or what it would want in CTAP2
	RPID    string        // empty where the command is for no relying party, and in U2F, which names none
}

// Attestation is what a key proves about itself with a new credential.
type Attestation int

const (
	AttestationSelf  Attestation = iota // format packed, signed with the credential's own key
	AttestationBasic                    // format packed, signed with a certified key: see [Authenticator.AttestationRoot]
	AttestationNone                     // format none
)

const (
	defaultCapacity      = 100
	defaultListLength    = 8
	defaultIDLength      = 128
	minIDLength          = 98 // a sealed ES512 key
	defaultTouchTimeout  = 30 * time.Second
	maxMessageSize       = 1827 // bytes in 31 packets, which fit through uhid in one go: see ServeUHID
	minPINLength         = 4
	firmwareVersion      = 1
	maxPINRetries        = 8
	maxUVRetries         = 3
	maxPINFailuresInARow = 3
)

var defaultAAGUID = ctap2.AAGUID{
	0x6b, 0x65, 0x79, 0x66, 0x6f, 0x62, 0x4d, 0x0e, 0x8a, 0x3d, 0x56, 0x69, 0x72, 0x74, 0x75, 0x61,
}

// withDefaults returns a copy of c that shares nothing with the caller's.
func (c Config) withDefaults() Config {
	if c.AAGUID == (ctap2.AAGUID{}) {
		c.AAGUID = defaultAAGUID
	}
	if c.Algorithms == nil {
		c.Algorithms = []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256}
	}
	if c.PINUVAuthProtocols == nil {
		c.PINUVAuthProtocols = []ctap2.PINProtocol{ctap2.PINProtocol2, ctap2.PINProtocol1}
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	c.PINUVAuthProtocols = slices.Clone(c.PINUVAuthProtocols)
	c.Capacity = orDefault(c.Capacity, defaultCapacity)
	c.MaxCredentialCountInList = orDefault(c.MaxCredentialCountInList, defaultListLength)
	c.MaxCredentialIDLength = orDefault(c.MaxCredentialIDLength, defaultIDLength)
	c.TouchTimeout = orDefault(c.TouchTimeout, defaultTouchTimeout)
	return c
}

func orDefault[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

// hasU2F reports whether the key registers and authenticates over U2F. It may not with alwaysUv, since U2F cannot
// verify the user (section 7.2).
func (c *Config) hasU2F() bool { return !c.NoU2F && !c.AlwaysUV }

// check refuses what no key can be.
func (c *Config) check() error {
	if c.U2FOnly && !c.hasU2F() {
		return errors.New("a key with U2F only has neither NoU2F nor AlwaysUV")
	}
	for _, alg := range c.Algorithms {
		if !canSign(alg) {
			return fmt.Errorf("algorithm %v is not supported", alg)
		}
	}
	for _, p := range c.PINUVAuthProtocols {
		if p != ctap2.PINProtocol1 && p != ctap2.PINProtocol2 {
			return fmt.Errorf("PIN/UV auth protocol %d is not supported", p)
		}
	}
	if len(c.Algorithms) == 0 || len(c.PINUVAuthProtocols) == 0 {
		return errors.New("a key needs an algorithm and a PIN/UV auth protocol")
	}
	if c.Capacity < 0 || c.MaxCredentialCountInList < 0 || c.TouchTimeout < 0 || c.ResetWindow < 0 {
		return errors.New("negative limit")
	}
	if c.MaxCredentialIDLength < minIDLength {
		return fmt.Errorf("credential IDs have up to %d bytes, over the limit of %d", minIDLength, c.MaxCredentialIDLength)
	}
	return nil
}
