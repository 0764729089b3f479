package ctapcbor

import (
	"encoding/binary"
	"errors"
)

// Major is the major type of a CBOR item, RFC 8949 section 3.1.
type Major byte

// The major types.
const (
	MajorUnsigned Major = iota
	MajorNegative
	MajorBytes
	MajorText
	MajorArray
	MajorMap
	MajorTag
	MajorSimple // and floating-point numbers
)

var errHead = errors.New("truncated item, or one of indefinite length")

// Head decodes the head of the item that b begins with, for those who walk over encoded items: its type, its argument
// (a number, a length, a count) and what follows the head. An argument says nothing about what is really there.
func Head(b []byte) (major Major, argument uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errHead
	}
	major, short, rest := Major(b[0]>>5), b[0]&0x1f, b[1:]
	if short < 24 {
		return major, uint64(short), rest, nil
	}
	size := 1 << (short - 24) // 1, 2, 4, 8
	if short > 27 || len(rest) < size {
		return 0, 0, nil, errHead
	}
	var wide [8]byte
	copy(wide[8-size:], rest)
	return major, binary.BigEndian.Uint64(wide[:]), rest[size:], nil
}

// MaxDepth is how deep a walk need go: no message that [Unmarshal] accepts is nested deeper.
const MaxDepth = maxNestedLevels
