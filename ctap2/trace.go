package ctap2

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Trace returns a Transport that hands everything on to t and writes to w, for people to read, what is said. Each
// line is one Write:
//
//	> clientPIN {1: 2, 2: 9, 3: {1: 2, 3: -25, -1: 1, -2: h'99ba...', -3: h'1ee0...'}, 6: h'...' /32 bytes/, 9: 1}
//	. keepalive 2
//	< 0x31 PIN invalid
//
// with the command and its parameters, changes of the keepalive status, and the status and its members, or ! and the
// transport's error. The notation is that of RFC 8949, section 8, with keys as in the specification.
//
// Trace writes no secret, not even encrypted: byte strings are elided, as h'...' and how many bytes it were, unless
// they are known to be public. Names, credential IDs and the like are shown. Errors of w are ignored.
//
// The result may be called concurrently if t may. It has a Close, which closes t if that is an [io.Closer], and none
// of t's other methods.
func Trace(t Transport, w io.Writer) Transport { return &traced{Transport: t, w: w} }

type traced struct {
	Transport
	mu sync.Mutex // guards w
	w  io.Writer
}

// CBOR implements [Transport].
func (t *traced) CBOR(ctx context.Context, request []byte, keepalive func(status byte)) ([]byte, error) {
	t.print(">", traceRequest(request))
	response, err := t.Transport.CBOR(ctx, request, t.keepalive(keepalive))
	if err != nil {
		t.print("!", err.Error())
	} else {
		t.print("<", traceResponse(request, response))
	}
	return response, err
}

// Close closes what is traced.
func (t *traced) Close() error {
	if c, ok := t.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (t *traced) print(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	io.WriteString(t.w, kind+" "+text+"\n")
}

// keepalive prints each change of the status.
func (t *traced) keepalive(next func(status byte)) func(status byte) {
	var last byte
	return func(status byte) {
		if status != last {
			t.print(".", fmt.Sprintf("keepalive %d", status))
		}
		last = status
		if next != nil {
			next(status)
		}
	}
}

func traceRequest(request []byte) string {
	if len(request) == 0 {
		return "nothing"
	}
	cmd := Command(request[0])
	d := diagnosis{public: publicMembers[cmd].request}
	return cmd.String() + d.message(request[1:])
}

func traceResponse(request, response []byte) string {
	if len(response) == 0 {
		return "nothing"
	}
	d := diagnosis{}
	if len(request) > 0 {
		cmd := Command(request[0])
		d = diagnosis{public: publicMembers[cmd].response, authData: hasAuthData(cmd)}
	}
	return traceStatus(Status(response[0])) + d.message(response[1:])
}

func traceStatus(s Status) string {
	if s == 0 {
		return "0x00 ok"
	}
	return fmt.Sprintf("0x%02x %v", byte(s), s)
}

// publicMembers are the members whose byte strings are no secret, wherever in them they are.
var publicMembers = map[Command]publicBytes{
	CommandMakeCredential:              {[]int64{0x01, 0x02, 0x03, 0x05}, []int64{memberAuthData, 0x03}},
	CommandGetAssertion:                {[]int64{0x02, 0x03}, []int64{0x01, memberAuthData, 0x03, 0x04}},
	CommandGetNextAssertion:            {nil, []int64{0x01, memberAuthData, 0x03, 0x04}},
	CommandGetInfo:                     {nil, []int64{0x03, 0x1c}},     // aaguid, pinComplexityPolicyURL
	CommandClientPIN:                   {[]int64{0x03}, []int64{0x01}}, // keyAgreement
	CommandCredentialManagement:        managementMembers,
	CommandCredentialManagementPreview: managementMembers,
}

// managementMembers leave out the keys of large blobs. Templates of fingerprints and large blobs are nobody's business.
var managementMembers = publicBytes{[]int64{0x02}, []int64{0x03, 0x04, 0x06, 0x07, 0x08}}

type publicBytes struct{ request, response []int64 }

const memberAuthData = 0x02

func hasAuthData(cmd Command) bool {
	return cmd == CommandMakeCredential || cmd == CommandGetAssertion || cmd == CommandGetNextAssertion
}

// diagnosis writes one message in diagnostic notation.
type diagnosis struct {
	strings.Builder
	public   []int64 // members
	authData bool    // is a member
}

// message returns the notation of the parameters or members after a space, nothing if there are none.
func (d *diagnosis) message(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	d.WriteByte(' ')
	rest, err := d.item(b, 0, false)
	switch {
	case err != nil:
		fmt.Fprintf(d, "/%d bytes that are no CBOR of CTAP2/", len(rest))
	case len(rest) > 0:
		fmt.Fprintf(d, " /%d bytes too many/", len(rest))
	}
	return d.String()
}

// item writes the item that b begins with, its byte strings only if they are public, and returns what follows. With
// an error it returns what it could not read.
func (d *diagnosis) item(b []byte, depth int, public bool) (rest []byte, err error) {
	major, n, rest, err := ctapcbor.Head(b)
	if err != nil {
		return b, err
	}
	if depth > ctapcbor.MaxDepth {
		return b, errTruncated
	}
	switch major {
	case ctapcbor.MajorBytes, ctapcbor.MajorText:
		return d.string(major, n, rest, public)
	case ctapcbor.MajorArray:
		return d.array(n, rest, depth, public)
	case ctapcbor.MajorMap:
		return d.members(n, rest, depth, public)
	case ctapcbor.MajorTag:
		fmt.Fprintf(d, "%d(", n)
		rest, err = d.item(rest, depth+1, public)
		d.WriteByte(')')
		return rest, err
	}
	return d.scalar(b)
}

func (d *diagnosis) scalar(b []byte) (rest []byte, err error) {
	notation, rest, err := ctapcbor.Diagnose(b)
	if err != nil {
		return b, err
	}
	d.WriteString(notation)
	return rest, nil
}

func (d *diagnosis) string(major ctapcbor.Major, n uint64, b []byte, public bool) (rest []byte, err error) {
	if n > uint64(len(b)) {
		return b, errTruncated
	}
	content := b[:n]
	switch {
	case major == ctapcbor.MajorText:
		notation, err := ctapcbor.DiagnoseText(content)
		if err != nil {
			return b, err // cannot happen
		}
		d.WriteString(notation)
	case public || n == 0:
		fmt.Fprintf(d, "h'%x'", content)
	default:
		fmt.Fprintf(d, "h'...' /%d bytes/", n)
	}
	return b[n:], nil
}

func (d *diagnosis) array(n uint64, b []byte, depth int, public bool) (rest []byte, err error) {
	d.WriteByte('[')
	for i := range n {
		d.separate(i)
		if b, err = d.item(b, depth+1, public); err != nil {
			return b, err
		}
	}
	d.WriteByte(']')
	return b, nil
}

func (d *diagnosis) separate(i uint64) {
	if i > 0 {
		d.WriteString(", ")
	}
}

func (d *diagnosis) members(n uint64, b []byte, depth int, public bool) (rest []byte, err error) {
	d.WriteByte('{')
	for i := range n {
		d.separate(i)
		if b, err = d.member(b, depth, public); err != nil {
			return b, err
		}
	}
	d.WriteByte('}')
	return b, nil
}

func (d *diagnosis) member(b []byte, depth int, public bool) (rest []byte, err error) {
	major, key, _, _ := ctapcbor.Head(b)
	b, err = d.item(b, depth+1, public)
	if err != nil {
		return b, err
	}
	d.WriteString(": ")
	if depth == 0 {
		public = major == ctapcbor.MajorUnsigned && slices.Contains(d.public, int64(key))
	}
	if public && d.authData && depth == 0 && key == memberAuthData {
		return d.authenticatorData(b)
	}
	return d.item(b, depth+1, public)
}

// authenticatorData shows the extension outputs as CBOR of their own: that of hmac-secret is encrypted, but a secret.
func (d *diagnosis) authenticatorData(b []byte) (rest []byte, err error) {
	major, n, rest, err := ctapcbor.Head(b)
	if err != nil || major != ctapcbor.MajorBytes || n > uint64(len(rest)) {
		return d.item(b, 1, false)
	}
	data, err := ParseAuthenticatorData(rest[:n])
	if err != nil {
		return d.item(b, 1, false)
	}
	fmt.Fprintf(d, "h'%x'", rest[:int(n)-len(data.Extensions)])
	if len(data.Extensions) > 0 {
		d.WriteString(" <<")
		d.item(data.Extensions, 1, false) // it is CBOR
		d.WriteString(">>")
	}
	return rest[n:], nil
}
