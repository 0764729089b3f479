package virtual

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"unicode/utf8"
)

// maxNesting is how deep maps and arrays may lie in each other, section 8.
const maxNesting = 4

// CBOR major types, the upper three bits of an item's first byte.
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// canonical reports whether b is exactly one item in the CTAP2 canonical CBOR form of section 8: shortest integers
// and lengths, sorted and different keys, no tags, no indefinite lengths. The decoder is more lenient than that.
func canonical(b []byte) bool {
	rest, ok := skipItem(b, maxNesting)
	return ok && len(rest) == 0
}

// skipItem returns what follows the first item of b. Its containers may be nested so many levels deep.
func skipItem(b []byte, levels int) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	major := b[0] >> 5
	if major == majorSimple {
		return skipSimple(b)
	}
	n, rest, ok := readArgument(b)
	if !ok {
		return nil, false
	}
	switch major {
	case majorUnsigned, majorNegative:
		return rest, true
	case majorBytes, majorText:
		return skipString(rest, n, major == majorText)
	case majorArray:
		return skipArray(rest, n, levels-1)
	case majorMap:
		return skipMap(rest, n, levels-1)
	}
	return nil, false // a tag
}

// readArgument returns the number that the head of an item carries.
func readArgument(b []byte) (n uint64, rest []byte, ok bool) {
	short, b := b[0]&0x1f, b[1:]
	if short < 24 {
		return uint64(short), b, true
	}
	if short > 27 { // reserved, or an indefinite length
		return 0, nil, false
	}
	size := 1 << (short - 24)
	if len(b) < size {
		return 0, nil, false
	}
	var wide [8]byte
	copy(wide[8-size:], b)
	n = binary.BigEndian.Uint64(wide[:])
	return n, b[size:], n >= leastOfSize[short-24]
}

// leastOfSize is the least number that needs an argument of 1, 2, 4 and 8 bytes.
var leastOfSize = [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}

// skipSimple takes false, null and their like, and floating-point numbers, which are never rewritten.
func skipSimple(b []byte) (rest []byte, ok bool) {
	const leastWide = 32 // the smaller ones must be in the first byte
	short := b[0] & 0x1f
	size := 1
	if short >= 24 {
		size += 1 << (short - 24)
	}
	if short > 27 || len(b) < size || short == 24 && b[1] < leastWide {
		return nil, false
	}
	return b[size:], true
}

func skipString(b []byte, n uint64, text bool) (rest []byte, ok bool) {
	if n > uint64(len(b)) {
		return nil, false
	}
	return b[n:], !text || utf8.Valid(b[:n])
}

// skipArray ends early when b does, whatever number of elements it claims.
func skipArray(b []byte, n uint64, levels int) (rest []byte, ok bool) {
	for ok = levels >= 0; ok && n > 0; n-- {
		b, ok = skipItem(b, levels)
	}
	return b, ok
}

func skipMap(b []byte, n uint64, levels int) (rest []byte, ok bool) {
	var last []byte
	for ok = levels >= 0; ok && n > 0; n-- {
		value, isItem := skipItem(b, levels)
		if !isItem {
			return nil, false
		}
		key := b[:len(b)-len(value)]
		if last != nil && compareKeys(last, key) >= 0 {
			return nil, false
		}
		last = key
		b, ok = skipItem(value, levels)
	}
	return b, ok
}

// compareKeys orders encoded keys by major type, then length, then bytes.
func compareKeys(a, b []byte) int {
	return cmp.Or(cmp.Compare(a[0]>>5, b[0]>>5), cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}
