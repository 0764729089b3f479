package ctapcbor

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMarshalSortsKeysCanonically(t *testing.T) {
	b, err := Marshal(map[any]any{"b": 1, "aa": 2, -1: 3, 10: 4, 1: 5})
	require.NoError(t, err)
	require.Equal(t, []byte{0xa5, 0x01, 5, 0x0a, 4, 0x20, 3, 0x61, 'b', 1, 0x62, 'a', 'a', 2}, b)
}

func TestUnmarshalRefusesWhatCouldBeReadTwoWays(t *testing.T) {
	for name, in := range map[string][]byte{
		"duplicate key":         {0xa2, 0x01, 0x01, 0x01, 0x02},
		"duplicate wide key":    {0xa2, 0x01, 0x01, 0x18, 0x01, 0x02},
		"trailing byte":         {0xa1, 0x01, 0x01, 0x00},
		"indefinite map":        {0xbf, 0x01, 0x01, 0xff},
		"tag":                   {0xa1, 0x01, 0xc0, 0x61, 'x'},
		"truncated":             {0xa1, 0x01},
		"huge count":            {0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"nested over the limit": append(bytes.Repeat([]byte{0x81}, maxNestedLevels+1), 0x00),
		"empty":                 {},
	} {
		t.Run(name, func(t *testing.T) {
			var v any
			require.Error(t, Unmarshal(in, &v))
		})
	}
}

func TestUnmarshalAcceptsSloppyKeys(t *testing.T) {
	var v struct {
		Name string `cbor:"1,keyasint"`
		N    uint   `cbor:"2,keyasint"`
	}
	// Keys out of order, a number in a wide form, an unknown member, a name cut in the middle of a character.
	in := []byte{0xa3, 0x02, 0x18, 0x05, 0x18, 0x63, 0xf5, 0x01, 0x62, 'x', 0xc3}
	require.NoError(t, Unmarshal(in, &v))
	require.Equal(t, "x\xc3", v.Name)
	require.Equal(t, uint(5), v.N)
}

func TestUnmarshalFirstReturnsTheRest(t *testing.T) {
	var n int
	rest, err := UnmarshalFirst([]byte{0x05, 0xaa, 0xbb}, &n)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, []byte{0xaa, 0xbb}, rest)
}

func TestMemberNamesAreCaseSensitive(t *testing.T) {
	var v struct {
		ID string `cbor:"id"`
	}
	require.NoError(t, Unmarshal([]byte{0xa1, 0x62, 'I', 'D', 0x61, 'x'}, &v))
	require.Empty(t, v.ID)
}
