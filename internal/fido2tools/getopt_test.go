package fido2tools

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seen is what getopt handed on: "a" or "b=value" for options, "?" for what is none.
type seen []string

func (s *seen) add(letter byte, argument string) error {
	text := string(letter)
	if argument != "" {
		text += "=" + argument
	}
	*s = append(*s, text)
	return nil
}

func TestGetopt(t *testing.T) {
	cases := []struct {
		name, line string
		options    seen
		operands   []string
		messages   string
	}{
		{"nothing", "", nil, nil, ""},
		{"options and operands", "-a -b x dev", seen{"a", "b=x"}, []string{"dev"}, ""},
		{"operands in between", "dev -a type -b x", seen{"a", "b=x"}, []string{"dev", "type"}, ""},
		{"letters in one word", "-acbx dev", seen{"a", "c", "b=x"}, []string{"dev"}, ""},
		{"argument in the same word", "-bx=-a", seen{"b=x=-a"}, nil, ""},
		{"argument that looks like an option", "-b -a", seen{"b=-a"}, nil, ""},
		{"argument that looks like the end", "-b -- -a", seen{"b=--", "a"}, nil, ""},
		{"end of options", "-a -- -c dev", seen{"a"}, []string{"-c", "dev"}, ""},
		{"a dash is an operand", "- -a", seen{"a"}, []string{"-"}, ""},
		{"unknown", "-az dev", seen{"a", "?"}, []string{"dev"}, "-M: invalid option -- 'z'\n"},
		{"colon", "-:", seen{"?"}, nil, "-M: invalid option -- ':'\n"},
		{"no argument", "-ab", seen{"a", "?"}, nil, "-M: option requires an argument -- 'b'\n"},
		{"long", "--ac", seen{"?", "a", "c"}, nil, "-M: invalid option -- '-'\n"},
		{"known long", "--id -a", seen{"I", "a"}, nil, ""},
		{"letter that is no character", "-\xc3", seen{"?"}, nil, "-M: invalid option -- '\xc3'\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var options seen
			stderr := new(bytes.Buffer)
			g := getopt{name: "-M", options: "ab:c", long: map[string]byte{"--id": 'I'}, stderr: stderr}
			operands, err := g.parse(strings.Fields(c.line), options.add)
			require.NoError(t, err)
			require.Equal(t, c.options, options)
			require.Equal(t, c.operands, operands)
			require.Equal(t, c.messages, stderr.String())
		})
	}
}

func TestGetoptStopsAtAnError(t *testing.T) {
	t.Parallel()
	failure, calls := errors.New("no"), 0
	_, err := getopt{options: "ab"}.parse([]string{"-ab", "-a"}, func(byte, string) error {
		calls++
		return failure
	})
	require.Equal(t, failure, err)
	require.Equal(t, 1, calls)
}

func TestGetoptInOrder(t *testing.T) {
	t.Setenv("POSIXLY_CORRECT", "")
	var options seen
	operands, err := getopt{options: "ab"}.parse([]string{"-a", "dev", "-b"}, options.add)
	require.NoError(t, err)
	require.Equal(t, seen{"a"}, options)
	require.Equal(t, []string{"dev", "-b"}, operands)
}
