package helper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/webauthn"
)

// failure is the member "error" of a message.
type failure struct {
	Name    string `json:"name"` // of a DOMException, or TypeError
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Retries *int   `json:"retries,omitempty"`
}

// The codes that are not a [authenticator.Kind].
const (
	codeBadMessage     = "bad-message"
	codeInternal       = "internal"
	codeInvalidOptions = "invalid-options"
	codeOriginRefused  = "origin-refused"
	codeRequestRunning = "request-running"
	codeSecurity       = "security"
	codeTooLarge       = "too-large"
)

const (
	notAllowedError   = "NotAllowedError"
	notSupportedError = "NotSupportedError"
	operationError    = "OperationError"
	securityError     = "SecurityError"
	typeError         = "TypeError"
	unknownError      = "UnknownError"
)

// refusal is an error of the protocol's own: no key was asked.
type refusal struct {
	name, code, hint string
	err              error
}

func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.err }

// badMessage refuses a message that is not as the protocol says.
func badMessage(format string, args ...any) error {
	return &refusal{name: typeError, code: codeBadMessage, hint: "correct what the error names", err: fmt.Errorf(format, args...)}
}

// invalidOptions refuses options of WebAuthn, in the way that browsers do.
func invalidOptions(err error) error {
	r := &refusal{name: typeError, code: codeInvalidOptions, hint: "correct what the error names", err: err}
	if errors.Is(err, errors.ErrUnsupported) {
		r.name, r.code = notSupportedError, kindCode(authenticator.KindUnsupported)
	}
	return r
}

// errDeclined ends a ceremony whose user did not want to answer a question.
var errDeclined = &refusal{name: notAllowedError, code: kindCode(authenticator.KindCancelled),
	hint: "repeat the request if that was a mistake", err: errors.New("the question was declined")}

// failureOf says to the parent what went wrong.
func failureOf(err error) *failure {
	f := &failure{Message: err.Error()}
	var own *refusal
	if errors.As(err, &own) {
		f.Name, f.Code, f.Hint = own.name, own.code, own.hint
		return f
	}
	advice := authenticator.AdviceOn(err)
	f.Name, f.Code, f.Hint = advice.DOMException, codeOf(err), advice.Hint
	var pin *authenticator.PINError
	if errors.As(err, &pin) && pin.Retries >= 0 {
		f.Retries = &pin.Retries
	}
	return f
}

func codeOf(err error) string {
	switch {
	case errors.Is(err, webauthn.ErrSecurity):
		return codeSecurity
	case errors.Is(err, authenticator.ErrInvalidOptions):
		return codeInvalidOptions
	}
	return kindCode(authenticator.KindOf(err))
}

// kindCode is the kind in the form of a code: "no-match".
func kindCode(k authenticator.Kind) string {
	return strings.ReplaceAll(strings.ToLower(k.String()), " ", "-")
}
