package ctap1

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The instructions: U2F Raw Message Formats, section 3.1.1, and ISO 7816-4.
const (
	insRegister     = 0x01 // U2F_REGISTER
	insAuthenticate = 0x02 // U2F_AUTHENTICATE
	insVersion      = 0x03 // U2F_VERSION
	insGetResponse  = 0xc0 // GET RESPONSE
)

// command is what a command APDU says, however it is encoded. CLA and P2 are always 0, and the answer may have any
// length.
type command struct {
	ins, p1 byte
	data    []byte
}

func (c command) header() []byte { return []byte{0, c.ins, c.p1, 0} }

// maxShortData is the most that the one-byte length of the short encoding can count.
const maxShortData = 255

// extended returns the extended-length encoding, the only one that U2F over HID knows (U2F Raw Message Formats
// section 3.1.3). A command without data has no length of it.
func (c command) extended() []byte {
	if len(c.data) == 0 {
		return append(c.header(), 0, 0, 0)
	}
	apdu := binary.BigEndian.AppendUint16(append(c.header(), 0), uint16(len(c.data)))
	return append(append(apdu, c.data...), 0, 0)
}

// short returns the short encoding (section 3.1.2), for up to maxShortData bytes of data.
func (c command) short() []byte {
	if len(c.data) == 0 {
		return append(c.header(), 0)
	}
	apdu := append(c.header(), byte(len(c.data)))
	return append(append(apdu, c.data...), 0)
}

// fallbacks returns the encodings for a key that finds the length of the extended one wrong. The keys of U2F's first
// drafts want a length of the data even where there is none, which Chromium calls the legacy version command.
func (c command) fallbacks() [][]byte {
	if len(c.data) == 0 {
		return [][]byte{append(c.extended(), 0, 0), c.short()}
	}
	if len(c.data) > maxShortData {
		return nil
	}
	return [][]byte{c.short()}
}

// getResponse asks for the next piece of an answer; size is the low byte of the status word that announced it.
func getResponse(size byte) []byte { return []byte{0, insGetResponse, 0, 0, size} }

// splitAnswer takes the status word off a response APDU.
func splitAnswer(answer []byte) (data []byte, sw StatusWord, err error) {
	at := len(answer) - 2
	if at < 0 {
		return nil, 0, fmt.Errorf("%w: no status word in %d bytes", ErrInvalidResponse, len(answer))
	}
	return answer[:at], StatusWord(binary.BigEndian.Uint16(answer[at:])), nil
}

// registerCommand is U2F_REGISTER, section 4.1.
func registerCommand(challenge, application [32]byte) command {
	return command{ins: insRegister, data: slices.Concat(challenge[:], application[:])}
}

// authenticateCommand is U2F_AUTHENTICATE, section 5.1, for a key handle of at most 255 bytes.
func authenticateCommand(control Control, challenge, application [32]byte, keyHandle []byte) command {
	size := []byte{byte(len(keyHandle))}
	data := slices.Concat(challenge[:], application[:], size, keyHandle)
	return command{ins: insAuthenticate, p1: byte(control), data: data}
}
