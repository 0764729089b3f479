package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// display is standard error: what the user reads while a command works. On a terminal its last line is alive: it says
// what the key waits for and how far the command is, and is gone at the end. It is safe for concurrent use.
type display struct {
	w     io.Writer
	live  bool // it is a terminal that can take back what it shows
	color bool // set before use

	mu     sync.Mutex
	prompt prompt
	bar    progress
	shown  bool // the last line is not empty
}

// prompt is what the user shall do: "Touch ", "Yubico YubiKey (/dev/hidraw3)", " to register". The name is what a narrow
// terminal shows less of.
type prompt struct{ before, name, after string }

func (p prompt) String() string { return p.before + p.name + p.after }

// fit returns the prompt in so many columns.
func (p prompt) fit(room int) string {
	name := cut(p.name, max(room-columns(p.before+p.after), leastWidth))
	return cut(p.before+name+p.after, room)
}

// progress is how far a command is. The zero value is none.
type progress struct{ done, total int }

func newDisplay(w io.Writer) *display { return &display{w: w, live: isTerminal(w)} }

const defaultWidth = 80 // of a terminal that does not tell

// isTerminal reports whether w is a terminal that obeys escape sequences.
func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd())) && obeysSequences(f)
}

// terminalWidth returns the columns that a terminal has now, or 0 if w is none.
func terminalWidth(w io.Writer) int {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return defaultWidth
	}
	return width
}

// Write implements [io.Writer]. What is written comes in the place of the last line, which follows anew if there is still
// something to say.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	n, err := d.w.Write(p)
	if strings.HasSuffix(string(p), "\n") {
		d.draw()
	}
	return n, err
}

// ask says what the user shall do now, until done or clear. Without a terminal it is a line like others.
func (d *display) ask(p prompt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.live {
		fmt.Fprintf(d.w, "%s\n", p)
		return
	}
	d.prompt = p
	d.erase()
	d.draw()
}

// done takes back what ask said.
func (d *display) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prompt = prompt{}
	d.erase()
	d.draw()
}

// progress shows how much of a total is done, until clear. Without a terminal nothing shows.
func (d *display) progress(done, total int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bar = progress{done, total}
	d.erase()
	d.draw()
}

// clear removes the last line.
func (d *display) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prompt, d.bar = prompt{}, progress{}
	d.erase()
}

// say writes a sentence, which must be printable, in lines as long as the terminal's.
func (d *display) say(format string, args ...any) {
	fmt.Fprintln(d, d.fold(fmt.Sprintf(format, args...)))
}

// fold breaks sentences between words where the terminal's lines end.
func (d *display) fold(text string) string {
	room := terminalWidth(d.w)
	if room == 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = wrap(strings.SplitAfter(line, " "), 0, room)
	}
	return strings.Join(lines, "\n")
}

const eraseLine = "\r\x1b[K"

func (d *display) erase() {
	if d.shown {
		io.WriteString(d.w, eraseLine)
		d.shown = false
	}
}

func (d *display) draw() {
	if !d.live {
		return
	}
	line := d.line(terminalWidth(d.w) - len("^C ")) // some terminals go to the next line when one is full
	if line == "" {
		return
	}
	io.WriteString(d.w, paint(d.color, bold, line))
	d.shown = true
}

// line is the last line, in so many columns.
func (d *display) line(room int) string {
	bar := d.bar.text(room / 4)
	if bar == "" {
		return d.prompt.fit(room)
	}
	return cut(strings.TrimSpace(d.prompt.fit(room-columns(bar)-1)+" "+bar), room)
}

const leastBar, mostBar = 10, 20 // columns

// text returns "[#####               ] 5 of 20", with so many columns in the brackets if they are neither too many nor too
// few to be worth it.
func (p progress) text(width int) string {
	switch {
	case p.total <= 0:
		return ""
	case width < leastBar:
		return fmt.Sprintf("%d of %d", p.done, p.total)
	}
	width = min(width, mostBar)
	full := width * min(max(p.done, 0), p.total) / p.total
	return fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(" ", width-full), p.done, p.total)
}
