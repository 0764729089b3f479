package helper

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// request is one that runs.
type request struct {
	id     string
	box    *outbox
	log    *slog.Logger
	begin  time.Time
	cancel context.CancelFunc
	keys   []hid.Info // that take part; only notify uses it, which runs one at a time

	mu      sync.Mutex // guards the fields below
	asked   int        // questions so far
	pending *question  // nil: the parent owes no answer
}

// question waits for its answer.
type question struct {
	take     func(json.RawMessage) error // what is wrong with the answer
	answered chan error                  // gets nil, or that the user does not want to answer
}

func (r *request) ui() *authenticator.UI {
	return &authenticator.UI{PIN: r.askPIN, NewPIN: r.askNewPIN, ChooseAccount: r.askAccount, Notify: r.notify}
}

// ask sends a question and waits for the answer.
func (r *request) ask(ctx context.Context, kind string, q questionMessage, take func(json.RawMessage) error) error {
	waiting := &question{take, make(chan error, 1)}
	r.mu.Lock()
	r.asked++
	r.pending = waiting
	q.Type, q.ID, q.Question, q.Ask = "question", r.id, r.asked, kind
	r.mu.Unlock()
	defer r.withdraw()
	r.log.Info("question", "ask", kind, "reason", q.Reason)
	if err := r.box.send(q); err != nil {
		return err
	}
	select {
	case err := <-waiting.answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *request) withdraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = nil
}

// answer gives the parent's answer to whoever asked. One to an earlier question is late and means nothing.
func (r *request) answer(number int, value json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case number < 1 || number > r.asked:
		return badMessage("question: %d was not asked", number)
	case number < r.asked || r.pending == nil:
		return nil
	}
	waiting := r.pending
	if string(value) == "null" {
		r.pending = nil
		waiting.answered <- errDeclined
		return nil
	}
	if err := waiting.take(value); err != nil {
		return badMessage("value: %w", err)
	}
	r.pending = nil
	waiting.answered <- nil
	return nil
}

func takePIN(to *[]byte) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		var pin string
		if err := text(&pin, value); err != nil {
			return err
		}
		if strings.ContainsRune(pin, utf8.RuneError) { // half of a surrogate pair; a wrong PIN costs a retry
			return errors.New("not text")
		}
		*to = []byte(pin)
		return nil
	}
}
