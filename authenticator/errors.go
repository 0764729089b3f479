package authenticator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
)

var (
	// ErrPINRequired is wrapped when an operation needs a PIN and there is no callback to ask for it.
	ErrPINRequired = errors.New("PIN required")
	// ErrUVNotConfigured is wrapped when the user must be verified, and the key has neither a PIN nor a fingerprint.
	ErrUVNotConfigured = errors.New("the key has no PIN and no fingerprint to verify the user with")
	// ErrUnsupported is wrapped when the key cannot do what was asked.
	ErrUnsupported = errors.New("not supported by the key")
	// ErrInvalidResponse is wrapped when the key's answer does not fit the question.
	ErrInvalidResponse = errors.New("the key's answer does not fit the request")
	// ErrInvalidOptions is wrapped when the caller's options cannot be sent to any key.
	ErrInvalidOptions = errors.New("invalid options")
)

// PINError says that the key did not accept a PIN.
type PINError struct {
	Status     ctap2.Status // ErrPINInvalid, ErrPINAuthBlocked or ErrPINBlocked of package ctap2
	Retries    int          // wrong PINs that the key still accepts; -1 if it does not say
	PowerCycle bool         // the key must be unplugged and plugged in again before it accepts any PIN
}

// Error says what to do.
func (e *PINError) Error() string {
	switch {
	case e.Status == ctap2.ErrPINBlocked || e.Retries == 0:
		return "PIN blocked: only a reset of the key, which destroys its credentials, unblocks it"
	case e.PowerCycle:
		return "PIN locked: unplug the key and plug it in again" + e.retriesLeft()
	}
	return e.Status.Error() + e.retriesLeft()
}

func (e *PINError) retriesLeft() string {
	switch e.Retries {
	case -1:
		return ""
	case 1:
		return " (1 retry left)"
	}
	return fmt.Sprintf(" (%d retries left)", e.Retries)
}

// Unwrap returns the status.
func (e *PINError) Unwrap() error { return e.Status }

// Kind is what an error means to a caller who wants to act on it.
type Kind int

// The kinds of errors.
const (
	KindOther       Kind = iota
	KindNoDevice         // there is no such key, or none was plugged in in time
	KindPermission       // the key may not be opened; the error says what to do
	KindRemoved          // the key was unplugged
	KindBusy             // another program holds the key
	KindCancelled        // by the context or on the key
	KindTimeout          // the user did not act in time
	KindPINRequired      // there was nobody to ask for the PIN
	KindPINInvalid       // wrong PIN; see [PINError]
	KindPINLocked        // the key must be unplugged and plugged in again
	KindPINBlocked       // only a reset helps
	KindPINNotSet        // neither PIN nor fingerprint is set up
	KindPINPolicy        // the key wants another PIN: longer, or simply a new one
	KindUVFailed         // the fingerprint did not match, or is blocked
	KindExcluded         // the key already holds a credential of the exclude list
	KindNoMatch          // the key holds no matching credential
	KindUnsupported      // the key cannot do what was asked
	KindStoreFull        // no room for another resident credential, fingerprint or large blob
	KindProtocol         // the key broke the protocol, or fell silent
)

var kindNames = [...]string{
	"other", "no device", "permission", "removed", "busy", "cancelled", "timeout", "PIN required", "PIN invalid",
	"PIN locked", "PIN blocked", "PIN not set", "PIN policy", "user verification failed", "excluded", "no match",
	"unsupported", "store full", "protocol",
}

// String returns the kind in lower case: "no match".
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// errNoKey is why a ceremony's time was over if there was no key in the end, nor one that could not take part.
var errNoKey = errors.New("no security key is plugged in")

// kinds lists what an error may wrap, the more telling first.
var kinds = []struct {
	err  error
	kind Kind
}{
	{errNoKey, KindNoDevice}, // and the time was over
	{hid.ErrRemoved, KindRemoved},
	{hid.ErrBusy, KindBusy},
	{fs.ErrPermission, KindPermission},
	{fs.ErrNotExist, KindNoDevice},
	{context.Canceled, KindCancelled},
	{fs.ErrClosed, KindCancelled},
	{context.DeadlineExceeded, KindTimeout},
	{ErrPINRequired, KindPINRequired},
	{ErrUVNotConfigured, KindPINNotSet},
	{ErrUnsupported, KindUnsupported},
	{errors.ErrUnsupported, KindUnsupported},
	{ErrInvalidResponse, KindProtocol},
	{ctap2.ErrInvalidResponse, KindProtocol},
	{ctap2.ErrLargeBlobArray, KindProtocol},
	{ctap2.ErrLargeBlob, KindProtocol},
	{ctap1.ErrInvalidResponse, KindProtocol},
	{ctap1.ErrConditionsNotSatisfied, KindTimeout}, // nobody touched it
	{ctaphid.ErrProtocol, KindProtocol},
	{ctaphid.ErrTimeout, KindProtocol},
	{ctaphid.ErrChannelBusy, KindBusy},
	{ctaphid.ErrLockRequired, KindBusy},
	{ctap2.ErrPINLength, KindPINPolicy},
}

var statusKinds = map[ctap2.Status]Kind{
	ctap2.ErrChannelBusy:          KindBusy,
	ctap2.ErrLockRequired:         KindBusy,
	ctap2.ErrKeepaliveCancel:      KindCancelled,
	ctap2.ErrOperationDenied:      KindCancelled,
	ctap2.ErrUserActionTimeout:    KindTimeout,
	ctap2.ErrActionTimeout:        KindTimeout,
	ctap2.ErrUPRequired:           KindTimeout, // some keys say so at once after a wrong PIN: touch it, and try again
	ctap2.ErrPUATRequired:         KindPINRequired,
	ctap2.ErrPINInvalid:           KindPINInvalid,
	ctap2.ErrPINAuthBlocked:       KindPINLocked,
	ctap2.ErrPINBlocked:           KindPINBlocked,
	ctap2.ErrPINNotSet:            KindPINNotSet,
	ctap2.ErrPINPolicyViolation:   KindPINPolicy,
	ctap2.ErrUVInvalid:            KindUVFailed,
	ctap2.ErrUVBlocked:            KindUVFailed,
	ctap2.ErrCredentialExcluded:   KindExcluded,
	ctap2.ErrNoCredentials:        KindNoMatch,
	ctap2.ErrInvalidCredential:    KindNoMatch,
	ctap2.ErrInvalidCommand:       KindUnsupported,
	ctap2.ErrInvalidSubcommand:    KindUnsupported,
	ctap2.ErrUnsupportedExtension: KindUnsupported,
	ctap2.ErrUnsupportedAlgorithm: KindUnsupported,
	ctap2.ErrUnsupportedOption:    KindUnsupported,
	ctap2.ErrInvalidOption:        KindUnsupported,
	ctap2.ErrKeyStoreFull:         KindStoreFull,
	ctap2.ErrFPDatabaseFull:       KindStoreFull,
	ctap2.ErrLargeBlobStorageFull: KindStoreFull,
	ctap2.ErrIntegrityFailure:     KindProtocol,
	// The key does not give this permission for what the user showed it.
	ctap2.ErrUnauthorizedPermission: KindUnsupported,
}

// KindOf tells what err, from anywhere in this module, means to the caller.
func KindOf(err error) Kind {
	var pin *PINError
	if errors.As(err, &pin) {
		return pin.kind()
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	var status ctap2.Status
	if errors.As(err, &status) {
		return statusKinds[status]
	}
	return KindOther
}

func (e *PINError) kind() Kind {
	switch {
	case e.Status == ctap2.ErrPINBlocked || e.Retries == 0:
		return KindPINBlocked
	case e.PowerCycle:
		return KindPINLocked
	}
	return KindPINInvalid
}
