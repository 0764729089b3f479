package authenticator

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// wire is a transport to a software key that counts commands and may lie.
type wire struct {
	key      *virtual.Authenticator
	commands []ctap2.Command
	requests [][]byte
	lie      func(request, response []byte) []byte // nil leaves responses as they are
	forward  func(request []byte) []byte           // nil gives requests to the key as they are
	closed   int
}

func (w *wire) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	w.commands = append(w.commands, ctap2.Command(request[0]))
	w.requests = append(w.requests, append([]byte(nil), request...))
	forwarded := request
	if w.forward != nil {
		forwarded = w.forward(request)
	}
	response, err := w.key.CBOR(ctx, forwarded, keepalive)
	if err == nil && w.lie != nil {
		response = w.lie(request, response)
	}
	return response, err
}

func (w *wire) Close() error {
	w.closed++
	return nil
}

// sent forgets and returns the commands so far.
func (w *wire) sent() []ctap2.Command {
	sent := w.commands
	w.commands, w.requests = nil, nil
	return sent
}

const (
	getInfo          = ctap2.CommandGetInfo
	makeCredential   = ctap2.CommandMakeCredential
	getAssertion     = ctap2.CommandGetAssertion
	getNextAssertion = ctap2.CommandGetNextAssertion
	clientPIN        = ctap2.CommandClientPIN
)

// open opens a software key.
func open(t *testing.T, c virtual.Config, ui *UI) (*Authenticator, *wire) {
	t.Helper()
	key, err := virtual.New(c)
	require.NoError(t, err)
	return openKey(t, key, ui)
}

func openKey(t *testing.T, key *virtual.Authenticator, ui *UI) (*Authenticator, *wire) {
	t.Helper()
	w := &wire{key: key}
	return openWire(t, w, ui), w
}

func openWire(t *testing.T, w *wire, ui *UI) *Authenticator {
	t.Helper()
	a, err := New(t.Context(), w, ui)
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// infoLie rewrites what the key says about itself.
func infoLie(t *testing.T, change func(*ctap2.Info)) func(request, response []byte) []byte {
	return func(request, response []byte) []byte {
		if ctap2.Command(request[0]) != getInfo {
			return response
		}
		return rewrite(t, response, change)
	}
}

// rewrite decodes a good response, changes it and encodes it again.
func rewrite[T any](t *testing.T, response []byte, change func(*T)) []byte {
	if response[0] != 0 {
		return response
	}
	var v T
	require.NoError(t, ctapcbor.Unmarshal(response[1:], &v))
	change(&v)
	b, err := ctapcbor.Marshal(&v)
	require.NoError(t, err)
	return append([]byte{0}, b...)
}

// decodeRequest decodes the last request that was sent.
func decodeRequest(t *testing.T, w *wire, req any) {
	t.Helper()
	require.NotEmpty(t, w.requests)
	require.NoError(t, ctapcbor.Unmarshal(w.requests[len(w.requests)-1][1:], req))
}

func asCTAP20(info *ctap2.Info) {
	info.Versions = []string{"FIDO_2_0"}
	for _, option := range []string{"pinUvAuthToken", "makeCredUvNotRqd", "alwaysUv"} {
		delete(info.Options, option)
	}
}

// answering gives the same PINs one after the other, then fails the test.
type answering struct {
	t        *testing.T
	pins     []string
	requests []PINRequest
	retries  []int // asked before each answer if ask is set
	ask      bool
}

func (p *answering) pin(ctx context.Context, req *PINRequest) ([]byte, error) {
	require.NotEmpty(p.t, p.pins, "asked once too often: %+v", req)
	p.requests = append(p.requests, *req)
	if p.ask {
		n, err := req.Retries(ctx)
		require.NoError(p.t, err)
		p.retries = append(p.retries, n)
	}
	answer := p.pins[0]
	p.pins = p.pins[1:]
	return []byte(answer), nil
}

func (p *answering) reasons() (reasons []PINReason) {
	for _, r := range p.requests {
		reasons = append(reasons, r.Reason)
	}
	return reasons
}

func answers(t *testing.T, pins ...string) (*answering, *UI) {
	p := &answering{t: t, pins: pins}
	return p, &UI{PIN: p.pin}
}

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func credentialOptions() *CredentialOptions {
	return &CredentialOptions{
		ClientDataHash: hash("create"),
		RP:             ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:           ctap2.User{ID: []byte("user-1"), Name: "jane", DisplayName: "Jane Doe"},
	}
}

func assertionOptions(allow ...*Credential) *AssertionOptions {
	o := &AssertionOptions{RPID: "example.org", ClientDataHash: hash("get")}
	for _, c := range allow {
		o.AllowList = append(o.AllowList, c.ID)
	}
	return o
}

func register(t *testing.T, a *Authenticator, change func(*CredentialOptions)) *Credential {
	t.Helper()
	o := credentialOptions()
	if change != nil {
		change(o)
	}
	cred, err := a.MakeCredential(t.Context(), o)
	require.NoError(t, err)
	return cred
}

// keyWithPIN is a software key whose PIN is 1234.
func keyWithPIN(t *testing.T, c virtual.Config) *virtual.Authenticator {
	t.Helper()
	a, w := open(t, c, nil)
	require.NoError(t, a.SetPIN(t.Context(), []byte("1234")))
	return w.key
}
