package virtual

import (
	"bytes"
	"slices"
	"sync"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// Override makes the key answer one CTAP2 command with a status and, if it is 0, members in CBOR, nil for none, instead of
// running it. It is for [Faults].Answer.
func Override(
	cmd ctap2.Command, status ctap2.Status, members []byte,
) func(ctaphid.Command, []byte, func() []byte) []byte {
	answer := append([]byte{byte(status)}, members...)
	return func(transport ctaphid.Command, request []byte, run func() []byte) []byte {
		if transport == ctaphid.CommandCBOR && len(request) > 0 && ctap2.Command(request[0]) == cmd {
			return bytes.Clone(answer)
		}
		return run()
	}
}

// ReplaceStatus makes the key answer CTAP2 commands with another status where it would answer with this one: for example
// [ctap2.ErrKeepaliveCancel], as some keys do when they are cancelled. It is for [Faults].Answer.
func ReplaceStatus(old, with ctap2.Status) func(ctaphid.Command, []byte, func() []byte) []byte {
	return func(transport ctaphid.Command, _ []byte, run func() []byte) []byte {
		answer := run()
		if transport == ctaphid.CommandCBOR && len(answer) > 0 && ctap2.Status(answer[0]) == old {
			return []byte{byte(with)}
		}
		return answer
	}
}

// History remembers what platforms have asked a key, for tests that count or look. The zero value is ready; its methods
// may be called concurrently.
//
//	history := new(virtual.History)
//	key, err := virtual.New(virtual.Config{Faults: virtual.Faults{Answer: history.Answer}})
type History struct {
	mu       sync.Mutex
	requests []Request
}

// Request is a message to a key.
type Request struct {
	Command ctaphid.Command // CommandCBOR, or CommandMsg for U2F
	Data    []byte          // a command byte with its parameters, or an APDU
}

// Answer writes the request down and lets the key run it. It is for [Faults].Answer, or to be called in one.
func (h *History) Answer(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
	h.mu.Lock()
	h.requests = append(h.requests, Request{cmd, bytes.Clone(request)})
	h.mu.Unlock()
	return run()
}

// Requests returns what there was so far, the oldest first.
func (h *History) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// Clear forgets everything.
func (h *History) Clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}
