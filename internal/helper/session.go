package helper

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyfob-go/keyfob/hid"
)

// session is a conversation with one parent. Its methods run on the goroutine of Serve.
type session struct {
	*Server
	box      *outbox
	log      *slog.Logger
	keys     *roster
	requests int
	running  *request // nil: none
	ended    chan outcome
}

// outcome is how a request ends.
type outcome struct {
	result any
	err    error
}

// reply ends a request, or says what was wrong with a message.
type reply struct {
	Type   string   `json:"type"` // "result" or "error"
	ID     string   `json:"id,omitempty"`
	Of     string   `json:"of,omitempty"` // the type of a message whose error does not end the request
	Result any      `json:"result,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

// converse returns nil when the parent has closed its end.
func (x *session) converse(ctx context.Context, messages <-chan received) error {
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			x.handle(ctx, m)
		case done := <-x.ended:
			x.finish(done)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// abandon cancels what runs, and waits until the keys are free.
func (x *session) abandon() {
	if x.running != nil {
		x.running.cancel()
		x.finish(<-x.ended)
	}
}

func (x *session) finish(done outcome) {
	r := x.running
	x.running = nil
	r.cancel()
	r.log.Info("end of request", "seconds", time.Since(r.begin).Seconds(), "code", codeOrOK(done.err))
	x.reply(r.id, done.result, done.err)
}

func codeOrOK(err error) string {
	if err == nil {
		return "ok"
	}
	return failureOf(err).Code
}

func (x *session) reply(id string, result any, err error) {
	if err == nil {
		err = x.box.send(reply{Type: "result", ID: id, Result: result})
	}
	if err != nil {
		x.box.send(reply{Type: "error", ID: id, Error: failureOf(err)})
	}
}

// handle does what a message says.
func (x *session) handle(ctx context.Context, r received) {
	m, err := message{}, r.err
	if err == nil {
		m, err = parseMessage(r.b)
	}
	if err == nil {
		err = x.obey(ctx, &m)
	}
	if err != nil {
		x.refuse(&m, err)
	}
}

// refuse says what is wrong with a message, in a way that nobody takes for the end of the request that runs.
func (x *session) refuse(m *message, err error) {
	x.log.Warn("refused", "code", failureOf(err).Code)
	refused := reply{Type: "error", ID: m.id, Error: failureOf(err)}
	switch {
	case m.kind == kindAnswer, m.kind == kindCancel:
		refused.Of = m.kind
	case x.running != nil && x.running.id == m.id:
		refused.ID = ""
	}
	x.box.send(refused)
}

func (x *session) obey(ctx context.Context, m *message) error {
	switch m.kind {
	case kindCancel:
		if x.running != nil && x.running.id == m.id { // else its end and this have crossed
			x.running.cancel()
		}
		return nil
	case kindAnswer:
		if x.running == nil || x.running.id != m.id { // as well
			return nil
		}
		return x.running.answer(m.question, m.value)
	case kindList:
		keys, err := x.list()
		if err == nil {
			x.reply(m.id, keysReply{keysOf(keys)}, nil)
		}
		return err
	}
	return x.start(ctx, m)
}

type keysReply struct {
	Keys []key `json:"keys"`
}

func (x *session) list() ([]hid.Info, error) {
	if x.List == nil {
		return hid.List()
	}
	return x.List()
}

// start starts a request, if nothing is wrong with it.
func (x *session) start(ctx context.Context, m *message) error {
	if x.running != nil {
		return &refusal{name: operationError, code: codeRequestRunning, hint: "wait for its end, or cancel it",
			err: fmt.Errorf("request %q is still running", x.running.id)}
	}
	run, err := x.prepare(m)
	if err != nil {
		return err
	}
	x.requests++
	r := &request{id: m.id, box: x.box, log: x.log.With("request", x.requests), begin: time.Now()}
	r.log.Info(m.kind)
	ctx, r.cancel = context.WithCancel(ctx)
	x.running = r
	client := x.Client
	client.Watch, client.TopOrigin, client.UI = x.keys.watch, m.topOrigin, r.ui()
	go func() {
		result, err := run(ctx, &client)
		x.ended <- outcome{result, err}
	}()
	return nil
}
