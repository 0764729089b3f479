package helper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxMessage is how many bytes a message may have, in either direction. It is what Chrome takes from a native-messaging
// host.
const MaxMessage = 1 << 20

// Framing is how one message is told from the next: [Lines] or [Frames].
type Framing interface {
	// read returns the next message. After a [refusal] the one behind it can be read; every other error is the end, which
	// is io.EOF between two messages.
	read(*bufio.Reader) ([]byte, error)
	encode(message []byte) []byte
}

var (
	// Lines ends each message by a line feed; empty lines are skipped.
	Lines Framing = lines{}
	// Frames precedes each message by its length, 4 bytes in the machine's own order: Chrome's native messaging.
	Frames Framing = frames{}
)

type lines struct{}

func (lines) read(r *bufio.Reader) ([]byte, error) {
	for {
		line, err := readLine(r)
		if err != nil || len(bytes.TrimSpace(line)) > 0 {
			return line, err
		}
	}
}

// readLine skips the rest of a line that is too long.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		long = long || len(line)+len(part) > MaxMessage+1 // the line feed
		switch {
		case !long:
			line = append(line, part...)
		default:
			line = nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && (long || len(line) > 0): // the parent was killed in the middle of it
			return nil, fmt.Errorf("the last line has no end: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		case long:
			return nil, tooLarge("a line")
		default:
			return line, nil
		}
	}
}

func (lines) encode(message []byte) []byte { return append(message, '\n') }

type frames struct{}

const frameHeader = 4

func (frames) read(r *bufio.Reader) ([]byte, error) {
	header := make([]byte, frameHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, cutShort(err)
	}
	size := binary.NativeEndian.Uint32(header)
	if size > MaxMessage {
		if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
			return nil, cutShort(io.ErrUnexpectedEOF)
		}
		return nil, tooLarge("a frame")
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, cutShort(io.ErrUnexpectedEOF)
	}
	return message, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the last frame is cut short: %w", err)
	}
	return err
}

func (frames) encode(message []byte) []byte {
	frame := make([]byte, frameHeader, frameHeader+len(message))
	binary.NativeEndian.PutUint32(frame, uint32(len(message)))
	return append(frame, message...)
}

func tooLarge(what string) error {
	return &refusal{name: typeError, code: codeTooLarge, hint: "send less",
		err: fmt.Errorf("%s of more than %d bytes", what, MaxMessage)}
}
