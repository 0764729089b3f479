package authenticator

import (
	"context"
	"errors"
	"io/fs"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Advice is what follows from an error: for a web page, for a script, and for a person.
type Advice struct {
	DOMException string // the name of what a browser would have thrown: "NotAllowedError"
	ExitStatus   int    // of a command that ends so, as of keyfob's own; never 0
	Hint         string // what the user can do next, a sentence without a period
}

// The exit statuses.
const (
	exitError = iota + 1
	exitUsage
	exitNoDevice
	exitPermission
	exitTimeout
	exitCancelled
	exitPINRequired
	exitPINInvalid
	exitPINLocked
	exitNoMatch
	exitUnsupported
)

const (
	abortError        = "AbortError"
	constraintError   = "ConstraintError"
	invalidStateError = "InvalidStateError"
	notAllowedError   = "NotAllowedError"
	notSupportedError = "NotSupportedError"
	securityError     = "SecurityError"
	typeError         = "TypeError"
	unknownError      = "UnknownError"
)

var kindAdvice = [...]Advice{
	KindOther:       {unknownError, exitError, "repeat the request"},
	KindNoDevice:    {notAllowedError, exitNoDevice, "plug the key in"},
	KindPermission:  {notAllowedError, exitPermission, "get access to what the error names"},
	KindRemoved:     {notAllowedError, exitNoDevice, "plug the key in again and repeat the request"},
	KindBusy:        {notAllowedError, exitError, "let the other program that uses the key finish, and repeat the request"},
	KindCancelled:   {notAllowedError, exitCancelled, "repeat the request if that was a mistake"},
	KindTimeout:     {notAllowedError, exitTimeout, "repeat the request and touch the key while it blinks"},
	KindPINRequired: {notAllowedError, exitPINRequired, "repeat the request where it can ask for the PIN"},
	KindPINInvalid:  {notAllowedError, exitPINInvalid, "repeat the request with the right PIN"},
	KindPINLocked:   {notAllowedError, exitPINLocked, "unplug the key, plug it in again, and give the right PIN"},
	KindPINBlocked:  {notAllowedError, exitPINLocked, "only a reset makes the key usable again, and it destroys its credentials"},
	KindPINNotSet:   {constraintError, exitPINRequired, "set a PIN on the key"},
	KindPINPolicy:   {notAllowedError, exitPINInvalid, "choose a PIN that the key takes; an old one may have to be changed"},
	KindUVFailed:    {notAllowedError, exitPINInvalid, "try the finger again, or use the PIN"},
	KindExcluded:    {invalidStateError, exitNoMatch, "the key is registered already: sign in with it, or register another"},
	KindNoMatch:     {notAllowedError, exitNoMatch, "use another key, or register this one"},
	KindUnsupported: {constraintError, exitUnsupported, "use another key"},
	KindStoreFull:   {notAllowedError, exitError, "delete a passkey from the key, or use another key"},
	KindProtocol:    {unknownError, exitError, "unplug the key, plug it in again, and repeat the request"},
}

// AdviceOn tells what follows from err, which must not be nil.
func AdviceOn(err error) Advice {
	advice := kindAdvice[KindOf(err)]
	switch {
	case errors.Is(err, ErrInvalidOptions) && errors.Is(err, errors.ErrUnsupported): // extensions that make no sense there
		return Advice{notSupportedError, exitUsage, "correct what the error names"}
	case errors.Is(err, ErrInvalidOptions):
		return Advice{typeError, exitUsage, "correct what the error names"}
	case errors.Is(err, webauthn.ErrSecurity):
		return Advice{securityError, exitUsage, "the origin must be that of the page, and may use only RP IDs of its own domain"}
	case errors.Is(err, context.Canceled), errors.Is(err, fs.ErrClosed): // by the program, not on the key
		advice.DOMException = abortError
	case errors.Is(err, ctap2.ErrUnsupportedAlgorithm):
		advice.DOMException = notSupportedError
	}
	return advice
}
