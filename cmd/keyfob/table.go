package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// table is a list of things of the same kind: in JSON an array of objects, for people lines with columns.
type table struct {
	columns []column
	rows    []record // JSON's members
}

// column is what people see of the rows.
type column struct {
	head  string              // on terminals only
	cell  func(record) string // what comes from a key must have gone through [show] or [printable]
	whole bool                // it is of no use if it is cut
	once  bool                // on terminals a line leaves out what the one above says
}

// member is a column that shows a member of the rows.
func member(head, name string) column {
	return column{head: head, cell: func(r record) string { return show(r.get(name)) }}
}

// cellOrNothing shows a member that most rows do not have.
func cellOrNothing(name string) func(record) string {
	return func(r record) string {
		if value := r.get(name); value != nil {
			return show(value)
		}
		return ""
	}
}

// wholeMember is a member that is of no use if it is cut, such as what another command wants to be given.
func wholeMember(head, name string) column {
	c := member(head, name)
	c.whole = true
	return c
}

// MarshalJSON implements [json.Marshaler].
func (t table) MarshalJSON() ([]byte, error) { return json.Marshal(append([]record{}, t.rows...)) }

const gap = 2 // spaces between columns

// text shows a table with a head that fits a terminal, or a block of lines for each row where none can. What is no
// terminal gets lines as long as it takes, without a head.
func (t table) text(p *page) {
	if len(t.rows) == 0 {
		return
	}
	cells := t.cells(p.width > 0)
	widths := t.widths(cells)
	switch {
	case p.width == 0:
		for _, row := range cells {
			fmt.Fprintln(p, aligned(row, widths))
		}
	case t.fit(widths, p.width-1):
		t.omitRepeated(cells)
		fmt.Fprintln(p, p.paint(bold, aligned(cells[0], widths)))
		for _, row := range cells[1:] {
			fmt.Fprintln(p, aligned(row, widths))
		}
	default:
		t.blocks(p, cells)
	}
}

// cells returns the table's text, with the head as the first line if that is wanted.
func (t table) cells(head bool) (lines [][]string) {
	if head {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			line[i] = c.head
		}
		lines = append(lines, line)
	}
	for _, r := range t.rows {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			line[i] = c.cell(r)
		}
		lines = append(lines, line)
	}
	return lines
}

func (t table) widths(cells [][]string) []int {
	widths := make([]int, len(t.columns))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	return widths
}

const leastWidth = 8 // of a column that is cut: less tells nothing

// fit narrows the widest columns that may be cut until all fit, and reports whether they do.
func (t table) fit(widths []int, room int) bool {
	for {
		total, widest := gap*(len(widths)-1), -1
		for i, w := range widths {
			total += w
			if !t.columns[i].whole && w > leastWidth && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if total <= room {
			return true
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
}

func (t table) omitRepeated(cells [][]string) {
	for i := len(cells) - 1; i > 0; i-- {
		for k, c := range t.columns {
			if c.once && cells[i][k] == cells[i-1][k] {
				cells[i][k] = ""
			}
		}
	}
}

// aligned is a line of the table.
func aligned(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		b.WriteString(pad(cut(cell, widths[i]), widths[i]+gap))
	}
	return strings.TrimRight(b.String(), " ")
}

func (t table) blocks(p *page, cells [][]string) {
	for i, row := range cells[1:] {
		if i > 0 {
			fmt.Fprintln(p)
		}
		for k, cell := range row {
			if cell != "" {
				fmt.Fprintf(p, "%s %s\n", p.paint(faint, cells[0][k]+":"), cell)
			}
		}
	}
}

// listing is a table with something about the whole, which people are told otherwise: in JSON an object with the table
// as its last member.
type listing struct {
	about record
	name  string // of the table
	table
}

// MarshalJSON implements [json.Marshaler].
func (l listing) MarshalJSON() ([]byte, error) {
	return append(slices.Clone(l.about), field{l.name, l.table}).MarshalJSON()
}
