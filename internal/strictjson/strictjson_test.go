package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestObjectTakesNothingTwice(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		``:                   "not a JSON object",
		`[]`:                 "not a JSON object",
		`{"a":1,"a":2}`:      `member "a" repeats`,
		`{"a":1,"\u0061":2}`: `member "a" repeats`,
		`{"a":1} x`:          "something follows the object",
		`{"a":1}{}`:          "something follows the object",
		`{"a":1`:             "EOF",
		`{"a":}`:             "invalid character",
	} {
		_, err := Object([]byte(text))
		require.ErrorContains(t, err, says, text)
	}
	members, err := Object([]byte(` {"a":1,"A":[null], "":{} } `))
	require.NoError(t, err)
	require.Equal(t, map[string]json.RawMessage{"a": []byte("1"), "A": []byte("[null]"), "": []byte("{}")}, members)
}

func TestBase64TakesBothAlphabetsAndNoRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-_8", "-_8=", "+/8", "+/8="} {
		b, err := Base64(text)
		require.NoError(t, err, text)
		require.Equal(t, []byte{0xfb, 0xff}, b, text)
	}
	for _, text := range []string{"-_9", "-_8\n", " -_8", "A", "-_8==", "ä"} {
		_, err := Base64(text)
		require.Error(t, err, text)
	}
}

// What Object returns makes the same object again.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[true,null,"\u00e4"]}}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		members, err := Object(b)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(members)
		require.NoError(t, err)
		again, err := Object(encoded)
		require.NoError(t, err)
		require.Len(t, again, len(members))
	})
}

func FuzzBase64(f *testing.F) {
	f.Add("-_8")
	f.Add("+/8=")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Base64(s)
		if err != nil {
			return
		}
		again, err := Base64(base64.RawURLEncoding.EncodeToString(b))
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, again))
	})
}
