package authenticator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// mutation changes an answer that has the same structure as the one that it was made for.
type mutation struct {
	name  string
	apply func(answer []byte) []byte
}

// byteMutations are flips, truncations and extensions.
func byteMutations(answer []byte) (all []mutation) {
	add := func(name string, apply func([]byte) []byte) { all = append(all, mutation{name, apply}) }
	for i := range answer {
		add(fmt.Sprintf("bit %d of byte %d flipped", i%8, i), func(b []byte) []byte {
			b = bytes.Clone(b)
			if i < len(b) { // signatures have different lengths
				b[i] ^= 1 << (i % 8)
			}
			return b
		})
		add(fmt.Sprintf("cut to %d bytes", i), func(b []byte) []byte { return b[:min(i, len(b))] })
	}
	for _, tail := range [][]byte{{0}, {0xff}, {0xa0}, {0x90, 0}, make([]byte, 7000)} {
		add(fmt.Sprintf("%d bytes behind it, %#02x", len(tail), tail[0]), func(b []byte) []byte {
			return slices.Concat(b, tail)
		})
	}
	return all
}

// replacements are items of every type, and what is none.
var replacements = map[string][]byte{
	"0":                  {0x00},
	"2^64-1":             {0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	"-1":                 {0x20},
	"-2^64":              {0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	"no bytes":           {0x40},
	"32 bytes":           append([]byte{0x58, 32}, make([]byte, 32)...),
	"5000 bytes":         append([]byte{0x59, 0x13, 0x88}, make([]byte, 5000)...),
	"no text":            {0x60},
	"text":               []byte("\x64text"),
	"no UTF-8":           {0x62, 0xff, 0xfe},
	"empty array":        {0x80},
	"array":              {0x82, 0x01, 0x61, 'x'},
	"5000 elements":      append([]byte{0x99, 0x13, 0x88}, make([]byte, 5000)...),
	"deep array":         append(bytes.Repeat([]byte{0x81}, 5000), 0),
	"empty map":          {0xa0},
	"map":                {0xa1, 0x01, 0x02},
	"map of text":        {0xa1, 0x61, 'x', 0xf5},
	"map with key twice": {0xa2, 0x01, 0x02, 0x01, 0x02},
	"false":              {0xf4},
	"true":               {0xf5},
	"null":               {0xf6},
	"undefined":          {0xf7},
	"float":              {0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0},
	"tag":                {0xc2, 0x41, 0x01},
	"endless bytes":      {0x5f, 0x41, 0x00, 0xff},
	"endless array":      {0x9f, 0x00, 0xff},
	"endless map":        {0xbf, 0xff},
	"break":              {0xff},
	"nothing":            {},
}

// heads replace the beginning of a string, array or map, whose contents stay.
var heads = map[string]func(major byte, count int) []byte{
	"one less":  func(major byte, n int) []byte { return head(major, uint64(max(0, n-1))) },
	"one more":  func(major byte, n int) []byte { return head(major, uint64(n+1)) },
	"2^32 more": func(major byte, n int) []byte { return head(major, uint64(n)+1<<32) },
	"2^31-1":    func(major byte, _ int) []byte { return head(major, 1<<31-1) },
	"2^63-1":    func(major byte, _ int) []byte { return head(major, 1<<63-1) },
	"2^64-1":    func(major byte, _ int) []byte { return head(major, 1<<64-1) },
	"not minimal": func(major byte, n int) []byte {
		return append([]byte{major<<5 | 27}, binary.BigEndian.AppendUint64(nil, uint64(n))...)
	},
}

// itemMutations replace each item of an answer, a status byte and one item, and the head of each that has a length.
func itemMutations(answer []byte) (all []mutation) {
	if len(answer) < 2 {
		return nil
	}
	for i, it := range items(answer[1:]) {
		for name, r := range replacements {
			all = append(all, mutation{fmt.Sprintf("item %d replaced by %s", i, name), func(b []byte) []byte {
				return append(b[:1:1], replaceItem(b[1:], i, r)...)
			}})
		}
		if it.major < 2 || it.major > 5 {
			continue
		}
		for name, h := range heads {
			all = append(all, mutation{fmt.Sprintf("item %d has length %s", i, name), func(b []byte) []byte {
				return append(b[:1:1], replaceHead(b[1:], i, h)...)
			}})
		}
	}
	return all
}

// authDataMutations do the same to the items inside of authenticator data, which is member 2, and flip its flags. An
// answer without any, an error, has none.
func authDataMutations(answer []byte) (all []mutation) {
	i, inner := findAuthData(answer[1:])
	if i < 0 {
		return nil
	}
	add := func(name string, change func(inner []byte) []byte) {
		all = append(all, mutation{"in the authenticator data " + name, func(b []byte) []byte {
			_, inner := findAuthData(b[1:])
			inner = change(bytes.Clone(inner))
			return append(b[:1:1], replaceItem(b[1:], i, slices.Concat(head(2, uint64(len(inner))), inner))...)
		}})
	}
	for _, m := range itemMutations(append([]byte{0}, inner[cborOffset(inner):]...)) {
		add(m.name, func(inner []byte) []byte {
			at := cborOffset(inner)
			return append(inner[:at:at], m.apply(append([]byte{0}, inner[at:]...))[1:]...)
		})
	}
	for bit := range 8 {
		add(fmt.Sprintf("flag %d flipped", bit), func(inner []byte) []byte {
			inner[32] ^= 1 << bit
			return inner
		})
	}
	return all
}

// item is a CBOR item in an encoding.
type item struct {
	start, content, end int // the head ends where the content begins
	major               byte
	count               int
}

// items returns all items of a sequence of well-formed ones, outer before inner, in the order in which they begin.
func items(b []byte) (all []item) {
	for at := 0; at < len(b); {
		var more []item
		more, at = nested(b, at)
		all = append(all, more...)
	}
	return all
}

// nested returns the item that begins at start, and those in it.
func nested(b []byte, start int) (all []item, end int) {
	count, content := argument(b, start)
	it := item{start: start, content: content, end: content, major: b[start] >> 5, count: count}
	all = append(all, it)
	children := 0
	switch it.major {
	case 2, 3:
		it.end += count
	case 4:
		children = count
	case 5:
		children = 2 * count
	}
	for range children {
		var inner []item
		inner, it.end = nested(b, it.end)
		all = append(all, inner...)
	}
	all[0] = it
	return all, it.end
}

func argument(b []byte, start int) (n, end int) {
	switch info := b[start] & 0x1f; info {
	case 24:
		return int(b[start+1]), start + 2
	case 25:
		return int(binary.BigEndian.Uint16(b[start+1:])), start + 3
	case 26:
		return int(binary.BigEndian.Uint32(b[start+1:])), start + 5
	default:
		return int(info), start + 1
	}
}

// head returns the shortest head.
func head(major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major | 27}, n)
}

func replaceItem(b []byte, i int, with []byte) []byte {
	it := items(b)[i]
	return slices.Concat(b[:it.start], with, b[it.end:])
}

func replaceHead(b []byte, i int, with func(major byte, count int) []byte) []byte {
	it := items(b)[i]
	return slices.Concat(b[:it.start], with(it.major, it.count), b[it.content:])
}

// findAuthData returns the number of the item that is the value of member 2, and its content; -1 if there is none.
func findAuthData(b []byte) (number int, data []byte) {
	all := items(b)
	for i := 1; i < len(all)-1; i++ {
		key, value := all[i], all[i+1]
		if key.end-key.start == 1 && b[key.start] == 0x02 && value.major == 2 {
			return i + 1, b[value.content:value.end]
		}
	}
	return -1, nil
}

// cborOffset returns where the COSE key begins, or the extensions where there is none.
func cborOffset(authData []byte) int {
	const fixed, attested = 37, 0x40
	if authData[32]&attested == 0 {
		return fixed
	}
	idSize := int(binary.BigEndian.Uint16(authData[fixed+16:]))
	return fixed + 16 + 2 + idSize
}

func TestMutationsAreWhatTheySay(t *testing.T) {
	b, err := ctapcbor.Marshal(map[int]any{1: "x", 2: []any{-5, []byte{7}}})
	require.NoError(t, err)
	require.Equal(t, "a2016178 0282244107", fmt.Sprintf("%x %x", b[:4], b[4:]))
	var starts []int
	for _, it := range items(b) {
		starts = append(starts, it.start)
	}
	require.Equal(t, []int{0, 1, 2, 4, 5, 6, 7}, starts)
	require.Equal(t, []byte{0xa2, 1, 0x61, 'x', 2, 0xf6}, replaceItem(b, 4, []byte{0xf6}))
	require.Equal(t, []byte{0xa2, 1, 0x62, 'x', 2, 0x82, 0x24, 0x41, 7}, replaceHead(b, 2, heads["one more"]))
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32} {
		want, err := ctapcbor.Marshal(n)
		require.NoError(t, err)
		require.Equal(t, want, head(0, n))
	}
	answer := append([]byte{0}, b...)
	for _, m := range slices.Concat(byteMutations(answer), itemMutations(answer)) {
		require.NotEqual(t, answer, m.apply(answer), m.name)
	}
	require.Equal(t, "00a2016178 0282244107", fmt.Sprintf("%x %x", answer[:5], answer[5:]), "not changed in place")
}
