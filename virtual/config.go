package virtual

import (
	"context"
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

	// UserVerification, unless nil, is built-in user verification that is set up once and for all: a PIN pad, a
	// face. It returns nil when the key recognized the user, which is a touch as well. Any error but a
	// [ctap2.Status] means that it did not, and costs one of UVRetries tries. The rules of UserPresence hold here too.
	UserVerification func(ctx context.Context, p Prompt) error

	// Finger, unless nil, is what the user puts on the key's fingerprint reader when the key asks for it: to enrol a
	// fingerprint, and, once there is one, for built-in user verification, which any enrolled finger passes. An error
	// means what it means for UserVerification; to enrol, that nobody came. The rules of UserPresence hold here too. A
	// key has either this or UserVerification.
	Finger func(ctx context.Context, p Prompt) (Sample, error)

	// ChooseAccount, unless nil, is the display of a key that asks its user itself which of several passkeys to use,
	// the newest first. It returns the index of one, or an error as UserPresence does, whose rules hold here too.
	ChooseAccount func(ctx context.Context, p Prompt, users []ctap2.User) (int, error)

	// Wink, unless nil, is called each time a platform asks the key to identify itself. It must not block.
	Wink func()

	// StateFile keeps credentials, PIN and counters, in the clear, where only their owner may read them. [New]
	// loads or creates it; every change is on the disk before the platform gets its answer. One Authenticator at a
	// time may use it, until Close; where the system has flock, New refuses a second one. Empty keeps everything in
	// memory.
	StateFile string

	// Version is the newest version of CTAP that the key speaks; 0 means CTAP21. With Preview, a key of that or a later
	// version also has the commands of 2.1-PRE, like keys that were first sold with those: fido2-tools know no others.
	Version Version
	Preview bool

	// Without names options and extensions that the key lacks, as getInfo spells them: "credMgmt", "hmac-secret", ...
	// It has all the others that keys of its version may have, unless they need one of these, or a part that is not
	// there: "bioEnroll" needs Finger.
	Without []string

	AAGUID             ctap2.AAGUID        // all zeros mean one of keyfob's own
	Attestation        Attestation         // what new credentials come with
	Algorithms         []cose.Algorithm    // nil means ES256, EdDSA, ES384, ES512 and RS256
	PINUVAuthProtocols []ctap2.PINProtocol // the favourite first; nil means 2 and 1, or what the version has
	NoU2F              bool                // CTAP2 only
	U2FOnly            bool                // U2F only; what is said here of CTAP2 means nothing then
	NoClientPIN        bool                // the key can have no PIN
	MakeCredUVRequired bool                // a key with a PIN wants it for every new credential: no makeCredUvNotRqd

	// AlwaysUV has option alwaysUv on in a new key: without verification only silent assertions work, and U2F never
	// does. AuthenticatorConfig can switch it off and, in other keys, on.
	AlwaysUV bool

	// NoMCGAWithPIN makes a PIN good for managing the key only: option noMcGaPermissionsWithClientPin. It needs
	// built-in user verification.
	NoMCGAWithPIN bool

	// EnterpriseAttestation makes the key able to tell itself from others, to relying parties that its platform names
	// and to these, whom its vendor knows, once authenticatorConfig has switched that on: option ep.
	EnterpriseAttestation bool
	EnterpriseRPIDs       []string

	DefaultCredProtect uint // level of a credential that asks for none; 0 means ctap2.CredProtectUVOptional
	LeastCredProtect   uint // of every credential, whatever it asks for; 0 means ctap2.CredProtectUVOptional
	NoWrapping         bool // every credential made over CTAP2 is stored, not just passkeys and RSA keys
	CutRPIDs           bool // lists of relying parties show 32 bytes of an RP ID, as section 6.8.7 permits

	PIN   PINPolicy   // which PINs it takes
	Reset ResetPolicy // when it can be reset

	UVRetries       int // failures of the built-in verification until it blocks; 0 means 3, at most 25
	EnrollSamples   int // good ones that make a fingerprint; 0 means 5
	MaxFingerprints int // 0 means 5

	Capacity                 int // stored credentials; 0 means 100
	MaxCredentialCountInList int // of an allow or exclude list; 0 means 8, or any number where getInfo does not say it
	MaxCredentialIDLength    int // bytes; 0 means 128; at least 98, as long as the key's own may be
	LargeBlobSize            int // bytes of the large-blob array, or of extension largeBlob; 0 means 4096, at least 1024
	MaxMessageSize           int // bytes of a request; 0 means 1827, 1024 to 7609

	FirmwareVersion uint64            // 0 means 1
	Certifications  map[string]uint64 // by the names of the FIDO registry

	// VendorConfig are the vendor's prototype commands of authenticatorConfig, by their number. Each gets all its
	// parameters as CBOR, and may return a [ctap2.Status] as the error; any other error becomes OTHER. It must not
	// call the methods of the Authenticator.
	VendorConfig map[uint64]func(params []byte) error

	TouchTimeout time.Duration // 0 means 30 seconds

	Faults Faults // what the key does wrong

	preset Preset // that this began as; empty for none
}

// Prompt says what the user is asked for.
type Prompt struct {
	Command ctap2.Command // what the platform wants, or what it would want in CTAP2
	RPID    string        // empty where the command is for no relying party, and in U2F, which names none
	Long    bool          // a touch of five seconds, to reset the key
}

// Sample is what the fingerprint reader has seen.
type Sample struct {
	Finger string             // which finger it was: samples of one finger match each other
	Status ctap2.SampleStatus // anything but SampleGood makes the sample useless
}

// PINPolicy says which PINs a key takes. The zero value is what the specification wants at least.
type PINPolicy struct {
	MinLength int // characters (Unicode code points) until authenticatorConfig wants more; 0 means 4
	MaxLength int // characters; 0 means 63
	Retries   int // wrong PINs until the key blocks; 0 means 8, which is the most

	Initial     []byte // the PIN that a new key has; nil for none. A reset takes it away
	ForceChange bool   // the initial PIN must be changed before it is good for anything

	// Complexity, unless nil, reports whether a PIN is good enough. It must not call the methods of the
	// Authenticator, nor keep the PIN.
	Complexity func(pin []byte) bool
	URL        string // that explains Complexity to people
}

// ResetPolicy says when a key can be reset. The zero value allows it always, with a touch.
type ResetPolicy struct {
	Window     time.Duration // after power-up, when reset is allowed; 0 means always, where real keys have 10 seconds
	LongTouch  bool          // wants a long touch for it even if authenticatorConfig did not ask for that
	Transports []string      // on which reset is allowed: "usb", "nfc", "ble"; nil means all. This key is on "usb"
}

// Attestation is what a key proves about itself with a new credential.
type Attestation int

const (
	AttestationSelf  Attestation = iota // format packed, signed with the credential's own key
	AttestationBasic                    // format packed, signed with a certified key: see [Authenticator.AttestationRoot]
	AttestationNone                     // format none
)
