package tui

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/examples/manage/model"
	"github.com/keyfob-go/keyfob/hid"
)

// states has one State for each thing that the screen can show, with texts that are too long for any screen.
func states() map[string]model.State {
	long := strings.Repeat("many words and Wörter 鍵鍵鍵 ", 15)
	key := hid.Info{Path: "/dev/hidraw1", Product: long, Err: errors.New(long)}
	open := &model.Open{
		Key: key, Info: &ctap2.Info{Options: map[string]bool{"credMgmt": true, "bioEnroll": true, "authnrCfg": true}},
		PasskeysRead: true, FingerprintsRead: true, Fingerprints: []model.Fingerprint{{Name: long}, {Name: ""}},
	}
	for range 30 {
		open.Passkeys = append(open.Passkeys, model.Passkey{Site: long, Account: long, DisplayName: long})
	}
	s := model.State{Keys: []hid.Info{key, {Path: "/dev/hidraw2"}}, Open: open}
	all := map[string]model.State{"empty": {}, "keys": {Keys: s.Keys}, "open": s}
	with := func(name string, change func(*model.State)) {
		changed := s
		change(&changed)
		all[name] = changed
	}
	with("task", func(s *model.State) { s.Task = &model.Task{Name: long, Progress: long} })
	with("touch", func(s *model.State) { s.Task = &model.Task{Touch: long} })
	with("notice", func(s *model.State) { s.Notice = &model.Notice{Text: long, Hint: long, Failed: true} })
	for kind := model.Confirm; kind <= model.AskSecret; kind++ {
		with("question", func(s *model.State) {
			s.Task = &model.Task{}
			s.Question = &model.Question{Kind: kind, Title: long, Complaint: long, Detail: long, Initial: long, Yes: "Go"}
		})
	}
	return all
}

func TestEverythingFitsIntoEveryWindow(t *testing.T) {
	t.Parallel()
	for name, state := range states() {
		for _, at := range []place{atKey, atPasskeys, atFingerprints, atSettings, atAbout} {
			p := &program{desk: model.New(model.Source{}), place: at}
			p.follow(state)
			p.move(50)
			for width := smallest; width < 100; width += 11 {
				for height := least; height < 30; height += 3 {
					p.Update(tea.WindowSizeMsg{Width: width, Height: height})
					fits(t, p, name)
				}
			}
		}
	}
}

func fits(t *testing.T, p *program, name string) {
	t.Helper()
	view := p.View()
	lines := strings.Split(view.Content, "\n")
	require.Len(t, lines, p.height, "%s in %dx%d:\n%s", name, p.width, p.height, view.Content)
	for _, line := range lines {
		require.LessOrEqual(t, ansi.StringWidth(line), p.width, "%s in %dx%d:\n%s", name, p.width, p.height, view.Content)
	}
	if view.Cursor != nil {
		require.Less(t, view.Cursor.X, p.width, "%s in %dx%d", name, p.width, p.height)
		require.Less(t, view.Cursor.Y, p.height-1, "%s in %dx%d", name, p.width, p.height)
	}
	if p.editor.question == nil && len(p.page().rows) > 0 {
		require.Contains(t, view.Content, "> ", "%s in %dx%d: the selected row must show", name, p.width, p.height)
	}
}

func TestWindowOfNoSize(t *testing.T) {
	t.Parallel()
	for _, state := range states() {
		p := &program{desk: model.New(model.Source{})}
		p.follow(state)
		for _, size := range []tea.WindowSizeMsg{{}, {Width: 1, Height: 1}, {Width: 1000, Height: 2}} {
			p.Update(size)
			require.NotPanics(t, func() { p.View() })
		}
	}
}

func TestEditorForgetsNothingAndShowsNoSecret(t *testing.T) {
	t.Parallel()
	e := newEditor(&model.Question{Kind: model.AskSecret})
	e.insert("pä\r\n\x1bß")
	require.Equal(t, "•••", e.shown())
	e.chop()
	half := e.text
	e.insert("鍵")
	require.Equal(t, []byte{0, 0, 0}, half, "what was typed before must be cleared")
	require.Equal(t, "pä鍵", string(e.take()))
	require.Empty(t, e.text)
	e.chop()
	require.Empty(t, e.shown())
}
