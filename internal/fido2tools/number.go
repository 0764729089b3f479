package fido2tools

import (
	"fmt"
	"math"
	"strconv"
)

// number reads the argument of an option: 0 to 2^31-1, as C's strtoll reads it.
func number(option, argument string) (int, error) {
	n, err := base10(argument)
	if err != nil {
		return 0, fmt.Errorf("%s: invalid argument '%s'", option, argument)
	}
	return n, nil
}

func base10(s string) (int, error) {
	n, err := strconv.ParseInt(trimSpace(s), 10, 64)
	if err == nil && (n < 0 || n > math.MaxInt32) {
		err = strconv.ErrRange
	}
	return int(n), err
}

// trimSpace removes the white space that C's functions skip in front of a number.
func trimSpace(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r') {
		s = s[1:]
	}
	return s
}
