package main

import (
	"encoding/json"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// What a key says must not command the terminal, in either form, and JSON loses nothing of it.
func TestOutputIsPrintable(t *testing.T) {
	t.Parallel()
	hostile := "a\x1b[2J\u009b2J\u202e\U000e0001\n☃"
	var text, encoded console
	require.NoError(t, write(&page{Writer: &text}, record{{"name", hostile}}, false))
	require.Equal(t, "name: a\ufffd[2J\ufffd2J\ufffd\ufffd\ufffd☃\n", text.String())

	require.NoError(t, write(&page{Writer: &encoded}, record{{"name", hostile}}, true))
	for _, r := range encoded.String()[:len(encoded.String())-1] {
		require.True(t, unicode.IsPrint(r), "%q", r)
	}
	require.Equal(t, hostile, decodeObject(t, encoded.String())["name"])
}

func TestRecordKeepsItsOrder(t *testing.T) {
	t.Parallel()
	r := record{{"z", 1}, {"a", nil}, {"list", words(nil)}, {"bytes", binary{0xff}}, {"none", binary(nil)}}
	encoded, err := json.Marshal(r)
	require.NoError(t, err)
	require.Equal(t, `{"z":1,"a":null,"list":[],"bytes":"_w","none":null}`, string(encoded))
	var text console
	require.NoError(t, write(&page{Writer: &text}, r, false))
	require.Equal(t, "z:     1\na:     -\nlist:  -\nbytes: _w\nnone:  -\n", text.String())
}
