package fido2tools

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// getopt reads command lines as the function of that name in the GNU C library does: options may follow operands, unless
// POSIXLY_CORRECT is set in the environment, and "--" ends them.
type getopt struct {
	name    string          // for its messages; the tools with a mode have that there: "-M"
	options string          // letters, each followed by a colon if it takes an argument
	long    map[string]byte // words that are options as a whole, such as "--credential-id", and what stands for them
	stderr  io.Writer
}

// unknownOption is handed on in place of an option that there is not, or that lacks its argument.
const unknownOption = '?'

// parse calls each for the options in their order and returns the operands. It stops at the first error of each.
func (g getopt) parse(args []string, each func(letter byte, argument string) error) (operands []string, err error) {
	_, inOrder := os.LookupEnv("POSIXLY_CORRECT")
	for len(args) > 0 {
		word := args[0]
		letter, long := g.long[word]
		switch {
		case long:
			if args, err = args[1:], each(letter, ""); err != nil {
				return nil, err
			}
		case word == "--":
			return append(operands, args[1:]...), nil
		case len(word) > 1 && word[0] == '-':
			if args, err = g.word(word[1:], args[1:], each); err != nil {
				return nil, err
			}
		case inOrder:
			return args, nil
		default:
			operands, args = append(operands, word), args[1:]
		}
	}
	return operands, nil
}

// word reads the letters of one argument, and the next argument if the last letter wants one.
func (g getopt) word(letters string, rest []string, each func(byte, string) error) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		letter, argument := letters[i], ""
		known, takes := g.find(letter)
		switch {
		case !known:
			fmt.Fprintf(g.stderr, "%s: invalid option -- '%s'\n", g.name, letters[i:i+1])
			letter = unknownOption
		case takes && i+1 < len(letters):
			return rest, each(letter, letters[i+1:])
		case takes && len(rest) == 0:
			fmt.Fprintf(g.stderr, "%s: option requires an argument -- '%s'\n", g.name, letters[i:i+1])
			letter = unknownOption
		case takes:
			argument, rest = rest[0], rest[1:]
		}
		if err := each(letter, argument); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func (g getopt) find(letter byte) (known, takesArgument bool) {
	if letter == ':' || letter == ';' {
		return false, false
	}
	i := strings.IndexByte(g.options, letter)
	return i >= 0, i >= 0 && strings.HasPrefix(g.options[i+1:], ":")
}
