package transcripts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// player does again what a transcript shows, with a device that plays the key's part.
type player struct {
	t         *testing.T
	device    *counting
	exchanges []*exchange
	pins      int // asked for
}

func newPlayer(t *testing.T, transcript *ctaphid.Transcript) *player {
	return &player{
		t:         t,
		device:    &counting{ReadWriteCloser: transcript.Replay()},
		exchanges: exchanges(transcript.Messages()),
	}
}

// next returns the number of the exchange that the transcript goes on with.
func (p *player) next() int { return int(p.device.sent.Load()) }

func (p *player) open() *ctaphid.Channel {
	p.t.Helper()
	channel, err := ctaphid.Open(p.t.Context(), p.device)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { channel.Close() })
	return channel
}

// each runs step until the transcript is at its end. The context of a step is done when the recorded one was.
func (p *player) each(step func(ctx context.Context, i int)) {
	p.t.Helper()
	for i := p.next(); i < len(p.exchanges); i = p.next() {
		ctx, cancel := p.context(i)
		step(ctx, i)
		cancel()
		require.Greater(p.t, p.next(), i, "nothing was sent")
	}
}

// context returns one that is done after a second if somebody cancelled what begins with exchange i. The replay
// answers at once, or else waits for the CANCEL.
func (p *player) context(i int) (context.Context, context.CancelFunc) {
	for _, e := range p.exchanges[i:] {
		if e.Command == ctaphid.CommandCancel {
			return context.WithTimeout(p.t.Context(), time.Second)
		}
		if status, ok := e.status(); ok && status == 0 && e.command() != ctap2.CommandClientPIN {
			break
		}
	}
	return context.WithCancel(p.t.Context())
}

// check compares how an operation ended with how the exchanges from i on did.
func (p *player) check(i int, main *exchange, err error) {
	p.t.Helper()
	played := p.exchanges[i:p.next()]
	if slices.ContainsFunc(played, func(e *exchange) bool { return e.Command == ctaphid.CommandCancel }) {
		require.ErrorIs(p.t, err, context.DeadlineExceeded)
		return
	}
	if errors.Is(err, errGaveUp) {
		return // the replay tells if it was too early
	}
	last := played[len(played)-1]
	for _, e := range played { // it may have been repeated
		if e.sameKind(main) {
			main = e
		}
	}
	status, ok := main.status()
	switch {
	case ok && status != 0:
		require.ErrorIs(p.t, err, status)
	case last.answer == nil, last.answer.Command == ctaphid.CommandError, !slices.Contains(played, main):
		require.Error(p.t, err)
	default:
		require.NoError(p.t, err)
	}
}

// errGaveUp is why there is no PIN when the recorded user did not give another one.
var errGaveUp = errors.New("gave up")

// ui answers every question for a PIN with another one, for as long as the transcript does.
func (p *player) ui() *authenticator.UI {
	return &authenticator.UI{PIN: func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
		const retries, agreement = ctap2.SubcommandGetPINRetries, ctap2.SubcommandGetKeyAgreement
		if p.nextSubcommand(0) == retries && p.nextSubcommand(1) == agreement {
			if _, err := req.Retries(ctx); err != nil {
				return nil, err
			}
		}
		if p.nextSubcommand(0) != agreement {
			return nil, errGaveUp
		}
		p.pins++
		return fmt.Appendf(nil, "%08d", p.pins), nil
	}}
}

// nextSubcommand returns what the transcript wants of clientPIN after some more exchanges, 0 if something else.
func (p *player) nextSubcommand(after int) ctap2.Subcommand {
	if i := p.next() + after; i < len(p.exchanges) {
		return p.exchanges[i].subcommand()
	}
	return 0
}

// operation runs what main is about. It reports false for what the player does not know.
func (p *player) operation(
	ctx context.Context, a *authenticator.Authenticator, main *exchange,
) (err error, known bool) {
	switch main.Command {
	case ctaphid.CommandPing:
		return a.Ping(ctx, main.Data), true
	case ctaphid.CommandWink:
		return a.Wink(ctx), true
	case ctaphid.CommandCBOR:
		return p.ceremony(ctx, a, main)
	}
	return nil, false
}

// main returns what exchange i and the following are for: the first that is more than a step to a token, else the last
// such step.
func (p *player) main(i int) *exchange {
	main := p.exchanges[i]
	for _, e := range p.exchanges[i:] {
		switch e.subcommand() {
		case 0, ctap2.SubcommandSetPIN, ctap2.SubcommandChangePIN:
			return e
		case ctap2.SubcommandGetPINToken, ctap2.SubcommandGetPINTokenWithPermissions:
			main = e
		}
	}
	return main
}

func (p *player) ceremony(ctx context.Context, a *authenticator.Authenticator, e *exchange) (err error, known bool) {
	switch e.command() {
	case ctap2.CommandMakeCredential:
		return p.makeCredential(ctx, a, e), true
	case ctap2.CommandGetAssertion:
		return p.getAssertions(ctx, a, e), true
	case ctap2.CommandSelection:
		return a.Selection(ctx), true
	case ctap2.CommandReset:
		return a.Reset(ctx), true
	case ctap2.CommandClientPIN:
		return p.clientPIN(ctx, a, e)
	}
	return nil, false
}

func (p *player) makeCredential(ctx context.Context, a *authenticator.Authenticator, e *exchange) error {
	var req ctap2.MakeCredentialRequest
	e.decode(&req)
	if req.PINUVAuthParam != nil && len(req.PINUVAuthParam) == 0 {
		return a.Selection(ctx)
	}
	opts := &authenticator.CredentialOptions{
		ClientDataHash:   req.ClientDataHash,
		RP:               req.RP,
		User:             req.User,
		ExcludeList:      ids(req.ExcludeList),
		ResidentKey:      req.Options.ResidentKey,
		UserVerification: verification(req.PINUVAuthParam != nil || req.Options.UserVerification),
		HMACSecret:       req.Extensions.HMACSecret,
		CredProtect:      req.Extensions.CredProtect,
	}
	for _, param := range req.PubKeyCredParams {
		opts.Algorithms = append(opts.Algorithms, param.Algorithm)
	}
	_, err := a.MakeCredential(ctx, opts)
	return err
}

func (p *player) getAssertions(ctx context.Context, a *authenticator.Authenticator, e *exchange) error {
	var req ctap2.GetAssertionRequest
	e.decode(&req)
	_, err := a.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID:             req.RPID,
		ClientDataHash:   req.ClientDataHash,
		AllowList:        ids(req.AllowList),
		UserVerification: verification(req.PINUVAuthParam != nil || req.Options.UserVerification),
		NoTouch:          req.Options.UserPresence != nil && !*req.Options.UserPresence,
		HMACSecretSalts:  salts(req.Extensions.HMACSecret),
	})
	return err
}

// clientPIN is for exchanges about the PIN that end in nothing else.
func (p *player) clientPIN(ctx context.Context, a *authenticator.Authenticator, e *exchange) (err error, known bool) {
	switch req := e.clientPIN(); req.Subcommand {
	case ctap2.SubcommandGetPINRetries:
		_, _, err := a.PINRetries(ctx)
		return err, true
	case ctap2.SubcommandSetPIN:
		return a.SetPIN(ctx, []byte("12345678")), true
	case ctap2.SubcommandChangePIN:
		return a.ChangePIN(ctx, []byte("12345678"), []byte("87654321")), true
	case ctap2.SubcommandGetPINToken, ctap2.SubcommandGetPINTokenWithPermissions:
		return p.refusedToken(ctx, a, req), true
	}
	return nil, false
}

// refusedToken wants something for which it does not get a token.
func (p *player) refusedToken(ctx context.Context, a *authenticator.Authenticator, req ctap2.ClientPINRequest) error {
	hash := make([]byte, 32)
	if req.Permissions&ctap2.PermissionMakeCredential == 0 {
		_, err := a.GetAssertions(ctx, &authenticator.AssertionOptions{
			RPID: req.RPID, ClientDataHash: hash, UserVerification: authenticator.UVRequired,
		})
		return err
	}
	_, err := a.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash: hash, RP: ctap2.RelyingParty{ID: req.RPID}, User: ctap2.User{ID: []byte{1}},
		Algorithms: []cose.Algorithm{cose.ES256}, UserVerification: authenticator.UVRequired,
	})
	return err
}

func verification(wanted bool) authenticator.UserVerification {
	if wanted {
		return authenticator.UVRequired
	}
	return authenticator.UVDiscouraged
}

func ids(list []ctap2.CredentialDescriptor) (all [][]byte) {
	for _, d := range list {
		all = append(all, d.ID)
	}
	return all
}

// salts returns as many as were asked with: the ciphertext is as long, and in protocol 2 has an IV before it.
func salts(input *ctap2.HMACSecretInput) (all [][]byte) {
	if input == nil {
		return nil
	}
	for range len(input.SaltEnc) / 32 {
		all = append(all, make([]byte, 32))
	}
	return all
}
