package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/keyfob-go/keyfob/examples/manage/model"
)

// The styles are for those whose terminals have them: all that they say is in the text, too.
var (
	title    = ansi.NewStyle().Reverse(true)
	selected = ansi.NewStyle().Bold()
	faint    = ansi.NewStyle().Faint()
	urgent   = ansi.NewStyle().Bold().ForegroundColor(ansi.Yellow)
	wrong    = ansi.NewStyle().ForegroundColor(ansi.Red)
)

const (
	smallest = 20 // columns; what is narrower is cut off by the terminal
	least    = 4  // lines
	margin   = 2  // columns, for the mark of the selected row
	gap      = 2  // columns, between names and values
)

// View implements tea.Model: one line for where the user is, the rows or the question, what is to be said, and one line
// for the keys that do something.
func (p *program) View() tea.View {
	view := tea.View{AltScreen: true, WindowTitle: "keyfob"}
	if p.width == 0 {
		return view // the size comes in a moment
	}
	p.width, p.height = max(p.width, smallest), max(p.height, least)
	message := p.message()
	room := p.height - 2 - len(message)
	lines := []string{title.Styled(fill(p.trail(), p.width))}
	if p.editor.question != nil {
		body, cursor := p.question(room)
		lines = append(lines, body...)
		view.Cursor = cursor
	} else {
		lines = append(lines, p.rows(room)...)
	}
	lines = append(lines, message...)
	lines = append(lines, faint.Styled(cut(p.help(), p.width)))
	view.Content = strings.Join(lines, "\n")
	return view
}

// trail says where the user is.
func (p *program) trail() string {
	words := []string{" keyfob"}
	if p.place > atKey {
		words = append(words, p.state.NameOf(p.state.Open.Key))
	}
	return strings.Join(append(words, p.page().title), " › ")
}

// rows shows those around the selected one, in so many lines.
func (p *program) rows(room int) []string {
	pg := p.page()
	if len(pg.rows) == 0 {
		return pad(wrap(pg.empty, p.width-margin, "  "), room)
	}
	at := p.selected[p.place]
	first := max(0, min(at-room/2, len(pg.rows)-room))
	column := p.column(pg.rows)
	var lines []string
	for i := first; i < len(pg.rows) && len(lines) < room; i++ {
		line := fill(pg.rows[i].name, column) + strings.Repeat(" ", gap) + pg.rows[i].value
		line = cut(strings.TrimRight(line, " "), p.width-margin)
		if i == at {
			lines = append(lines, selected.Styled("> "+line))
		} else {
			lines = append(lines, "  "+line)
		}
	}
	return pad(lines, room)
}

// column is how wide the names are: as wide as they need, but half of the line at most if there is no room for both.
func (p *program) column(rows []row) int {
	name, value := 0, 0
	for _, r := range rows {
		name, value = max(name, ansi.StringWidth(r.name)), max(value, ansi.StringWidth(r.value))
	}
	width := p.width - margin
	if value == 0 {
		return width
	}
	return min(name, max(width-value-gap, width/2))
}

func (p *program) roomForRows() int { return max(1, p.height-2-len(p.message())) }

// question shows what the user is asked, in so many lines, and where the cursor is.
func (p *program) question(room int) ([]string, *tea.Cursor) {
	q := p.editor.question
	width := p.width - margin
	lines := wrap(q.Title, width, "  ")
	for i := range lines {
		lines[i] = selected.Styled(lines[i])
	}
	if q.Complaint != "" {
		for _, line := range wrap("! "+q.Complaint, width, "  ") {
			lines = append(lines, wrong.Styled(line))
		}
	}
	lines = append(lines, wrap(q.Detail, width, "  ")...)
	if q.Kind == model.Confirm {
		return pad(lines, room), nil
	}
	lines = lines[:min(len(lines), room-1)]
	typed := ansi.TruncateLeft("> "+p.editor.shown(), max(0, ansi.StringWidth(p.editor.shown())+3-width), "")
	lines = append(lines, "  "+typed)
	return pad(lines, room), tea.NewCursor(margin+ansi.StringWidth(typed), len(lines)) // below the line of the title
}

// message is what is to be said: what the key wants, or how it goes, or how it went.
func (p *program) message() []string {
	most := max(1, p.height/3)
	switch task, notice := p.state.Task, p.state.Notice; {
	case task != nil && p.editor.question != nil:
		return nil
	case task != nil && task.Touch != "":
		return p.say(most, urgent, "Touch the key to "+task.Touch+". "+task.Progress)
	case task != nil:
		return p.say(most, ansi.NewStyle(), task.Name+"… "+task.Progress)
	case notice != nil && notice.Failed:
		return p.say(most, wrong, "! "+notice.Text, hint(notice.Hint))
	case notice != nil:
		return p.say(most, ansi.NewStyle(), notice.Text)
	}
	return p.say(most, faint, p.note())
}

// note is what there is to say about the selected row, with all of it if it was cut.
func (p *program) note() string {
	pg := p.page()
	if p.selected[p.place] >= len(pg.rows) {
		return ""
	}
	r := pg.rows[p.selected[p.place]]
	column := p.column(pg.rows)
	if ansi.StringWidth(r.name) <= column && column+gap+ansi.StringWidth(r.value) <= p.width-margin {
		return r.note
	}
	whole := r.name
	for _, more := range []string{r.value, r.note} {
		if more != "" {
			whole += ": " + more
		}
	}
	return whole
}

func hint(s string) string {
	if s == "" {
		return ""
	}
	return "  " + strings.ToUpper(s[:1]) + s[1:] + "."
}

func (p *program) say(most int, style ansi.Style, texts ...string) []string {
	var lines []string
	for _, text := range texts {
		if text = strings.TrimRight(text, " "); text != "" {
			lines = append(lines, wrap(text, p.width-margin, "")...)
		}
	}
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] += " …" // in the margin
	}
	for i := range lines {
		lines[i] = style.Styled(lines[i])
	}
	return lines
}

func (p *program) help() string {
	switch q := p.editor.question; {
	case q != nil && q.Kind == model.Confirm:
		return "y " + strings.ToLower(q.Yes) + "  n do not"
	case q != nil:
		return "enter go on  esc cancel"
	case p.state.Task != nil:
		return "esc cancel"
	}
	var words []string
	for _, k := range p.keys() {
		words = append(words, k.name+" "+k.does)
	}
	if p.place != atKeys {
		words = append(words, "esc back")
	}
	words = append(words, "q quit")
	for len(words) > 1 && ansi.StringWidth(strings.Join(words, "  ")) > p.width {
		words = words[:len(words)-1] // the last ones are those that everybody tries anyway
	}
	return strings.Join(words, "  ")
}

func cut(s string, width int) string { return ansi.Truncate(s, width, "…") }

func fill(s string, width int) string {
	s = cut(s, width)
	return s + strings.Repeat(" ", width-ansi.StringWidth(s))
}

// pad makes it so many lines.
func pad(lines []string, n int) []string {
	for len(lines) < n {
		lines = append(lines, "")
	}
	return lines[:max(0, n)]
}

// wrap breaks a text into lines, all indented.
func wrap(s string, width int, indent string) []string {
	if s == "" {
		return nil
	}
	lines := strings.Split(ansi.Wrap(s, max(1, width-len(indent)), ""), "\n")
	for i := range lines {
		lines[i] = indent + lines[i]
	}
	return lines
}
