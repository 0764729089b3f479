package authenticator

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/seeds"
	"github.com/keyfob-go/keyfob/virtual"
)

var errNoMoreAnswers = errors.New("no more answers")

// scripted is a key whose answers are the parts of a byte string, each behind its length in two bytes.
type scripted struct {
	script    []byte
	exchanges int
}

func (s *scripted) CBOR(context.Context, []byte, func(byte)) ([]byte, error) {
	s.exchanges++
	if len(s.script) < 2 {
		return nil, errNoMoreAnswers
	}
	n := min(int(binary.BigEndian.Uint16(s.script)), len(s.script)-2)
	answer := s.script[2 : 2+n]
	s.script = s.script[2+n:]
	return answer, nil
}

// recorder makes a script of what a good key answers.
type recorder struct {
	key    *virtual.Authenticator
	script []byte
}

func (r *recorder) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	answer, err := r.key.CBOR(ctx, request, keepalive)
	if err == nil {
		r.script = binary.BigEndian.AppendUint16(r.script, uint16(len(answer)))
		r.script = append(r.script, answer...)
	}
	return answer, err
}

// ceremonies does all that an Authenticator can do and returns how many credentials and assertions came out of it.
func ceremonies(ctx context.Context, transport interface {
	CBOR(context.Context, []byte, func(byte)) ([]byte, error)
}) (results int) {
	asked := 0
	a, err := New(ctx, transport, &UI{
		PIN: func(ctx context.Context, req *PINRequest) ([]byte, error) {
			if asked++; asked > 20 {
				return nil, errNoMoreAnswers
			}
			req.Retries(ctx)
			return []byte{'1', '2', '3', '0' + byte(asked)}, nil
		},
		NewPIN: func(context.Context, *NewPINRequest) ([]byte, error) {
			if asked++; asked > 20 {
				return nil, errNoMoreAnswers
			}
			return []byte("12345678"), nil
		},
		Notify: func(Event) {},
	})
	if err != nil {
		return 0
	}
	defer a.Close()
	a.SetPIN(ctx, []byte("1231"))
	opts := credentialOptions()
	opts.UserVerification, opts.HMACSecret, opts.ResidentKey = UVPreferred, true, true
	opts.ExcludeList = [][]byte{{1}, make([]byte, 300), {2}}
	if a.Info().HasExtension("credBlob") {
		opts.CredBlob, opts.LargeBlobKey = []byte("data"), a.Info().HasExtension("largeBlobKey")
	}
	if a.Info().HasExtension("hmac-secret-mc") {
		opts.HMACSecretSalts = [][]byte{hash("a")}
	}
	if a.Info().HasExtension("largeBlob") {
		opts.LargeBlobKey, opts.LargeBlob = false, ctap2.LargeBlobPreferred
	}
	if cred, err := a.MakeCredential(ctx, opts); err == nil {
		results++
		cred.Attestation.Verify(opts.ClientDataHash)
	}
	get := assertionOptions()
	get.HMACSecretSalts = [][]byte{hash("a"), hash("b")}
	get.CredBlob, get.LargeBlobKey, get.LargeBlobRead = len(opts.CredBlob) > 0, opts.LargeBlobKey, opts.LargeBlob != ""
	assertions, _ := a.GetAssertions(ctx, get)
	results += len(assertions)
	get.UserVerification = UVRequired
	get.AllowList = opts.ExcludeList
	assertions, _ = a.GetAssertions(ctx, get)
	results += len(assertions)
	a.PINRetries(ctx)
	a.Selection(ctx)
	a.Reset(ctx)
	return results
}

// A key may answer anything at all: every ceremony ends, and with few exchanges for the bytes that the key sent.
func FuzzCeremonies(f *testing.F) {
	seeds.Add(f, "ceremonies")
	for _, c := range []virtual.Config{
		{},
		{MaxCredentialCountInList: 1, Attestation: virtual.AttestationBasic},
		{UserVerification: func(context.Context, virtual.Prompt) error { return nil }},
		{NoClientPIN: true},
		{Version: virtual.CTAP23},
		{Version: virtual.CTAP23, Without: []string{"largeBlobs"}},
		{Version: virtual.CTAP21Pre, UserVerification: func(context.Context, virtual.Prompt) error { return nil }},
	} {
		key, err := virtual.New(c)
		if err != nil {
			f.Fatal(err)
		}
		r := &recorder{key: key}
		if ceremonies(f.Context(), r) == 0 {
			f.Fatal("the good key gives no results")
		}
		f.Add(r.script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := &scripted{script: script}
		ceremonies(t.Context(), s)
		if limit := 100 + len(script)/2; s.exchanges > limit {
			t.Fatalf("%d exchanges for %d bytes", s.exchanges, len(script))
		}
	})
}
