package transcripts

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/redact"
	"github.com/keyfob-go/keyfob/virtual"
)

var update = flag.Bool("update", false, "record the transcripts of the software key anew")

// scenario is something to record with the software key.
type scenario struct {
	config virtual.Config
	raw    bool     // not redacted
	pins   []string // what the user answers
	run    func(*session)
}

var scenarios = map[string]scenario{
	"register": {run: func(s *session) {
		cred := s.register("jane", nil)
		s.authenticate(func(o *authenticator.AssertionOptions) { o.AllowList = [][]byte{cred.ID} })
		s.authenticate(func(o *authenticator.AssertionOptions) { o.AllowList, o.NoTouch = [][]byte{cred.ID}, true })
	}},
	"pin": {raw: true, pins: []string{"0000", "1234", "5678"}, run: func(s *session) {
		require.NoError(s.t, s.SetPIN(s.ctx, []byte("1234")))
		s.register("jane", verified) // the first PIN is wrong
		require.NoError(s.t, s.ChangePIN(s.ctx, []byte("1234"), []byte("5678")))
		s.authenticate(func(o *authenticator.AssertionOptions) {
			o.UserVerification = authenticator.UVRequired
			o.HMACSecretSalts = [][]byte{make([]byte, 32), make([]byte, 32)}
		})
		_, _, err := s.PINRetries(s.ctx)
		require.NoError(s.t, err)
	}},
	"pin-protocol-1": {
		config: virtual.Config{PINUVAuthProtocols: []ctap2.PINProtocol{1}, Attestation: virtual.AttestationBasic},
		pins:   []string{"1234", "1234"},
		run: func(s *session) {
			require.NoError(s.t, s.SetPIN(s.ctx, []byte("1234")))
			s.register("jane", func(o *authenticator.CredentialOptions) {
				verified(o)
				o.Algorithms = []cose.Algorithm{cose.RS256}
			})
			s.authenticate(func(o *authenticator.AssertionOptions) {
				o.UserVerification = authenticator.UVRequired
				o.HMACSecretSalts = [][]byte{make([]byte, 32)}
			})
		},
	},
	"passkeys": {run: func(s *session) {
		for i, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512} {
			s.register(fmt.Sprint("user", i), func(o *authenticator.CredentialOptions) {
				o.ResidentKey, o.Algorithms = true, []cose.Algorithm{alg}
			})
		}
		s.authenticate(nil)
	}},
	"refusals": {pins: []string{"1111", "2222", "3333"}, run: func(s *session) {
		cred := s.register("jane", nil)
		s.refuses(ctap2.ErrCredentialExcluded, s.tryRegister("jane", func(o *authenticator.CredentialOptions) {
			o.ExcludeList = [][]byte{cred.ID}
		}))
		s.refuses(ctap2.ErrNoCredentials, s.tryAuthenticate(nil))
		require.NoError(s.t, s.SetPIN(s.ctx, []byte("1234")))
		s.refuses(ctap2.ErrPINAuthBlocked, s.tryRegister("jane", verified))
	}},
	"wrong-pin": {pins: []string{"1111"}, run: func(s *session) {
		require.NoError(s.t, s.SetPIN(s.ctx, []byte("1234")))
		s.refuses(errNoMorePINs, s.tryRegister("jane", verified))
		s.pins = []string{"1234"}
		s.register("jane", verified)
		s.refuses(ctap2.ErrPINInvalid, s.ChangePIN(s.ctx, []byte("4444"), []byte("5678")))
		_, _, err := s.PINRetries(s.ctx)
		require.NoError(s.t, err)
	}},
	"cancelled": {run: func(s *session) {
		s.untouched = true
		ctx, cancel := context.WithTimeout(s.ctx, 350*time.Millisecond)
		defer cancel()
		s.refuses(context.DeadlineExceeded, s.Selection(ctx))
		s.untouched = false
		s.register("jane", nil)
	}},
	"removed": {run: func(s *session) {
		s.untouched = true
		time.AfterFunc(350*time.Millisecond, func() { s.key.Close() })
		require.Error(s.t, s.Selection(s.ctx))
	}},
	"tools": {run: func(s *session) {
		require.NoError(s.t, s.Ping(s.ctx, []byte("hello")))
		require.NoError(s.t, s.Ping(s.ctx, make([]byte, 7609)))
		require.NoError(s.t, s.Wink(s.ctx))
		require.NoError(s.t, s.Selection(s.ctx))
		require.NoError(s.t, s.Reset(s.ctx))
	}},
}

func verified(o *authenticator.CredentialOptions) {
	o.ResidentKey, o.HMACSecret, o.UserVerification = true, true, authenticator.UVRequired
}

// session is an open key with a user who takes a quarter of a second for each touch.
type session struct {
	*authenticator.Authenticator
	t         *testing.T
	ctx       context.Context
	key       *virtual.Authenticator
	pins      []string
	untouched bool
}

func (s *session) touch(ctx context.Context, _ virtual.Prompt) error {
	timer := time.NewTimer(250 * time.Millisecond)
	defer timer.Stop()
	if s.untouched {
		<-ctx.Done()
	}
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoMorePINs = errors.New("the user gave up")

func (s *session) pin(context.Context, *authenticator.PINRequest) ([]byte, error) {
	if len(s.pins) == 0 {
		return nil, errNoMorePINs
	}
	pin := s.pins[0]
	s.pins = s.pins[1:]
	return []byte(pin), nil
}

func (s *session) tryRegister(user string, change func(*authenticator.CredentialOptions)) error {
	_, err := s.MakeCredential(s.ctx, registration(user, change))
	return err
}

func (s *session) register(user string, change func(*authenticator.CredentialOptions)) *authenticator.Credential {
	cred, err := s.MakeCredential(s.ctx, registration(user, change))
	require.NoError(s.t, err)
	return cred
}

func registration(user string, change func(*authenticator.CredentialOptions)) *authenticator.CredentialOptions {
	opts := &authenticator.CredentialOptions{
		ClientDataHash: bytes.Repeat([]byte{0xcd}, 32),
		RP:             ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:           ctap2.User{ID: []byte(user), Name: user + "@example.org", DisplayName: user},
	}
	if change != nil {
		change(opts)
	}
	return opts
}

func (s *session) tryAuthenticate(change func(*authenticator.AssertionOptions)) error {
	opts := &authenticator.AssertionOptions{RPID: "example.org", ClientDataHash: bytes.Repeat([]byte{0xcd}, 32)}
	if change != nil {
		change(opts)
	}
	_, err := s.GetAssertions(s.ctx, opts)
	return err
}

func (s *session) authenticate(change func(*authenticator.AssertionOptions)) {
	require.NoError(s.t, s.tryAuthenticate(change))
}

func (s *session) refuses(want, err error) { require.ErrorIs(s.t, err, want) }

// TestRecord makes the transcripts of the software key with -update, in a time of their own.
func TestRecord(t *testing.T) {
	if !*update {
		t.Skip("-update records the transcripts anew")
	}
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			file, err := os.Create(filepath.Join(folder, "virtual-"+name+".txt"))
			require.NoError(t, err)
			defer file.Close()
			synctest.Test(t, func(t *testing.T) { sc.record(t, file) })
		})
	}
}

func (sc scenario) record(t *testing.T, file *os.File) {
	s := &session{t: t, ctx: t.Context(), pins: sc.pins}
	sc.config.UserPresence = s.touch
	key, err := virtual.New(sc.config)
	require.NoError(t, err)
	defer key.Close()
	s.key = key
	var hide func(ctaphid.Message)
	if !sc.raw {
		hide = redact.New().Message
	}
	fmt.Fprintf(file, "# The software key of package virtual, in a time that stands still while it computes.\n")
	channel, err := ctaphid.Open(t.Context(), ctaphid.Record(key.Device(), file, hide))
	require.NoError(t, err)
	s.Authenticator, err = authenticator.New(t.Context(), channel, &authenticator.UI{PIN: s.pin})
	require.NoError(t, err)
	sc.run(s)
	require.NoError(t, s.Close())
}
