package transcripts

import (
	"io"
	"slices"
	"sync/atomic"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// exchange is a message to the key and what came back: the answer or an error, nothing if the key was pulled.
type exchange struct {
	ctaphid.Message
	answer *ctaphid.Message
}

// exchanges pairs the messages. A cancelled request is answered after the CANCEL, which has no answer.
func exchanges(messages []ctaphid.Message) (all []*exchange) {
	for _, m := range messages {
		if !m.FromDevice {
			all = append(all, &exchange{Message: m})
			continue
		}
		for _, e := range slices.Backward(all) {
			if e.CID == m.CID && e.Command != ctaphid.CommandCancel {
				if e.answer == nil && e.isAnsweredBy(m) {
					e.answer = &m
				}
				break
			}
		}
	}
	return all
}

func (e *exchange) isAnsweredBy(m ctaphid.Message) bool {
	return m.Command == e.Command || m.Command == ctaphid.CommandError
}

// command returns the CTAP2 command, 0 if it is none.
func (e *exchange) command() ctap2.Command {
	if e.Command != ctaphid.CommandCBOR || len(e.Data) == 0 {
		return 0
	}
	return ctap2.Command(e.Data[0])
}

// subcommand returns that of clientPIN, 0 for other commands.
func (e *exchange) subcommand() ctap2.Subcommand {
	return e.clientPIN().Subcommand
}

func (e *exchange) clientPIN() (req ctap2.ClientPINRequest) {
	if e.command() == ctap2.CommandClientPIN {
		e.decode(&req)
	}
	return req
}

// sameKind says that e and other ask for the same.
func (e *exchange) sameKind(other *exchange) bool {
	return e.Command == other.Command && e.command() == other.command() && e.subcommand() == other.subcommand()
}

// decode decodes the parameters as far as they go.
func (e *exchange) decode(req any) { ctapcbor.Unmarshal(e.Data[1:], req) }

// status returns the CTAP2 status of the answer.
func (e *exchange) status() (s ctap2.Status, ok bool) {
	if e.answer == nil || e.answer.Command != ctaphid.CommandCBOR || len(e.answer.Data) == 0 {
		return 0, false
	}
	return ctap2.Status(e.answer.Data[0]), true
}

// counting is a device that counts the messages to it.
type counting struct {
	io.ReadWriteCloser
	sent atomic.Int64
}

func (c *counting) ReportSizes() (in, out int) {
	return c.ReadWriteCloser.(interface{ ReportSizes() (in, out int) }).ReportSizes()
}

func (c *counting) Write(p []byte) (int, error) {
	const initBit = 0x80
	if len(p) > 4 && p[4]&initBit != 0 {
		c.sent.Add(1)
	}
	return c.ReadWriteCloser.Write(p)
}
