package main

import (
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
	columns := terminalWidth(w)
	return &page{w, columns, mode.on(columns)}
}

// on tells whether a terminal of so many columns, or none, gets colours.
func (m colorMode) on(columns int) bool {
	if m == colorAuto {
		return columns > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
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

// wrap breaks a value with commas in it, so that it fits beside a name in so many columns. Others stay whole: they are to
// be copied.
func (p *page) wrap(text string, indent int) string {
	room := p.width - indent
	if p.width == 0 || columns(text) < room || room < p.width/3 {
		return text
	}
	var lines []string
	line := ""
	for word := range strings.SplitAfterSeq(text, ", ") {
		if line != "" && columns(line+strings.TrimRight(word, " ")) >= room {
			lines = append(lines, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
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
