package ctapcbor

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHead(t *testing.T) {
	for name, tc := range map[string]struct {
		in       []byte
		major    Major
		argument uint64
		rest     []byte
	}{
		"small":         {[]byte{0x17, 1}, MajorUnsigned, 23, []byte{1}},
		"one byte":      {[]byte{0x38, 0xff, 1}, MajorNegative, 255, []byte{1}},
		"two bytes":     {[]byte{0x59, 1, 2}, MajorBytes, 0x102, []byte{}},
		"four bytes":    {[]byte{0x7a, 1, 2, 3, 4, 5}, MajorText, 0x1020304, []byte{5}},
		"eight bytes":   {[]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, MajorArray, math.MaxUint64, []byte{}},
		"not canonical": {[]byte{0xb8, 1}, MajorMap, 1, []byte{}},
		"tag":           {[]byte{0xc2}, MajorTag, 2, []byte{}},
		"true":          {[]byte{0xf5}, MajorSimple, 21, []byte{}},
	} {
		major, argument, rest, err := Head(tc.in)
		require.NoError(t, err, name)
		require.Equal(t, tc.major, major, name)
		require.Equal(t, tc.argument, argument, name)
		require.Equal(t, tc.rest, rest, name)
	}
	for name, in := range map[string][]byte{
		"nothing":    {},
		"truncated":  {0x1b, 1, 2, 3, 4, 5, 6, 7},
		"indefinite": {0x5f, 0xff},
		"reserved":   {0x1c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		_, _, _, err := Head(in)
		require.Error(t, err, name)
	}
}
