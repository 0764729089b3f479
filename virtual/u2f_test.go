package virtual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

var (
	testChallenge   = [32]byte(testHash)
	testApplication = sha256.Sum256([]byte(testRP.ID))
)

func u2f(key *Authenticator) *ctap1.Client { return &ctap1.Client{Transport: key} }

func registerU2F(t testing.TB, key *Authenticator) *ctap1.Registration {
	t.Helper()
	r, err := u2f(key).Register(t.Context(), testChallenge, testApplication)
	require.NoError(t, err)
	return r
}

func signU2F(t testing.TB, key *Authenticator, control ctap1.Control, handle []byte) *ctap1.Assertion {
	t.Helper()
	a, err := u2f(key).Authenticate(t.Context(), control, testChallenge, testApplication, handle)
	require.NoError(t, err)
	return a
}

// checkU2F verifies the signature of an assertion.
func checkU2F(t testing.TB, a *ctap1.Assertion, k *cose.Key) {
	t.Helper()
	require.NoError(t, k.Verify(append(a.AuthenticatorData(testApplication), testHash...), a.Signature))
}

func TestU2FRegistersAndAuthenticates(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	version, err := u2f(key).Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "U2F_V2", version)

	r := registerU2F(t, key)
	certificate, err := r.X509()
	require.NoError(t, err)
	point := slices.Concat([]byte{4}, ecPoint(t, r.PublicKey))
	signed := slices.Concat([]byte{0}, testApplication[:], testHash, r.KeyHandle, point)
	require.NoError(t, certificate.CheckSignature(x509.ECDSAWithSHA256, signed, r.Signature))
	require.NoError(t, certificate.CheckSignatureFrom(key.AttestationRoot()))

	first := signU2F(t, key, ctap1.EnforceUserPresence, r.KeyHandle)
	require.True(t, first.UserPresent)
	checkU2F(t, first, r.PublicKey)
	second := signU2F(t, key, ctap1.DontEnforceUserPresence, r.KeyHandle)
	require.False(t, second.UserPresent)
	checkU2F(t, second, r.PublicKey)
	require.Greater(t, second.Counter, first.Counter)

	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Contains(t, info.Versions, "U2F_V2")
}

// ecPoint returns x and y.
func ecPoint(t testing.TB, k *cose.Key) []byte {
	t.Helper()
	b, err := k.MarshalCBOR()
	require.NoError(t, err)
	x, rest := bytes.Index(b, []byte{0x21, 0x58, 0x20})+3, bytes.Index(b, []byte{0x22, 0x58, 0x20})+3
	return slices.Concat(b[x:x+32], b[rest:rest+32])
}

func TestU2FAndCTAP2ShareTheirCredentials(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	r := registerU2F(t, key)
	resp, err := client.GetAssertion(t.Context(), ask(r.KeyHandle))
	require.NoError(t, err)
	checkAssertion(t, resp, r.PublicKey)

	for name, change := range map[string]func(*ctap2.MakeCredentialRequest){
		"in its own ID": func(*ctap2.MakeCredentialRequest) {},
		"passkey":       func(req *ctap2.MakeCredentialRequest) { req.Options.ResidentKey = true },
		"credProtect 2": func(req *ctap2.MakeCredentialRequest) { req.Extensions.CredProtect = 2 },
	} {
		req := newRequest()
		change(req)
		made := register(t, client, req).Credential
		held, err := u2f(key).Check(t.Context(), testApplication, made.ID)
		require.NoError(t, err)
		require.True(t, held, name)
		checkU2F(t, signU2F(t, key, ctap1.EnforceUserPresence, made.ID), made.PublicKey)
	}
	for name, change := range map[string]func(*ctap2.MakeCredentialRequest){
		"other algorithm":   func(req *ctap2.MakeCredentialRequest) { req.PubKeyCredParams = params(cose.EdDSA) },
		"credProtect 3":     func(req *ctap2.MakeCredentialRequest) { req.Extensions.CredProtect = 3 },
		"other application": func(req *ctap2.MakeCredentialRequest) { req.RP.ID = "example.com" },
		"another's passkey": func(req *ctap2.MakeCredentialRequest) { req.RP.ID, req.Options.ResidentKey = "example.com", true },
	} {
		req := newRequest()
		change(req)
		made := register(t, client, req).Credential
		held, err := u2f(key).Check(t.Context(), testApplication, made.ID)
		require.NoError(t, err)
		require.False(t, held, name)
	}
}

func TestU2FStatusWords(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	handle := registerU2F(t, key).KeyHandle
	size := len(handle)
	ask := slices.Concat(testHash, testApplication[:], []byte{byte(size)}, handle)
	foreign := bytes.Clone(ask)
	foreign[len(foreign)-1] ^= 1
	extended := func(ins, p1 byte, data []byte, tail ...byte) []byte {
		return slices.Concat([]byte{0, ins, p1, 0, 0, byte(len(data) >> 8), byte(len(data))}, data, tail)
	}
	short := func(ins, p1 byte, data []byte, tail ...byte) []byte {
		return slices.Concat([]byte{0, ins, p1, 0, byte(len(data))}, data, tail)
	}
	for name, tt := range map[string]struct {
		request []byte
		want    ctap1.StatusWord
	}{
		"version":                             {[]byte{0, 3, 0, 0}, 0x9000},
		"version, short":                      {[]byte{0, 3, 0, 0, 0}, 0x9000},
		"version, extended":                   {[]byte{0, 3, 0, 0, 0, 0, 0}, 0x9000},
		"version of the first drafts":         {[]byte{0, 3, 0, 0, 0, 0, 0, 0, 0}, 0x9000},
		"version with data":                   {[]byte{0, 3, 0, 0, 1, 1}, 0x6700},
		"registration":                        {extended(1, 0, make([]byte, 64), 0, 0), 0x9000},
		"registration without an answer size": {extended(1, 0, make([]byte, 64)), 0x9000},
		"registration, short":                 {short(1, 3, make([]byte, 64), 0), 0x9000},
		"registration of 63 bytes":            {extended(1, 0, make([]byte, 63)), 0x6700},
		"registration of 65 bytes":            {extended(1, 0, make([]byte, 65)), 0x6700},
		"registration without data":           {[]byte{0, 1, 0, 0}, 0x6700},
		"authentication":                      {extended(2, 3, ask, 0, 0), 0x9000},
		"authentication, short":               {short(2, 8, ask), 0x9000},
		"check":                               {extended(2, 7, ask), 0x6985},
		"check of a foreign key handle":       {extended(2, 7, foreign), 0x6a80},
		"authentication with one":             {extended(2, 3, foreign), 0x6a80},
		"silent one":                          {extended(2, 8, foreign), 0x6a80},
		"other control":                       {extended(2, 4, ask), 0x6a86},
		"key handle cut":                      {extended(2, 3, ask[:len(ask)-1]), 0x6700},
		"byte behind it":                      {extended(2, 3, append(bytes.Clone(ask), 0)), 0x6700},
		"no key handle":                       {extended(2, 3, ask[:64]), 0x6700},
		"empty key handle":                    {extended(2, 3, append(bytes.Clone(ask[:64]), 0)), 0x6a80},
		"unknown instruction":                 {[]byte{0, 4, 0, 0}, 0x6d00},
		"vendor's instruction":                {[]byte{0, 0x40, 0, 0}, 0x6d00},
		"wrong class":                         {[]byte{0x80, 3, 0, 0}, 0x6e00},
		"empty":                               {nil, 0x6700},
		"half a header":                       {[]byte{0, 3, 0}, 0x6700},
		"half an extended length":             {[]byte{0, 3, 0, 0, 0, 0}, 0x6700},
		"longer than it is":                   {[]byte{0, 1, 0, 0, 0, 0xff, 0xff, 1}, 0x6700},
		"shorter than it is":                  {extended(1, 0, make([]byte, 64), 0, 0, 0), 0x6700},
		"half an answer size":                 {extended(1, 0, make([]byte, 64), 0), 0x6700},
		"short, cut":                          {short(1, 0, make([]byte, 64))[:60], 0x6700},
	} {
		answer, err := key.Msg(t.Context(), tt.request)
		require.NoError(t, err)
		require.Equal(t, tt.want, statusWord(answer), name)
		require.Equal(t, tt.want == statusOK, len(answer) > 2, name)
	}
}

func statusWord(answer []byte) ctap1.StatusWord {
	end := answer[len(answer)-2:]
	return ctap1.StatusWord(end[0])<<8 | ctap1.StatusWord(end[1])
}

// user touches when the test says so, and counts how often she is asked.
type user struct {
	touch   chan error
	prompts []Prompt
}

func (u *user) presence(ctx context.Context, p Prompt) error {
	u.prompts = append(u.prompts, p)
	select {
	case err := <-u.touch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestU2FPollsForATouch(t *testing.T) {
	t.Parallel()
	registration := append([]byte{0, 1, 0, 0, 0, 0, 64}, make([]byte, 64)...)
	run := func(name string, f func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := &user{touch: make(chan error)}
				key, _ := newKey(t, Config{UserPresence: u.presence})
				defer key.Close()
				f(t, u, key, func() ctap1.StatusWord {
					answer, err := key.Msg(t.Context(), registration)
					require.NoError(t, err)
					synctest.Wait()
					return statusWord(answer)
				})
			})
		})
	}
	wants := ctap1.ErrConditionsNotSatisfied
	run("until it comes", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		for range 50 {
			require.Equal(t, wants, poll())
			time.Sleep(pollPatience - 1)
		}
		require.Equal(t, wants, poll())
		u.touch <- nil
		synctest.Wait()
		require.Equal(t, statusOK, poll())
		require.Equal(t, []Prompt{{Command: ctap2.CommandMakeCredential}}, u.prompts)
		require.Equal(t, wants, poll(), "one touch, one answer")
	})
	run("that comes late", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		poll()
		u.touch <- nil
		synctest.Wait()
		time.Sleep(touchMemory - 1)
		require.Equal(t, statusOK, poll())
		poll()
		u.touch <- nil
		synctest.Wait()
		time.Sleep(touchMemory)
		synctest.Wait()
		require.Equal(t, wants, poll(), "forgotten")
	})
	run("that nobody wants any more", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		poll()
		time.Sleep(pollPatience)
		synctest.Wait()
		select {
		case u.touch <- nil:
			require.Fail(t, "the key still blinks")
		default:
		}
		require.Equal(t, wants, poll())
		require.Len(t, u.prompts, 2)
	})
	run("that is refused", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		poll()
		u.touch <- errors.New("no")
		for range 10 {
			require.Equal(t, wants, poll())
			time.Sleep(pollPatience / 2)
		}
		require.Len(t, u.prompts, 1, "not asked again and again")
	})
	run("and CTAP2 takes over", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		poll()
		done := make(chan error)
		go func() { done <- (&ctap2.Client{Transport: key}).Selection(t.Context()) }()
		synctest.Wait()
		u.touch <- nil
		require.NoError(t, <-done)
		require.Equal(t, wants, poll(), "the touch was for the selection")
	})
	run("and the power is cut", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		poll()
		u.touch <- nil
		synctest.Wait()
		key.PowerCycle()
		require.Equal(t, wants, poll())
	})
	run("as a client does", func(t *testing.T, u *user, key *Authenticator, poll func() ctap1.StatusWord) {
		time.AfterFunc(3*time.Second, func() { u.touch <- nil })
		var statuses []byte
		client := ctap1.Client{Transport: key, Keepalive: func(s byte) { statuses = append(statuses, s) }}
		require.NoError(t, client.Touch(t.Context()))
		require.Equal(t, []byte{ctaphid.KeepaliveUPNeeded}, statuses)
	})
}

func TestU2FCallbackMayUseTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var key *Authenticator
		key, _ = newKey(t, Config{UserPresence: func(context.Context, Prompt) error {
			require.Zero(t, key.Credentials())
			return nil
		}})
		defer key.Close()
		registerU2F(t, key)
	})
}

func TestU2FOverHID(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, c Config) (*Authenticator, *ctaphid.Channel) {
		key, _ := newKey(t, c)
		channel, err := ctaphid.Open(t.Context(), key.Device())
		require.NoError(t, err)
		t.Cleanup(func() { channel.Close() })
		return key, channel
	}
	getInfo := []byte{byte(ctap2.CommandGetInfo)}
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		key, channel := open(t, Config{})
		require.Equal(t, ctaphid.CapabilityWink|ctaphid.CapabilityCBOR, channel.DeviceInfo().Capabilities)
		client := ctap1.Client{Transport: channel}
		r, err := client.Register(t.Context(), testChallenge, testApplication)
		require.NoError(t, err)
		checkU2F(t, signU2F(t, key, ctap1.EnforceUserPresence, r.KeyHandle), r.PublicKey)
	})
	t.Run("U2F only", func(t *testing.T) {
		t.Parallel()
		key, channel := open(t, Config{U2FOnly: true})
		require.Equal(t, ctaphid.CapabilityWink, channel.DeviceInfo().Capabilities)
		_, err := channel.CBOR(t.Context(), getInfo, nil)
		require.ErrorIs(t, err, ctaphid.ErrInvalidCommand)
		_, err = key.CBOR(t.Context(), getInfo, nil)
		require.ErrorIs(t, err, ctaphid.ErrInvalidCommand)
		_, err = (&ctap1.Client{Transport: channel}).Version(t.Context())
		require.NoError(t, err)
	})
	t.Run("no U2F", func(t *testing.T) {
		t.Parallel()
		key, channel := open(t, Config{NoU2F: true})
		all := ctaphid.CapabilityWink | ctaphid.CapabilityCBOR | ctaphid.CapabilityNoMsg
		require.Equal(t, all, channel.DeviceInfo().Capabilities)
		for _, transport := range []ctap1.Transport{channel, key} {
			_, err := (&ctap1.Client{Transport: transport}).Version(t.Context())
			require.ErrorIs(t, err, ctaphid.ErrInvalidCommand)
		}
		info, err := (&ctap2.Client{Transport: channel}).GetInfo(t.Context())
		require.NoError(t, err)
		require.NotContains(t, info.Versions, "U2F_V2")
	})
}

func TestU2FIsOffWithAlwaysUV(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{AlwaysUV: true})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.NotContains(t, info.Versions, "U2F_V2")
	require.Nil(t, key.AttestationRoot())
	_, err = u2f(key).Register(t.Context(), testChallenge, testApplication)
	require.ErrorIs(t, err, ctap1.StatusWord(0x6986))
	for _, c := range []Config{{U2FOnly: true, AlwaysUV: true}, {U2FOnly: true, NoU2F: true}} {
		_, err := New(c)
		require.ErrorContains(t, err, "U2F only")
	}
}

func TestU2FSurvivesRestart(t *testing.T) {
	t.Parallel()
	config := Config{StateFile: t.TempDir() + "/key", U2FOnly: true}
	key, _ := newKey(t, config)
	r := registerU2F(t, key)
	root := key.AttestationRoot()
	counter := signU2F(t, key, ctap1.EnforceUserPresence, r.KeyHandle).Counter
	require.NoError(t, key.Close())
	_, err := key.Msg(t.Context(), []byte{0, 3, 0, 0})
	require.ErrorIs(t, err, fs.ErrClosed)

	key, _ = newKey(t, config)
	defer key.Close()
	a := signU2F(t, key, ctap1.EnforceUserPresence, r.KeyHandle)
	checkU2F(t, a, r.PublicKey)
	require.Greater(t, a.Counter, counter)
	require.Equal(t, root, key.AttestationRoot())
}

// Whatever the APDU, the answer ends with a status word and has data only with success.
func FuzzMsg(f *testing.F) {
	key, _ := newKey(f, Config{})
	for _, seed := range []string{"\x00\x03\x00\x00", "\x00\x01\x00\x00\x00\x00\x40", "\x00\x02\x03\x00\x41"} {
		f.Add([]byte(seed))
		f.Add(append([]byte(seed), make([]byte, 64)...))
		f.Add(append([]byte(seed), make([]byte, 67)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, err := key.Msg(t.Context(), b)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(answer), 2)
		require.Equal(t, statusWord(answer) == statusOK, len(answer) > 2, fmt.Sprintf("%x", answer))
		if cmd, err := parseAPDU(b); err == nil && len(cmd.data) > 0 { // both encodings say the same
			again := slices.Concat([]byte{0, cmd.ins, cmd.p1, 0, 0, byte(len(cmd.data) >> 8), byte(len(cmd.data))}, cmd.data)
			same, err := parseAPDU(again)
			require.NoError(t, err)
			require.Equal(t, cmd, same)
		}
	})
}
