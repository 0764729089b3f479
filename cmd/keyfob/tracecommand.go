package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

func traceCommand(inv *invocation) *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "trace FILE",
		Short: "Show what a program and a key said to each other, from a file that --trace wrote.",
		Long: "Show what a program and a key said to each other, from a file that --trace wrote, or - for standard input:\n" +
			"> is what the program asked, . what the key waited for, < what it answered, and ! that it failed to.\n" +
			"Byte strings that may be secret are elided.",
		Args:   cobra.ExactArgs(1),
		PreRun: func(_ *cobra.Command, args []string) { path = args[0] },
		RunE:   inv.run(func(ctx context.Context) (output, error) { return inv.readTrace(ctx, path) }),
	}
	return cmd
}

func (inv *invocation) readTrace(ctx context.Context, path string) (output, error) {
	from := inv.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, failuref(exitError, "", "%w", err)
		}
		defer f.Close()
		from = f
	}
	var transcript *ctaphid.Transcript
	_, err := await(ctx, func() (_ []byte, err error) { // standard input may never end
		transcript, err = ctaphid.ReadTranscript(from)
		return nil, err
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, failuref(exitError, "name a file that --trace wrote", "%s: %w", path, err)
	}
	var c conversation
	for _, m := range transcript.Messages() {
		c.add(m)
	}
	return c.said(), nil
}

// conversation follows what is said on the channels of a key.
type conversation struct {
	lines   []utterance
	waiting []*exchange // requests of CTAP2 without an answer yet
}

// exchange is a request of CTAP2 and what the key said meanwhile.
type exchange struct {
	request    ctaphid.Message
	keepalives []ctaphid.Message
}

func (c *conversation) add(m ctaphid.Message) {
	open := slices.IndexFunc(c.waiting, func(e *exchange) bool { return e.request.CID == m.CID })
	switch {
	case !m.FromDevice && m.Command == ctaphid.CommandCBOR:
		c.waiting = append(c.waiting, &exchange{request: m})
	case open >= 0 && m.FromDevice && m.Command == ctaphid.CommandKeepalive:
		c.waiting[open].keepalives = append(c.waiting[open].keepalives, m)
	case open >= 0 && m.FromDevice:
		c.finish(c.waiting[open], &m)
		c.waiting = slices.Delete(c.waiting, open, open+1)
	case m.Command != ctaphid.CommandKeepalive: // U2F's tell nothing
		c.say(m.Time, m, direction(m)+" "+describe(m))
	}
}

// said returns all lines in the order of time, with the requests that nobody answered.
func (c *conversation) said() utterances {
	for _, e := range c.waiting {
		c.finish(e, nil)
	}
	slices.SortStableFunc(c.lines, func(a, b utterance) int { return cmp.Compare(a.at, b.at) })
	return c.lines
}

func (c *conversation) say(at time.Duration, m ctaphid.Message, text string) {
	c.lines = append(c.lines, utterance{at, m.CID, text})
}

// finish has [ctap2.Trace] tell of an exchange, as if it happened now.
func (c *conversation) finish(e *exchange, answer *ctaphid.Message) {
	p := &playback{conversation: c, exchange: e, answer: answer, at: e.request.Time}
	ctap2.Trace(p, p).CBOR(context.Background(), e.request.Data, nil)
}

// playback is a key that says again what it said, and hears what is written about it.
type playback struct {
	*conversation
	*exchange
	answer *ctaphid.Message // nil: there was none
	at     time.Duration
}

// CBOR implements [ctap2.Transport].
func (p *playback) CBOR(_ context.Context, _ []byte, keepalive func(status byte)) ([]byte, error) {
	for _, m := range p.keepalives {
		if len(m.Data) == 1 {
			p.at = m.Time
			keepalive(m.Data[0])
		}
	}
	if p.answer == nil {
		return nil, errors.New("no answer")
	}
	p.at = p.answer.Time
	if p.answer.Command != ctaphid.CommandCBOR {
		return nil, errors.New(describe(*p.answer))
	}
	return p.answer.Data, nil
}

// Write implements [io.Writer]: each is a line.
func (p *playback) Write(line []byte) (int, error) {
	p.say(p.at, p.request, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

func direction(m ctaphid.Message) string {
	if m.FromDevice {
		return "<"
	}
	return ">"
}

// describe is what there is to say of a message that is not CTAP2's.
func describe(m ctaphid.Message) string {
	size := len(m.Data)
	text := fmt.Sprintf("%v, %d bytes", m.Command, size)
	switch {
	case m.Command == ctaphid.CommandError && size == 1:
		return ctaphid.Error(m.Data[0]).Error()
	case m.Command == ctaphid.CommandMsg && m.FromDevice && size >= 2:
		return fmt.Sprintf("%s, %v", text, ctap1.StatusWord(m.Data[size-2])<<8|ctap1.StatusWord(m.Data[size-1]))
	case m.Command == ctaphid.CommandMsg && size >= 4:
		return fmt.Sprintf("%s, instruction %#02x", text, m.Data[1])
	}
	return text
}

// utterance is a line of a conversation.
type utterance struct {
	at      time.Duration // since the trace began
	channel uint32
	text    string // its first character tells who speaks
}

// utterances is a conversation as output.
type utterances []utterance

// MarshalJSON implements [json.Marshaler].
func (l utterances) MarshalJSON() ([]byte, error) {
	records := make([]record, len(l))
	for i, u := range l {
		who, text, _ := strings.Cut(u.text, " ")
		records[i] = record{
			{"seconds", u.at.Seconds()}, {"channel", fmt.Sprintf("%08x", u.channel)}, {"kind", speakers[who]}, {"text", text},
		}
	}
	return json.Marshal(records)
}

// text shows a line each, behind the seconds.
func (l utterances) text(p *page) {
	for _, u := range l {
		fmt.Fprintf(p, "%10.6f %s\n", u.at.Seconds(), printable(u.text))
	}
}

var speakers = map[string]string{">": "request", ".": "keepalive", "<": "answer", "!": "failure"}
