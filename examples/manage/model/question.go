package model

import (
	"context"
	"errors"
)

// Question is what the user must answer before a task goes on. Desk.Answer answers it, Desk.Decline ends the task.
type Question struct {
	Kind  QuestionKind
	Title string // "PIN of Yubico YubiKey"

	// Complaint says what was wrong with the last answer. Empty: nothing.
	Complaint string
	Detail    string // what there is to know; may be empty

	Initial string // of AskText: what is there to be changed
	Yes     string // of Confirm: the word for going on, "Delete"
}

// QuestionKind is how a question is answered.
type QuestionKind int

// The kinds.
const (
	Confirm   QuestionKind = iota + 1 // with anything, or not at all
	AskText                           // with a line of text
	AskSecret                         // with a line that nobody must see
)

// errDeclined ends a task that the user does not want any more.
var errDeclined = errors.New("declined")

// ask asks the user, and waits. What it returns is the caller's.
func (d *Desk) ask(ctx context.Context, q *Question) ([]byte, error) {
	reply := make(chan []byte, 1)
	d.update(func(s *State) { s.Question, d.reply = q, reply })
	defer d.update(func(s *State) { s.Question, d.reply = nil, nil })
	select {
	case answer := <-reply:
		if answer == nil {
			return nil, errors.Join(errDeclined, context.Canceled)
		}
		return answer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// confirm asks the user whether that is meant, and returns nil if so.
func (d *Desk) confirm(ctx context.Context, title, detail, yes string) error {
	_, err := d.ask(ctx, &Question{Kind: Confirm, Title: title, Detail: detail, Yes: yes})
	return err
}

// askText asks for a line of text.
func (d *Desk) askText(ctx context.Context, q Question) (string, error) {
	q.Kind = AskText
	answer, err := d.ask(ctx, &q)
	return string(answer), err
}

// Answer answers a question of the State, if it still stands. The Desk takes the answer over, and clears it if it is a
// secret.
func (d *Desk) Answer(q *Question, answer []byte) {
	if answer == nil {
		answer = []byte{}
	}
	d.settle(q, answer)
}

// Decline ends the task that asks.
func (d *Desk) Decline(q *Question) { d.settle(q, nil) }

func (d *Desk) settle(q *Question, answer []byte) {
	d.update(func(s *State) {
		if s.Question == q && d.reply != nil {
			d.reply <- answer // has room for the one answer that there is
			s.Question, d.reply = nil, nil
		} else {
			clear(answer) // too late; it may be a PIN
		}
	})
}
