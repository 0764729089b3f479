// Package tui shows package model's Desk in a terminal.
package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"github.com/keyfob-go/keyfob/examples/manage/model"
	"github.com/keyfob-go/keyfob/hid"
)

// Run shows the desk until the user quits or ctx is done, and runs it meanwhile. It returns when no key is in use any more.
func Run(ctx context.Context, desk *model.Desk, options ...tea.ProgramOption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	screen := tea.NewProgram(&program{desk: desk}, append(options, tea.WithContext(ctx))...)
	ended := make(chan error, 1)
	go func() {
		err := desk.Run(ctx)
		screen.Quit()
		ended <- err
	}()
	_, err := screen.Run()
	cancel()
	if broken := <-ended; !errors.Is(broken, context.Canceled) {
		return broken
	}
	return err
}

// program is what is on the screen. It implements tea.Model.
type program struct {
	desk  *model.Desk
	state model.State

	width, height int
	place         place
	selected      [atAbout + 1]int // row, at each place
	key           hid.Info         // that is selected among the keys
	editor        editor
}

// changed is the message that the desk's State has changed.
type changed struct{}

// Init implements tea.Model.
func (p *program) Init() tea.Cmd { return p.await }

func (p *program) await() tea.Msg {
	if _, open := <-p.desk.Changes(); !open {
		return tea.Quit()
	}
	return changed{}
}

// Update implements tea.Model.
func (p *program) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.width, p.height = msg.Width, msg.Height
	case changed:
		p.follow(p.desk.State())
		return p, p.await
	case tea.PasteMsg:
		if p.asksForText() {
			p.editor.insert(msg.Content)
		}
	case tea.KeyPressMsg:
		return p, p.press(msg)
	}
	return p, nil
}

// follow takes a new State, and goes where it still makes sense to be.
func (p *program) follow(s model.State) {
	p.state = s
	if s.Question != p.editor.question {
		p.editor.drop()
		p.editor = newEditor(s.Question)
	}
	switch {
	case s.Open == nil:
		p.place = atKeys
	case p.place == atKeys:
		p.place, p.selected = atKey, [atAbout + 1]int{}
	}
	for i, k := range s.Keys {
		if k.Path == p.key.Path {
			p.selected[atKeys] = i
		}
	}
	p.move(0)
}

// move selects another row.
func (p *program) move(by int) {
	last := len(p.page().rows) - 1
	p.selected[p.place] = max(0, min(last, p.selected[p.place]+by))
	if p.place == atKeys && last >= 0 {
		p.key = p.state.Keys[p.selected[atKeys]]
	}
}

func (p *program) asksForText() bool {
	q := p.editor.question
	return q != nil && q.Kind != model.Confirm
}

func (p *program) press(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case k.String() == "ctrl+c":
		return tea.Quit
	case p.asksForText():
		p.answer(k)
	case p.editor.question != nil:
		p.decide(k.String())
	case p.state.Task != nil:
		if !p.navigate(k.String()) && k.String() == "esc" {
			p.desk.Cancel()
		}
	case k.String() == "q":
		return tea.Quit
	default:
		p.command(k.String())
	}
	return nil
}

func (p *program) answer(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		p.desk.Answer(p.editor.question, p.editor.take())
	case "esc":
		p.editor.drop()
		p.desk.Decline(p.editor.question)
	default:
		p.editor.press(k)
	}
}

// decide wants y for yes: an enter too many must not delete anything.
func (p *program) decide(k string) {
	switch k {
	case "y":
		p.desk.Answer(p.editor.question, nil)
	case "n", "esc":
		p.desk.Decline(p.editor.question)
	}
}

func (p *program) command(k string) {
	switch {
	case p.navigate(k):
		p.desk.Dismiss()
	case k == "esc" || k == "left" || k == "h" || k == "backspace":
		p.back()
	default:
		p.use(k)
	}
}

// navigate selects another row, if that is what the key is for.
func (p *program) navigate(k string) bool {
	switch k {
	case "up", "k":
		p.move(-1)
	case "down", "j":
		p.move(1)
	case "pgup":
		p.move(-p.roomForRows())
	case "pgdown":
		p.move(p.roomForRows())
	case "home":
		p.move(-len(p.page().rows))
	case "end":
		p.move(len(p.page().rows))
	default:
		return false
	}
	return true
}

func (p *program) back() {
	switch p.place {
	case atKeys:
	case atKey:
		p.desk.Leave()
	default:
		p.place = atKey
	}
	p.desk.Dismiss()
}

// use does what the key is for, here.
func (p *program) use(name string) {
	for _, k := range p.keys() {
		if k.name == name || k.name == "enter" && (name == "right" || name == "l") {
			k.do()
			return
		}
	}
}

// keys are those of the selected row and those of the page.
func (p *program) keys() []key {
	pg := p.page()
	if i := p.selected[p.place]; i < len(pg.rows) {
		return append(pg.rows[i].keys[:len(pg.rows[i].keys):len(pg.rows[i].keys)], pg.keys...)
	}
	return pg.keys
}

// visit goes to a page of the key, and reads what is there.
func (p *program) visit(to place) {
	p.place = to
	p.move(0)
	p.desk.Dismiss()
	switch o := p.state.Open; {
	case to == atPasskeys && !o.PasskeysRead:
		p.desk.ReadPasskeys()
	case to == atFingerprints && !o.FingerprintsRead:
		p.desk.ReadFingerprints()
	}
}
