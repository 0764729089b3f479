package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// page is where results for people go: standard output.
type page struct {
	io.Writer
	width int  // columns of the terminal; 0: it is none, and lines may be as long as they like
	color bool // use colours
}

func newPage(w io.Writer, mode colorMode) *page {
	return &page{w, terminalWidth(w), mode.on(w)}
}

// on tells whether what is written to w gets colours.
func (m colorMode) on(w io.Writer) bool {
	if m == colorAuto {
		return isTerminal(w) && os.Getenv("NO_COLOR") == ""
	}
	return m == colorAlways
}

// style is how text looks on a terminal, as a sequence of ECMA-48.
type style string

const (
	bold  style = "\x1b[1m"
	faint style = "\x1b[2m"
	red   style = "\x1b[31m"
	green style = "\x1b[32m"
)

// paint returns text in a style, if there are colours.
func paint(color bool, s style, text string) string {
	if !color || text == "" {
		return text
	}
	return string(s) + text + "\x1b[0m"
}

// paint returns text in a style, if the page has colours.
func (p *page) paint(s style, text string) string { return paint(p.color, s, text) }

// field writes a line of "name: value", with the values of all such lines at the same column. Where a terminal is too
// narrow, a list goes on in the next line, and what cannot be broken stands below its name. What fits nowhere stays whole,
// to be copied.
func (p *page) field(name, value string, column int) {
	name = p.paint(faint, pad(name+":", column-1))
	parts := strings.SplitAfter(value, ", ")
	longest := 0
	for _, part := range parts {
		longest = max(longest, columns(strings.TrimRight(part, " ")))
	}
	switch room := p.width - 1; {
	case p.width == 0, column+columns(value) <= room, below+longest > room:
		fmt.Fprintf(p, "%s %s\n", name, value)
	case column+longest <= room:
		fmt.Fprintf(p, "%s %s\n", name, wrap(parts, column, room))
	default:
		fmt.Fprintf(p, "%s\n%*s%s\n", strings.TrimRight(name, " "), below, "", wrap(parts, below, room))
	}
}

const below = 2 // how far a value stands in below its name

// wrap joins the parts of a list into lines that end before room. All but the first begin with spaces.
func wrap(parts []string, indent, room int) string {
	var lines []string
	line := ""
	for _, part := range parts {
		if line != "" && indent+columns(line+strings.TrimRight(part, " ")) > room {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += part
	}
	return strings.Join(append(lines, line), "\n"+strings.Repeat(" ", indent))
}

// columns returns how many columns a terminal needs for printable text.
func columns(text string) (n int) {
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me): // they go over the one before
		return 0
	case r < 0x1100:
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut returns text in so many columns, with an ellipsis if it is too long.
func cut(text string, room int) string {
	if columns(text) <= room {
		return text
	}
	if room <= 0 {
		return ""
	}
	used := 0
	for i, r := range text {
		used += runeColumns(r)
		if used > room-1 {
			return text[:i] + "…"
		}
	}
	return text // unreachable: it is longer than room
}

// pad returns text in at least so many columns.
func pad(text string, room int) string {
	return text + strings.Repeat(" ", max(0, room-columns(text)))
}
