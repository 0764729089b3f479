package helper

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// One process serves several requests, over lines as over frames, and what it makes is what a server accepts.
func TestParentRegistersAndSignsIn(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]Framing{"lines": Lines, "frames": Frames} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParent(t, &Server{Version: "1.2.3"}, framing)
			touch, presence := patientFinger()
			p.plug(virtual.Config{UserPresence: presence})
			registered := p.register("r1", touch)
			p.say(get("r2", func(options object) {
				options["allowCredentials"] = []object{{"type": "public-key", "id": base64url(registered.Credential.ID)}}
			}))
			require.Equal(t, "authenticate", p.await("event", "touch")["reason"])
			touch <- struct{}{}
			p.await("event", "touched")
			var signed webauthn.AuthenticationResponse
			remarshal(t, p.result(), &signed)
			_, err := webauthn.VerifyAssertion(&signed, &registered.Credential, &webauthn.AssertionOptions{Ceremony: expected(t)})
			require.NoError(t, err)
			require.NoError(t, p.hangUp())
		})
	}
}

func (p *parent) register(id string, touch chan<- struct{}) *webauthn.Registration {
	p.t.Helper()
	p.say(create(id))
	keys := p.await("event", "keys")
	require.Equal(p.t, "added", keys["change"])
	require.Len(p.t, keys["keys"], 1)
	require.Equal(p.t, keys["key"], keys["keys"].([]any)[0])
	require.Equal(p.t, "register", p.await("event", "touch")["reason"])
	touch <- struct{}{}
	p.await("event", "touched")
	var response webauthn.RegistrationResponse
	remarshal(p.t, p.result(), &response)
	registered, err := webauthn.VerifyRegistration(&response, &webauthn.RegistrationOptions{Ceremony: expected(p.t)})
	require.NoError(p.t, err)
	return registered
}

func expected(t *testing.T) webauthn.Ceremony {
	b, err := base64.RawURLEncoding.DecodeString(challenge)
	require.NoError(t, err)
	return webauthn.Ceremony{Challenge: b, RPID: "example.org", Origins: []string{origin}}
}

func remarshal(t *testing.T, from, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, to))
}

func TestPINIsAskedForUntilItIsRight(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	setPIN(t, p.plug(virtual.Config{}), "pin 1234")
	p.say(create("c", needsUV))
	asked := p.await("type", "question")
	require.Equal(t, []any{"c", "pin", "needed", 8.0, 4.0},
		[]any{asked["id"], asked["ask"], asked["reason"], asked["retries"], asked["minLength"]})
	require.Contains(t, asked["key"], "path")
	p.answer("c", asked, "wrong PIN")
	again := p.await("type", "question")
	require.Equal(t, []any{"invalid", 7.0}, []any{again["reason"], again["retries"]})
	require.NotEqual(t, asked["question"], again["question"])
	p.answer("c", asked, "late") // nobody waits for it
	p.answer("c", again, 1234)   // a mistake of the parent's, who may correct it
	refused := p.read()          // not another question
	require.Equal(t, []any{"c", "answer"}, []any{refused["id"], refused["of"]})
	require.Contains(t, refused["error"].(object)["message"], "value: not a string")
	p.answer("c", again, "pin 1234")
	for m := p.read(); m["type"] != "result"; m = p.read() {
		require.Equal(t, "event", m["type"], "another question: %v", m)
	}
	p.answer("c", again, "later still")
	require.NoError(t, p.hangUp())
}

// Half of a surrogate pair would become another character, and with it a wrong PIN.
func TestPINThatIsNoTextCostsNoRetry(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	setPIN(t, p.plug(virtual.Config{}), "pin 1234")
	p.say(create("c", needsUV))
	p.await("type", "question")
	p.write(`{"type":"answer","id":"c","question":1,"value":"pin\ud800 1234"}`)
	require.Contains(t, p.refused("c")["message"], "value: not text")
	p.write(`{"type":"answer","id":"c","question":1,"value":"pin 1234"}`)
	p.result()
}

func TestBlockedPINTellsRetries(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	setPIN(t, p.plug(virtual.Config{}), "pin 1234")
	p.say(create("c", needsUV))
	for _, wrong := range []string{"wrong 1", "wrong 2", "wrong 3"} {
		p.answer("c", p.await("type", "question"), wrong)
	}
	failed := p.refused("c")
	require.Equal(t, []any{"NotAllowedError", "pin-locked", 5.0}, []any{failed["name"], failed["code"], failed["retries"]})
	require.NotEmpty(t, failed["hint"])
}

func TestNewPINIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.plug(virtual.Config{})
	p.say(create("c", needsUV))
	asked := p.await("type", "question")
	require.Equal(t, []any{"newPin", "notSet", 4.0, 63.0},
		[]any{asked["ask"], asked["reason"], asked["minLength"], asked["maxLength"]})
	p.answer("c", asked, "123")
	asked = p.await("type", "question")
	require.Equal(t, "tooShort", asked["reason"])
	p.answer("c", asked, "1234")
	p.result()
}

func TestDeclinedQuestionEndsTheRequest(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	setPIN(t, p.plug(virtual.Config{}), "pin 1234")
	p.say(create("c", needsUV))
	p.answer("c", p.await("type", "question"), nil)
	failed := p.refused("c")
	require.Equal(t, []any{"NotAllowedError", "cancelled"}, []any{failed["name"], failed["code"]})
}

func TestAccountIsChosen(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.plug(virtual.Config{})
	for _, name := range []string{"alice", "bob"} {
		p.say(create("c", resident, func(options object) {
			options["user"] = object{"id": base64url(name), "name": name, "displayName": strings.ToUpper(name)}
		}))
		p.result()
	}
	p.say(get("g"))
	asked := p.await("type", "question")
	require.Equal(t, "account", asked["ask"])
	require.Equal(t, "example.org", asked["rpId"])
	require.Len(t, asked["accounts"], 2)
	p.answer("g", asked, 2)
	require.Contains(t, p.refused("g")["message"], "value: 2, want 0 to 1")
	p.answer("g", asked, 1) // the newest comes first
	handle := p.result()["response"].(object)["userHandle"]
	require.Equal(t, base64.RawURLEncoding.EncodeToString([]byte("alice")), handle)
}

func TestDeriveGivesTheSameSecrets(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.plug(virtual.Config{})
	p.say(create("c", func(options object) { options["extensions"] = object{"hmacCreateSecret": true} }))
	id := p.result()["rawId"]
	derive := object{
		"type": "derive", "id": "d", "rpId": "example.org", "userVerification": "discouraged",
		"credentials": []object{{"id": id, "salts": []base64url{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}}},
	}
	p.say(derive)
	first := p.result()
	require.Equal(t, id, first["credentialId"])
	require.Len(t, first["secrets"], 2)
	derive["origin"] = origin
	p.say(derive)
	require.Equal(t, first, p.result())
	derive["origin"] = "https://elsewhere.net"
	p.say(derive)
	require.Equal(t, "security", p.refused("d")["code"])
}

func TestKeyThatComesLaterTakesPart(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.say(create("c"))
	p.await("event", "insert")
	p.plug(virtual.Config{})
	p.await("event", "keys")
	p.result()
}

func TestSeveralKeysAreChosenByTouch(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	_, never := patientFinger()
	touch, presence := patientFinger()
	p.plug(virtual.Config{UserPresence: never})
	p.plug(virtual.Config{UserPresence: presence})
	p.say(create("c"))
	p.await("event", "select")
	touch <- struct{}{}
	p.await("event", "touched")
	p.result()
}

func TestListShowsKeys(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.say(object{"type": "list", "id": "l"})
	require.Equal(t, object{"keys": []any{}}, p.result())
	p.plug(virtual.Config{})
	p.say(object{"type": "list", "id": "l"})
	keys := p.result()["keys"].([]any)
	require.Len(t, keys, 1)
	require.NotEmpty(t, keys[0].(object)["path"])
}

func TestCancelFreesTheKey(t *testing.T) {
	t.Parallel()
	p, touch := newWaitingParent(t)
	p.say(object{"type": "cancel", "id": "c1"})
	failed := p.refused("c1")
	require.Equal(t, []any{"AbortError", "cancelled"}, []any{failed["name"], failed["code"]})
	p.say(object{"type": "cancel", "id": "c1"}) // too late, which is no mistake
	p.say(create("c2"))
	p.await("event", "touch")
	touch <- struct{}{}
	p.result()
}

func TestCancelOfAnotherRequestMeansNothing(t *testing.T) {
	t.Parallel()
	p, touch := newWaitingParent(t)
	p.say(object{"type": "cancel", "id": "another"})
	p.say(object{"type": "list", "id": "l"})
	p.result()
	touch <- struct{}{}
	require.Equal(t, "c1", p.await("type", "result")["id"])
}

func TestSecondRequestIsRefusedAndTheFirstGoesOn(t *testing.T) {
	t.Parallel()
	p, touch := newWaitingParent(t)
	p.say(create("c2"))
	failed := p.refused("c2")
	require.Equal(t, []any{"OperationError", "request-running"}, []any{failed["name"], failed["code"]})
	require.Contains(t, failed["message"], `"c1"`)
	p.say(create("c1")) // whose error must not look like the end of the first
	require.Equal(t, "request-running", p.refused(nil)["code"])
	p.say(object{"type": "list", "id": "l"}) // disturbs nothing
	p.result()
	touch <- struct{}{}
	require.Equal(t, "c1", p.await("type", "result")["id"])
}

func TestOnlyListedOriginsMayAsk(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{Origins: []string{"https://app.example.org", origin}}, Lines)
	p.plug(virtual.Config{})
	for _, stranger := range []string{"https://example.org", "https://login.example.org:444", "http://localhost"} {
		request := create("c")
		request["origin"] = stranger
		p.say(request)
		failed := p.refused("c")
		require.Equal(t, []any{"SecurityError", "origin-refused"}, []any{failed["name"], failed["code"]})
		require.Contains(t, failed["message"], stranger)
	}
	p.say(object{
		"type": "derive", "id": "d", "rpId": "example.org", "userVerification": "required",
		"credentials": []object{{"id": "AA", "salts": []base64url{make([]byte, 32)}}},
	})
	require.Equal(t, "SecurityError", p.refused("d")["name"])
	request := create("c")
	request["origin"] = "HTTPS://Login.Example.org:443"
	p.say(request)
	p.result()
}

func TestTopOriginMakesCrossOriginClientData(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	p.plug(virtual.Config{})
	request := create("c")
	for _, top := range []string{"https://portal.example.net", request["origin"].(string)} { // the second: A in B in A
		request["topOrigin"] = top
		p.say(request)
		encoded, err := base64.RawURLEncoding.DecodeString(p.result()["response"].(object)["clientDataJSON"].(string))
		require.NoError(t, err)
		data, err := webauthn.ParseClientData(encoded)
		require.NoError(t, err)
		require.True(t, data.CrossOrigin)
		require.Equal(t, top, data.TopOrigin)
	}
}

// A parent that went away leaves no key blinking.
func TestEndOfInputFreesTheKey(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	freed := make(chan struct{})
	p.plug(virtual.Config{UserPresence: untilFreed(freed)})
	p.say(create("c"))
	p.await("event", "touch")
	require.NoError(t, p.hangUp())
	<-freed
}

func untilFreed(freed chan<- struct{}) func(context.Context, virtual.Prompt) error {
	return func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		close(freed)
		return ctx.Err()
	}
}

func TestEndOfInputWithdrawsTheQuestion(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	setPIN(t, p.plug(virtual.Config{}), "pin 1234")
	p.say(create("c", needsUV))
	p.await("type", "question")
	require.NoError(t, p.hangUp())
}

func TestClosedOutputFreesTheKey(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	freed := make(chan struct{})
	p.plug(virtual.Config{UserPresence: untilFreed(freed)})
	p.say(create("c"))
	p.await("event", "touch")
	require.NoError(t, p.out.Close())
	p.say(object{"type": "list", "id": "l"}) // the answer finds nobody
	require.ErrorIs(t, <-p.ended, io.ErrClosedPipe)
	<-freed
}

func TestParentThatDoesNotReadLosesTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParent(t, &Server{}, Lines)
		_, never := patientFinger()
		key := p.plug(virtual.Config{UserPresence: never})
		p.say(create("c"))
		require.ErrorIs(t, <-p.ended, errStalled)
		p.out.Close()
		p.in.Close()
		key.Close()
	})
}

func TestDoneContextFreesTheKey(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := startParent(t, ctx, &Server{}, Lines)
	freed := make(chan struct{})
	p.plug(virtual.Config{UserPresence: untilFreed(freed)})
	p.await("type", "hello")
	p.say(create("c"))
	p.await("event", "touch")
	cancel()
	require.Equal(t, "AbortError", p.refused("c")["name"])
	require.ErrorIs(t, <-p.ended, context.Canceled)
	<-freed
}

// The log says what happened, but neither who nor where.
func TestLogNamesNobody(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := newParent(t, &Server{Log: slog.New(slog.NewJSONHandler(&log, nil))}, Lines)
	touch, presence := patientFinger()
	setPIN(t, p.plug(virtual.Config{UserPresence: presence}), "pin 1234")
	p.say(create("the-id", needsUV))
	p.answer("the-id", p.await("type", "question"), "pin 12345")
	p.answer("the-id", p.await("type", "question"), "pin 1234")
	p.await("event", "touch")
	touch <- struct{}{}
	id := p.result()["rawId"].(string)
	p.say(get("the-id", func(o object) { o["rpId"] = "elsewhere.net" }))
	p.refused("the-id")
	require.NoError(t, p.hangUp())
	for _, word := range []string{`"create"`, `"touch"`, `"pin"`, `"invalid"`, `"ok"`, `"security"`} {
		require.Contains(t, log.String(), word)
	}
	for _, word := range []string{"pin 1234", "example", "elsewhere", "alice", "Alice", challenge, id, "the-id"} {
		require.NotContains(t, log.String(), word)
	}
}

func TestFailureOfEveryKindHasACode(t *testing.T) {
	t.Parallel()
	require.Equal(t, "no-match", failureOf(ctap2.ErrNoCredentials).Code)
	require.Equal(t, "pin-invalid", failureOf(&authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: 3}).Code)
	require.Equal(t, 3, *failureOf(&authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: 3}).Retries)
	require.Nil(t, failureOf(&authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: -1}).Retries)
	require.Equal(t, "TypeError", failureOf(authenticator.ErrInvalidOptions).Name)
}
