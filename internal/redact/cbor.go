package redact

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// cbor redacts a CTAP2 message. The first byte is the command of a request or the status of a response.
func (r *Redactor) cbor(m ctaphid.Message) {
	if len(m.Data) == 0 {
		return
	}
	w := walker{Redactor: r}
	if m.FromDevice {
		w.shape = responses[r.commands[m.CID]]
	} else {
		r.commands[m.CID] = ctap2.Command(m.Data[0])
	}
	if rest, err := w.message(m.Data[1:]); err != nil {
		r.hide(rest)
	}
}

// shape says what is special about a response. The zero shape hides everything.
type shape struct {
	texts   bool                              // stay, and are words from then on
	members map[int64]func(*Redactor, []byte) // byte strings that are not just hidden
}

var responses = map[ctap2.Command]shape{
	ctap2.CommandGetInfo:          {texts: true, members: map[int64]func(*Redactor, []byte){0x03: keep}}, // aaguid
	ctap2.CommandMakeCredential:   {members: map[int64]func(*Redactor, []byte){0x02: (*Redactor).authData}},
	ctap2.CommandGetAssertion:     {members: map[int64]func(*Redactor, []byte){0x02: (*Redactor).authData}},
	ctap2.CommandGetNextAssertion: {members: map[int64]func(*Redactor, []byte){0x02: (*Redactor).authData}},
}

func keep(*Redactor, []byte) {}

// authData redacts authenticator data, WebAuthn Level 3 section 6.1. The AAGUID stays: it tells the model.
func (r *Redactor) authData(b []byte) {
	const hashSize, headerSize, credentialHeader = 32, 32 + 1 + 4, 16 + 2
	if len(b) < headerSize {
		r.hide(b)
		return
	}
	flags, rest := ctap2.Flags(b[hashSize]), b[headerSize:]
	r.hideBytes(b[:hashSize])
	clear(b[hashSize+1 : headerSize]) // the counter of signatures
	if flags.Has(ctap2.FlagAT) && len(rest) >= credentialHeader {
		size := int(binary.BigEndian.Uint16(rest[16:]))
		rest = rest[credentialHeader:]
		size = min(size, len(rest))
		r.hideBytes(rest[:size])
		rest = r.item(rest[size:])
	}
	if flags.Has(ctap2.FlagED) {
		rest = r.item(rest)
	}
	r.hide(rest)
}

// item redacts the item that b begins with, and returns what follows it or is no item.
func (r *Redactor) item(b []byte) []byte {
	w := walker{Redactor: r}
	rest, _ := w.item(b, 0)
	return rest
}

// walker goes through one encoded message, which keeps its structure.
type walker struct {
	*Redactor
	shape
}

var errMalformed = errors.New("malformed CBOR")

// message redacts the members of a message. With an error it returns what it did not understand.
func (w *walker) message(b []byte) (rest []byte, err error) {
	if len(b) == 0 {
		return b, nil
	}
	rest, err = w.item(b, 0)
	if err == nil && len(rest) > 0 {
		err = errMalformed
	}
	return rest, err
}

func (w *walker) item(b []byte, depth int) (rest []byte, err error) {
	if depth > ctapcbor.MaxDepth {
		return b, errMalformed
	}
	major, n, rest, err := ctapcbor.Head(b)
	if err != nil {
		return b, errMalformed
	}
	switch major {
	case ctapcbor.MajorBytes, ctapcbor.MajorText:
		return w.string(major, n, rest)
	case ctapcbor.MajorArray:
		return w.array(n, rest, depth)
	case ctapcbor.MajorMap:
		return w.pairs(n, rest, depth)
	case ctapcbor.MajorTag:
		return w.item(rest, depth+1)
	}
	return rest, nil
}

func (w *walker) string(major ctapcbor.Major, n uint64, b []byte) (rest []byte, err error) {
	if n > uint64(len(b)) {
		return b, errMalformed
	}
	content, rest := b[:n], b[n:]
	switch {
	case major == ctapcbor.MajorBytes:
		w.hideBytes(content)
	case w.texts:
		w.learn(content)
	default:
		w.hideText(content)
	}
	return rest, nil
}

func (w *walker) array(n uint64, b []byte, depth int) (rest []byte, err error) {
	for ; n > 0; n-- {
		if b, err = w.item(b, depth+1); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (w *walker) pairs(n uint64, b []byte, depth int) (rest []byte, err error) {
	var key coseKey
	for ; n > 0; n-- {
		label, value, err := w.label(b, depth)
		if err != nil {
			return value, err
		}
		if b, err = w.member(label, value, depth); err != nil {
			return b, err
		}
		key.add(label, value[:len(value)-len(b)])
	}
	key.repair()
	return b, nil
}

// noLabel stands for a label that is no number.
const noLabel = math.MinInt64

func (w *walker) label(b []byte, depth int) (label int64, value []byte, err error) {
	label = integer(b)
	value, err = w.item(b, depth+1)
	return label, value, err
}

// integer returns the number that b begins with, or noLabel.
func integer(b []byte) int64 {
	major, n, _, err := ctapcbor.Head(b)
	switch {
	case err != nil || n > math.MaxInt64-1:
		return noLabel
	case major == ctapcbor.MajorUnsigned:
		return int64(n)
	case major == ctapcbor.MajorNegative:
		return -1 - int64(n)
	}
	return noLabel
}

// member redacts a value.
func (w *walker) member(label int64, b []byte, depth int) (rest []byte, err error) {
	special := w.special(label, depth)
	if special == nil {
		return w.item(b, depth+1)
	}
	content, rest := byteString(b)
	if content == nil {
		return w.item(b, depth+1)
	}
	special(w.Redactor, content)
	return rest, nil
}

func (w *walker) special(label int64, depth int) func(*Redactor, []byte) {
	if depth > 0 {
		return nil
	}
	return w.shape.members[label]
}

// byteString returns the content of the byte string that b begins with, nil if there is none.
func byteString(b []byte) (content, rest []byte) {
	major, n, rest, err := ctapcbor.Head(b)
	if err != nil || major != ctapcbor.MajorBytes || n > uint64(len(rest)) {
		return nil, nil
	}
	return rest[:n], rest[n:]
}
