package authenticator

import "github.com/keyfob-go/keyfob/hid"

// Event is something that the user should be told.
type Event struct {
	Kind  EventKind
	Key   hid.Info    // empty for EventInsert and EventSelect, which are about no single key
	Touch TouchReason // of EventTouch and EventProcessing: why the key wants, or wanted, to be touched
	Err   error       // of EventDropped: why

	UVRetries int // of EventUVFailed: how often the key may still fail before it wants the PIN; -1 if it does not say

	Done, Total int // of EventProgress: so many credentials, or bytes; Done is never more than Total
}

// EventKind is the kind of an event.
type EventKind int

// The kinds.
const (
	// EventTouch: the key waits for a touch, from this moment on. It comes exactly when the key says so.
	EventTouch EventKind = iota + 1
	// EventProcessing: the key waits no longer and is busy.
	EventProcessing
	// EventUVFailed: the key did not recognize the user. It tries again, as often as it suggests, and then wants the PIN.
	EventUVFailed
	// EventProgress: the key is that far with what may take it seconds: to list its credentials, or to store large blobs.
	// Ceremonies of a [Client] do not tell.
	EventProgress

	// The others come only from the ceremonies of a [Client].

	// EventInsert: there is no key that can be used. The user should plug one in.
	EventInsert
	// EventAdded: the key takes part.
	EventAdded
	// EventRemoved: the key was pulled.
	EventRemoved
	// EventDropped: the key takes part no longer, or cannot.
	EventDropped
	// EventSelect: several keys take part. The user should touch one of them.
	EventSelect
	// EventTouched: the user has touched the key, which decides the ceremony.
	EventTouched
)

// passes says that the event tells a state of the key which the next such event replaces.
func (k EventKind) passes() bool { return k == EventTouch || k == EventProcessing }

var eventNames = [...]string{
	"unknown", "touch", "processing", "verification failed", "progress", "insert", "added", "removed", "dropped", "select", "touched",
}

// String returns the kind in lower case.
func (k EventKind) String() string {
	if k < 0 || int(k) >= len(eventNames) {
		k = 0
	}
	return eventNames[k]
}

// TouchReason is what a touch will mean.
type TouchReason int

// The reasons.
const (
	TouchToRegister     TouchReason = iota + 1 // create a credential
	TouchToAuthenticate                        // use a credential
	TouchToVerify                              // prove who you are, by a fingerprint or a PIN on the key itself
	TouchToSelect                              // choose this key
	TouchToReset                               // destroy everything on the key
	TouchToEnroll                              // teach the key a finger
)

// String returns what the touch does: "register", "reset".
func (r TouchReason) String() string {
	switch r {
	case TouchToRegister:
		return "register"
	case TouchToAuthenticate:
		return "authenticate"
	case TouchToVerify:
		return "verify"
	case TouchToSelect:
		return "select"
	case TouchToReset:
		return "reset"
	case TouchToEnroll:
		return "enroll"
	}
	return "unknown"
}
