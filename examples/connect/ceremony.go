package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/webauthn"
)

// A toucher has the user touch a security key, for what a server asks. This file is all that knows of keyfob.
type toucher struct {
	client authenticator.Client
	origin string    // of the server, as this program called it: no server can ask for another's credentials
	stderr io.Writer // where the user is told what to do, since standard output is the connection

	readPIN func(ctx context.Context, question string) ([]byte, error)
}

func newToucher(origin string, stderr io.Writer) *toucher {
	t := &toucher{origin: origin, stderr: stderr, readPIN: readPIN}
	t.client.UI = &authenticator.UI{PIN: t.askPIN, Notify: t.tell}
	return t
}

// register returns the answer to the options of a registration.
func (t *toucher) register(ctx context.Context, options json.RawMessage) (any, error) {
	var o webauthn.CreationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	return t.client.Register(ctx, t.origin, &o)
}

// authenticate returns the answer to the options of an authentication.
func (t *toucher) authenticate(ctx context.Context, options json.RawMessage) (any, error) {
	var o webauthn.RequestOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	return t.client.Authenticate(ctx, t.origin, &o)
}

// tell says what happens at the moment when it does: the key blinks now.
func (t *toucher) tell(e authenticator.Event) {
	switch e.Kind {
	case authenticator.EventInsert:
		t.say("Plug in a security key.")
	case authenticator.EventSelect:
		t.say("Touch the security key that you want to use.")
	case authenticator.EventTouch:
		t.say("Touch %v to %v.", e.Key, e.Touch)
	case authenticator.EventUVFailed:
		t.say("%v did not recognize you.", e.Key)
	case authenticator.EventDropped:
		t.say("%v cannot be used: %v.", e.Key, e.Err)
	}
}

func (t *toucher) say(format string, args ...any) { fmt.Fprintf(t.stderr, format+"\n", args...) }

// askPIN is called again after a wrong PIN, until the user gives up or the key does.
func (t *toucher) askPIN(ctx context.Context, request *authenticator.PINRequest) ([]byte, error) {
	switch request.Reason {
	case authenticator.PINInvalid:
		t.say("Wrong PIN.")
	case authenticator.PINRepeated:
		t.say("The key has rejected that PIN already, so it was not asked again.")
	case authenticator.PINTooShort:
		t.say("A PIN has %d characters or more.", request.MinLength)
	case authenticator.PINTooLong:
		t.say("A PIN is text of 63 bytes at most.")
	}
	question := fmt.Sprintf("PIN of %v", request.Key)
	if left, err := request.Retries(ctx); err == nil {
		question += fmt.Sprintf(" (tries left: %d)", left)
	}
	return t.readPIN(ctx, question+": ")
}

// errKey is wrapped by errors that are about the key and its user, not about the server.
var errKey = errors.New("security key")

// tries is how often the user may fail in a way that another try can mend.
const tries = 3

// mends says what to do then. The PIN is not among it: askPIN has asked as often as the key allows.
var mends = map[authenticator.Kind]string{
	authenticator.KindTimeout:  "touch the key while it blinks",
	authenticator.KindNoDevice: "plug a key in",
	authenticator.KindRemoved:  "plug the key in again",
	authenticator.KindNoMatch:  "use a key that is registered",
	authenticator.KindExcluded: "use a key that is not registered yet",
}

// answer has the user touch a key for the server, in a new ceremony for each try.
func (t *toucher) answer(
	ctx context.Context, begin func() (*api.Ceremony, error), touch func(context.Context, json.RawMessage) (any, error),
) (*api.Answer, error) {
	for try := 1; ; try++ {
		ceremony, err := begin()
		if err != nil {
			return nil, err
		}
		response, err := touch(ctx, ceremony.Options)
		if err == nil {
			encoded, err := json.Marshal(response)
			return &api.Answer{ID: ceremony.ID, Response: encoded}, err
		}
		mend, can := mends[authenticator.KindOf(err)]
		if !can || try == tries || ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", errKey, err)
		}
		t.say("That did not work (%v): %s.", err, mend)
	}
}
