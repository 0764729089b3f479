package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/keyfob-go/keyfob/examples/manage/model"
)

// editor is the line that the user types to answer a question.
type editor struct {
	question *model.Question
	text     []byte // UTF-8
}

func newEditor(q *model.Question) editor {
	if q == nil {
		return editor{}
	}
	return editor{question: q, text: []byte(q.Initial)}
}

// take gives the line away.
func (e *editor) take() []byte {
	text := e.text
	e.text = nil
	return text
}

// drop forgets the line, which may be half a PIN.
func (e *editor) drop() {
	clear(e.text)
	e.text = nil
}

// insert appends what can be typed. What outgrows its slice is cleared, for it may be a PIN.
func (e *editor) insert(s string) {
	grown := slices.Concat(e.text, []byte(strings.Map(typeable, s)))
	clear(e.text)
	e.text = grown
}

func typeable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

func (e *editor) press(k tea.KeyPressMsg) {
	switch k.String() {
	case "backspace":
		e.chop()
	case "ctrl+u":
		e.drop()
	default:
		e.insert(k.Text)
	}
}

// chop takes the last character away.
func (e *editor) chop() {
	runes := []rune(string(e.text))
	if len(runes) > 0 {
		last := len(string(runes[len(runes)-1]))
		clear(e.text[len(e.text)-last:])
		e.text = e.text[:len(e.text)-last]
	}
}

// shown is the line as others may see it.
func (e *editor) shown() string {
	if e.question.Kind == model.AskSecret {
		return strings.Repeat("•", len([]rune(string(e.text))))
	}
	return string(e.text)
}
