package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// output is the result of a command.
type output interface {
	json.Marshaler
	text(p *page) // for people
}

// write writes the whole result at once, or nothing.
func write(to *page, out output, asJSON bool) error {
	var b bytes.Buffer
	if asJSON {
		encoded, err := json.Marshal(out)
		if err != nil {
			return err
		}
		b.Write(append(escape(encoded), '\n'))
	} else {
		out.text(&page{&b, to.width, to.color})
	}
	_, err := to.Write(b.Bytes())
	return err
}

// escape is for JSON on a terminal: package json escapes ASCII control characters only.
func escape(encoded []byte) (escaped []byte) {
	for _, r := range string(encoded) {
		if unicode.IsPrint(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, "\\u%04x", unit)
		}
	}
	return escaped
}

// record is a JSON object whose members keep their order.
type record []field

// field is a member of a record. People see its value as package fmt prints it; nil means that there is none.
type field struct {
	name  string
	value any
}

// MarshalJSON implements [json.Marshaler].
func (r record) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range r {
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(fmt.Appendf(b, "%q:", f.name), value...)
	}
	return append(b, '}'), nil
}

// get returns the value of a member, or nil.
func (r record) get(name string) any {
	for _, f := range r {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

func (r record) text(p *page) {
	column := 0
	for _, f := range r {
		column = max(column, len(f.name+": "))
	}
	for _, f := range r {
		p.field(f.name, show(f.value), column)
	}
}

func show(value any) string {
	text := ""
	if value != nil {
		text = printable(fmt.Sprint(value))
	}
	if text == "" {
		return none
	}
	return text
}

// none stands for a value that is not there. It is no base64url.
const none = "-"

// group is a JSON object with one member, an array of records.
type group struct {
	name    string
	records []record
}

// MarshalJSON implements [json.Marshaler].
func (g group) MarshalJSON() ([]byte, error) {
	return record{{g.name, g.records}}.MarshalJSON()
}

func (g group) text(p *page) {
	for i, r := range g.records {
		if i > 0 {
			fmt.Fprintln(p)
		}
		r.text(p)
	}
}

// binary is a value that is shown as base64url. No bytes mean that there is none.
type binary []byte

// MarshalJSON implements [json.Marshaler].
func (b binary) MarshalJSON() ([]byte, error) {
	if len(b) == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(b.String())
}

func (b binary) String() string { return base64.RawURLEncoding.EncodeToString(b) }

// words are shown with commas in between.
type words []string

// MarshalJSON implements [json.Marshaler]. No words are an empty array.
func (l words) MarshalJSON() ([]byte, error) { return json.Marshal(append([]string{}, l...)) }

func (l words) String() string { return strings.Join(l, ", ") }

// printable makes what comes from a key safe to show: a terminal must not obey it, and a line must stay a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
