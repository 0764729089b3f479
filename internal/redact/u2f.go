package redact

import (
	"encoding/binary"

	"github.com/keyfob-go/keyfob/ctaphid"
)

// The instructions of U2F.
const (
	insRegister     = 0x01
	insAuthenticate = 0x02
)

// apdu redacts a U2F message (U2F Raw Message Formats, sections 3 to 6).
func (r *Redactor) apdu(m ctaphid.Message) {
	if m.FromDevice {
		r.apduResponse(r.instructions[m.CID], m.Data)
		return
	}
	r.instructions[m.CID] = r.apduRequest(m.Data)
}

func (r *Redactor) apduRequest(b []byte) (instruction byte) {
	const hashes = 32 + 32
	data, ok := apduData(b)
	if !ok {
		r.hide(b)
		return 0
	}
	instruction = b[1]
	if len(data) < hashes {
		r.hide(data)
		return instruction
	}
	r.hideBytes(data[:32]) // challenge
	r.hideBytes(data[32:hashes])
	if rest := data[hashes:]; len(rest) > 0 {
		r.hideBytes(rest[1:]) // the key handle after its length
	}
	return instruction
}

// apduData returns the data of a request in either encoding. What follows them is the length of the answer, or data
// that do not belong there.
func apduData(b []byte) (data []byte, ok bool) {
	const header, maxExpected = 4, 3
	if len(b) < header {
		return nil, false
	}
	size, rest := 0, b[header:]
	switch {
	case len(rest) <= maxExpected: // none
		return nil, true
	case rest[0] == 0:
		size, rest = int(binary.BigEndian.Uint16(rest[1:])), rest[3:]
	default:
		size, rest = int(rest[0]), rest[1:]
	}
	if size > len(rest) || len(rest)-size > maxExpected {
		return nil, false
	}
	return rest[:size], true
}

func (r *Redactor) apduResponse(instruction byte, b []byte) {
	const statusWord = 2
	if len(b) <= statusWord {
		return
	}
	data := b[:len(b)-statusWord]
	switch {
	case string(data) == "U2F_V2": // to the instruction VERSION
	case instruction == insRegister:
		r.registration(data)
	case instruction == insAuthenticate && len(data) > 5:
		clear(data[1:5]) // the counter
		r.signature(data[5:])
	default:
		r.hide(data)
	}
}

// registration redacts what a key answers to U2F_REGISTER: 5, public key, key handle, certificate, signature.
func (r *Redactor) registration(b []byte) {
	const header = 1 + 65 + 1
	if len(b) < header {
		r.hide(b)
		return
	}
	x, y := b[2:34], b[34:66]
	r.hide(x)
	r.hide(y)
	repairPoint(1, x, y)
	size, rest := int(b[header-1]), b[header:]
	size = min(size, len(rest))
	r.hideBytes(rest[:size])
	content, rest, ok := derElement(rest[size:])
	r.hide(content)
	if !ok {
		r.hide(rest)
		return
	}
	r.signature(rest)
}

// signature redacts a DER sequence of two positive integers, which it still is afterwards.
func (r *Redactor) signature(b []byte) {
	integers, rest, ok := derElement(b)
	r.hide(rest)
	for ok && len(integers) > 0 {
		var n []byte
		n, integers, ok = derElement(integers)
		r.integer(n)
	}
	r.hide(integers)
}

// integer replaces a positive number by one that is encoded in as many bytes.
func (r *Redactor) integer(n []byte) {
	if len(n) < 2 {
		return
	}
	padded := n[0] == 0
	r.hide(n)
	if padded {
		n[0], n[1] = 0, n[1]|0x80
	} else {
		n[0] = n[0]&0x3f | 0x40
	}
}

// derElement splits b after its first DER element. If it is none, all of b is the rest.
func derElement(b []byte) (content, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	size, at := int(b[1]), 2
	switch wide := size - 0x80; {
	case wide == 1 && len(b) > 2:
		size, at = int(b[2]), 3
	case wide == 2 && len(b) > 3:
		size, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case wide >= 0:
		return nil, b, false
	}
	if size > len(b)-at {
		return nil, b, false
	}
	return b[at : at+size], b[at+size:], true
}
