// Package api is what the client and the server say to each other: JSON over HTTP, and connections that HTTP hands over.
package api

import (
	"encoding/json"
	"time"
)

// The limits that both sides keep.
const (
	MaxName = 128      // characters in the name of a key
	MaxBody = 64 << 10 // bytes in the body of a request
)

// The paths, all of which want the user's token: "Authorization: Bearer TOKEN".
const (
	BeginRegistration  = "POST /v1/keys/begin"    // NewKey to Ceremony
	FinishRegistration = "POST /v1/keys"          // Answer to Key
	ListKeys           = "GET /v1/keys"           // to []Key
	DeleteKey          = "DELETE /v1/keys"        // ?name=
	BeginConnection    = "POST /v1/connect/begin" // Target to Ceremony
	FinishConnection   = "POST /v1/connect"       // Answer to Token

	// Connect wants a Token in the header TokenHeader and "Upgrade: tcp". After status 101 the connection is the target's.
	Connect     = "GET /v1/connect"
	TokenHeader = "Connection-Token"
	Protocol    = "tcp"
)

// NewKey asks for a ceremony that registers a key.
type NewKey struct {
	Name string `json:"name"`
}

// Target asks for a ceremony before a connection to the target of this name.
type Target struct {
	Target string `json:"target"`
}

// Ceremony waits, for five minutes, for the answer of a key.
type Ceremony struct {
	ID      string          `json:"ceremony"`
	Options json.RawMessage `json:"options"` // of WebAuthn, as navigator.credentials takes them
}

// Answer is what the key made of a ceremony's options.
type Answer struct {
	ID       string          `json:"ceremony"`
	Response json.RawMessage `json:"response"` // of WebAuthn
}

// Key is a registered key.
type Key struct {
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

// Token opens connections to one target for one user, until it expires.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Once    bool      `json:"once,omitempty"` // it opens one connection only
}

// Error is what the server says instead of a result.
type Error struct {
	Status  int    `json:"-"` // of HTTP
	Message string `json:"error"`
}

func (e *Error) Error() string { return e.Message }
