package virtual

import (
	"encoding/binary"

	"github.com/keyfob-go/keyfob/ctap1"
)

// apdu is a U2F command, however it was encoded: FIDO U2F Raw Message Formats, section 3.1. P2 and the length that
// the platform expects of the answer mean nothing.
type apdu struct {
	ins, p1 byte
	data    []byte
}

// parseAPDU decodes b and keeps parts of it. The error is the status word that refuses it.
func parseAPDU(b []byte) (apdu, error) {
	const headerSize = 4 // CLA, INS, P1, P2
	if len(b) < headerSize {
		return apdu{}, ctap1.ErrWrongLength
	}
	if b[0] != 0 {
		return apdu{}, ctap1.ErrClassNotSupported
	}
	data, ok := apduData(b[headerSize:])
	if !ok {
		return apdu{}, ctap1.ErrWrongLength
	}
	return apdu{ins: b[1], p1: b[2], data: data}, nil
}

// apduData returns the data behind the header. A first byte of 0 that is not the last one means lengths of two
// bytes.
func apduData(b []byte) (data []byte, ok bool) {
	switch {
	case len(b) <= 1: // at most an expected length
		return nil, true
	case b[0] != 0:
		return cutData(b[1:], int(b[0]), 1)
	case len(b) == 2:
		return nil, false
	case len(b) == 3: // nothing but an expected length
		return nil, true
	}
	return cutData(b[3:], int(binary.BigEndian.Uint16(b[1:])), 2)
}

// cutData returns size bytes of b, behind which an expected length of so many bytes may follow.
func cutData(b []byte, size, lengthSize int) (data []byte, ok bool) {
	rest := len(b) - size
	if rest != 0 && rest != lengthSize {
		return nil, false
	}
	return b[:size], true
}
