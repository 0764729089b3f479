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
	width int  // columns of the terminal; 0: it is none
	color bool // set before use

	mu     sync.Mutex
	prompt string // of the last line: "Touch YubiKey to register"
	bar    progress
	shown  bool // the last line is not empty
}

// progress is how far a command is. The zero value is none.
type progress struct{ done, total int }

func newDisplay(w io.Writer) *display { return &display{w: w, width: terminalWidth(w)} }

const defaultWidth = 80 // of a terminal that does not tell

// terminalWidth returns the columns of a terminal, or 0 if w is none.
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
func (d *display) ask(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.width == 0 {
		fmt.Fprintf(d.w, "%s\n", text)
		return
	}
	d.prompt = text
	d.erase()
	d.draw()
}

// done takes back what ask said.
func (d *display) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prompt = ""
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
	d.prompt, d.bar = "", progress{}
	d.erase()
}

const eraseLine = "\r\x1b[K"

func (d *display) erase() {
	if d.shown {
		io.WriteString(d.w, eraseLine)
		d.shown = false
	}
}

func (d *display) draw() {
	line := d.line()
	if d.width == 0 || line == "" {
		return
	}
	io.WriteString(d.w, paint(d.color, bold, line))
	d.shown = true
}

// line is the last line, which must stay one.
func (d *display) line() string {
	room := d.width - 1 // some terminals go to the next line when one is full
	bar := d.bar.String()
	if bar == "" {
		return cut(d.prompt, room)
	}
	prompt := cut(d.prompt, max(0, room-columns(bar)-1))
	return cut(strings.TrimSpace(prompt+" "+bar), room)
}

const barWidth = 20

// String returns "[#####               ] 5 of 20".
func (p progress) String() string {
	if p.total <= 0 {
		return ""
	}
	full := barWidth * min(max(p.done, 0), p.total) / p.total
	return fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), p.done, p.total)
}
