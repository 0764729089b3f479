package ctapcbor

import (
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

var diagnosis = must(cbor.DiagOptions{}.DiagMode())

// Diagnose returns the first item of b in diagnostic notation, RFC 8949 section 8, all in ASCII, and the bytes behind
// it.
func Diagnose(b []byte) (notation string, rest []byte, err error) {
	return diagnosis.DiagnoseFirst(b)
}

// DiagnoseText returns a text in diagnostic notation. What is not UTF-8 in it becomes U+FFFD.
func DiagnoseText(text []byte) (string, error) {
	item, err := Marshal(strings.ToValidUTF8(string(text), string(utf8.RuneError)))
	if err != nil {
		return "", err
	}
	return diagnosis.Diagnose(item)
}
