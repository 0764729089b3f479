package helper

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// Each mistake gets an error that names it, no key is opened for it, and the conversation goes on.
func TestMistakesAreNamedAndReachNoKey(t *testing.T) {
	t.Parallel()
	salt := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	derive := func(credentials string) string {
		return `{"type":"derive","id":"1","rpId":"x","userVerification":"required","credentials":` + credentials + `}`
	}
	cases := []struct{ text, id, code, says string }{
		{`hello`, "", "bad-message", "not a JSON object"},
		{`[]`, "", "bad-message", "not a JSON object"},
		{`{"type":"list","id":"1"`, "", "bad-message", "EOF"},
		{`{"type":"list","id":"1"} {}`, "", "bad-message", "something follows"},
		{`{"type":"list","id":"1","id":"2"}`, "", "bad-message", `member "id" repeats`},
		{"{\"type\":\"list\",\"id\":\"\xff\"}", "", "bad-message", "not UTF-8"},
		{`{"type":"list"}`, "", "bad-message", "id: missing"},
		{`{"type":"list","id":7}`, "", "bad-message", "id: not a string"},
		{`{"type":"list","id":""}`, "", "bad-message", "id: not a text of 1 to 64 bytes"},
		{`{"type":"list","id":"\ud800"}`, "", "bad-message", "id: not a text of 1 to 64 bytes"},
		{`{"type":"list","id":"` + strings.Repeat("x", 65) + `"}`, "", "bad-message", "id: not a text of 1 to 64 bytes"},
		{`{"id":"1"}`, "1", "bad-message", "type: missing"},
		{`{"type":null,"id":"1"}`, "1", "bad-message", "type: missing"},
		{`{"type":{},"id":"1"}`, "1", "bad-message", "type: not a string"},
		{`{"type":"Create","id":"1"}`, "1", "bad-message", `unknown type "Create"`},
		{`{"type":"list","id":"1","origin":"x"}`, "1", "bad-message", `list: unknown member "origin"`},
		{`{"type":"create","id":"1","options":{},"origin":"x","topOrgin":"y"}`, "1", "bad-message", `unknown member "topOrgin"`},
		{`{"type":"create","id":"1","options":{}}`, "1", "bad-message", "origin: missing"},
		{`{"type":"create","id":"1","options":{},"origin":1}`, "1", "bad-message", "origin: not a string"},
		{`{"type":"create","id":"1","origin":"https://example.org","options":null}`, "1", "bad-message", "options: missing"},
		{`{"type":"create","id":"1","origin":"https://example.org","options":[]}`, "1", "invalid-options", "not a JSON object"},
		{`{"type":"create","id":"1","origin":"ftp://example.org","options":{}}`, "1", "security", "ftp://example.org"},
		{`{"type":"get","id":"1","origin":"https://example.org","topOrigin":"x","options":{}}`, "1", "security", `origin "x"`},
		{`{"type":"get","id":"1","origin":"https://example.org","options":{}}`, "1", "invalid-options", "challenge: missing"},
		{`{"type":"get","id":"1","origin":"https://example.org","options":{"challenge":"!"}}`, "1", "invalid-options",
			"challenge: not base64url"},
		{`{"type":"get","id":"1","origin":"https://example.org","options":{"publicKey":{"challenge":"AA","allowCredentials":[{}]}}}`,
			"1", "invalid-options", "publicKey.allowCredentials[0].type: missing"},
		{`{"type":"get","id":"1","origin":"https://example.org","options":{"challenge":"AA","rpId":"example.net"}}`, "1",
			"security", "example.net"},
		{`{"type":"create","id":"1","origin":"https://example.org","options":{"challenge":"AA","rp":{},"user":{"id":"AA"},` +
			`"pubKeyCredParams":[{"type":"x","alg":1}]}}`, "1", "unsupported", "pubKeyCredParams"},
		{`{"type":"derive","id":"1","rpId":"x","userVerification":"required"}`, "1", "bad-message", "credentials: missing"},
		{`{"type":"derive","id":"1","rpId":"","userVerification":"required","credentials":[{"id":"AA","salts":["` + salt + `"]}]}`,
			"1", "bad-message", "rpId: empty"},
		{`{"type":"derive","id":"1","rpId":"x","userVerification":"preferred","credentials":[{"id":"AA","salts":["` + salt + `"]}]}`,
			"1", "bad-message", `userVerification: neither`},
		{derive(`{}`), "1", "bad-message", "credentials: not a list"},
		{derive(`[]`), "1", "bad-message", "credentials: 0 items, want 1 to 256"},
		{derive(`[7]`), "1", "bad-message", "credentials: [0]: not a JSON object"},
		{derive(`[{"id":"AA","salt":[]}]`), "1", "bad-message", `credentials: [0]: unknown member "salt"`},
		{derive(`[{"salts":["` + salt + `"]}]`), "1", "bad-message", "credentials: [0]: id: not a string"},
		{derive(`[{"id":"","salts":["` + salt + `"]}]`), "1", "bad-message", "credentials: [0]: id: 0 bytes, want 1 to 1023"},
		{derive(`[{"id":"A=","salts":["` + salt + `"]}]`), "1", "bad-message", "credentials: [0]: id: not base64url"},
		{derive(`[{"id":"AA"}]`), "1", "bad-message", "credentials: [0]: salts: not a list"},
		{derive(`[{"id":"AA","salts":["` + salt + `","AAAA"]}]`), "1", "bad-message", "salts: [1]: 3 bytes, want 32"},
		{derive(`[{"id":"AA","salts":["` + salt + `",null]}]`), "1", "bad-message", "salts: [1]: not a string"},
		{`{"type":"answer","id":"1","value":null}`, "1", "bad-message", "question: missing"},
		{`{"type":"answer","id":"1","question":1.5,"value":null}`, "1", "bad-message", "question: not an integer"},
		{`{"type":"answer","id":"1","question":1}`, "1", "bad-message", "value: missing"},
		{`{"type":"list","id":"1","x":"` + strings.Repeat("x", MaxMessage) + `"}`, "", "too-large", "1048576"},
	}
	for name, framing := range map[string]Framing{"lines": Lines, "frames": Frames} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParent(t, &Server{}, framing)
			p.plug(virtual.Config{})
			for _, c := range cases {
				p.write(c.text)
				m := p.read()
				require.Equal(t, "error", m["type"], c.text)
				if c.id == "" {
					require.NotContains(t, m, "id", c.text)
				} else {
					require.Equal(t, c.id, m["id"], c.text)
				}
				require.Equal(t, c.code, m["error"].(object)["code"], "%.200s: %v", c.text, m)
				require.Contains(t, m["error"].(object)["message"], c.says, "%.200s", c.text)
				require.NotEmpty(t, m["error"].(object)["name"])
			}
			require.Zero(t, p.opens.Load())
			p.say(create("c"))
			p.result()
			require.NoError(t, p.hangUp())
		})
	}
}

func TestAnswerToNoQuestionIsAMistake(t *testing.T) {
	t.Parallel()
	p := newParent(t, &Server{}, Lines)
	_, never := patientFinger()
	p.plug(virtual.Config{UserPresence: never})
	p.say(create("c"))
	p.await("event", "touch")
	p.say(object{"type": "answer", "id": "c", "question": 1, "value": "1234"})
	require.Contains(t, p.refused("c")["message"], "question: 1 was not asked")
}

func TestMessagesThatAreCutShortEndTheConversation(t *testing.T) {
	t.Parallel()
	header := func(size uint32) string { return string(binary.NativeEndian.AppendUint32(nil, size)) }
	for name, c := range map[string]struct {
		framing Framing
		text    string
	}{
		"line":             {Lines, `{"type":"list","id":"1"}`},
		"long line":        {Lines, strings.Repeat("x", MaxMessage+2)},
		"frame header":     {Frames, "\x01\x00"},
		"frame":            {Frames, header(24) + `{"type":"list"`},
		"frame, all of it": {Frames, header(24)},
		"oversize frame":   {Frames, header(1<<32-1) + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParent(t, &Server{}, c.framing)
			go func() {
				io.WriteString(p.in, c.text)
				p.in.Close()
			}()
			failed := p.read()
			require.Equal(t, "bad-message", failed["error"].(object)["code"])
			require.Contains(t, failed["error"].(object)["message"], "the last ")
			require.NoError(t, p.hangUp())
		})
	}
}

func TestEmptyLinesAreSkipped(t *testing.T) {
	t.Parallel()
	r := bufio.NewReader(strings.NewReader("\n \r\n{}\r\n\n"))
	b, err := Lines.read(r)
	require.NoError(t, err)
	require.Equal(t, "{}\r\n", string(b))
	_, err = Lines.read(r)
	require.Equal(t, io.EOF, err)
}

// A message of the largest size passes, and one byte more does not; what follows can be read in either case.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	for _, f := range []Framing{Lines, Frames} {
		largest := bytes.Repeat([]byte("x"), MaxMessage)
		var stream []byte
		stream = append(stream, f.encode(bytes.Clone(largest))...)
		stream = append(stream, f.encode(append(bytes.Clone(largest), 'y'))...)
		stream = append(stream, f.encode([]byte("{}"))...)
		r := bufio.NewReader(bytes.NewReader(stream))
		b, err := f.read(r)
		require.NoError(t, err)
		require.Equal(t, largest, bytes.TrimSuffix(b, []byte("\n")))
		_, err = f.read(r)
		require.ErrorContains(t, err, "more than 1048576 bytes")
		b, err = f.read(r)
		require.NoError(t, err)
		require.Equal(t, "{}", strings.TrimSpace(string(b)))
	}
}

// What is too large to send becomes an error that is not.
func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x := &session{box: newOutbox(Frames, &out)}
	x.reply("1", strings.Repeat("x", MaxMessage), nil)
	require.NoError(t, x.box.close())
	b, err := Frames.read(bufio.NewReader(&out))
	require.NoError(t, err)
	require.Contains(t, string(b), `"too-large"`)
}

// What one side encodes, the other reads.
func FuzzFraming(f *testing.F) {
	f.Add([]byte(`{"type":"list","id":"1"}`), false)
	f.Add([]byte("\n\n"), false)
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, stream []byte, framed bool) {
		framing := Lines
		if framed {
			framing = Frames
		}
		r := bufio.NewReader(bytes.NewReader(stream))
		for {
			b, err := framing.read(r)
			if err != nil {
				return
			}
			again, err := framing.read(bufio.NewReader(bytes.NewReader(framing.encode(bytes.TrimSuffix(b, []byte("\n"))))))
			require.NoError(t, err)
			require.Equal(t, bytes.TrimSuffix(b, []byte("\n")), bytes.TrimSuffix(again, []byte("\n")))
		}
	})
}

// A message that is taken has an id and a type that is known, and says the same when it is written down again.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"type":"list","id":"1"}`))
	f.Add([]byte(`{"type":"answer","id":"1","question":1,"value":"1234"}`))
	f.Add([]byte(`{"type":"create","id":"1","origin":"https://example.org","topOrigin":null,"options":{}}`))
	f.Add([]byte(`{"type":"derive","id":"1","rpId":"x","userVerification":"required","credentials":[{"id":"AA","salts":[` +
		`"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		require.Contains(t, members, m.kind)
		require.NotEmpty(t, m.id)
		var indented bytes.Buffer
		require.NoError(t, json.Indent(&indented, b, "", " "))
		again, err := parseMessage(indented.Bytes())
		require.NoError(t, err)
		again.options, again.value, m.options, m.value = nil, nil, nil, nil
		require.Equal(t, m, again)
	})
}
