package authenticator

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// user touches the key when it is told to.
type user struct {
	touches int         // events that asked for one
	away    atomic.Bool // touches nothing
}

func (u *user) ui() *UI {
	return &UI{Notify: func(e Event) {
		if e.Kind == EventTouch {
			u.touches++
		}
	}}
}

func (u *user) presence(ctx context.Context, _ virtual.Prompt) error {
	if u.away.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// u2fKey opens a key that speaks U2F only, in a bubble of fake time: the library polls.
func u2fKey(t *testing.T, f func(t *testing.T, a *Authenticator, u *user)) {
	synctest.Test(t, func(t *testing.T) {
		u := &user{}
		key, err := virtual.New(virtual.Config{U2FOnly: true, UserPresence: u.presence})
		require.NoError(t, err)
		defer key.Close()
		channel, err := ctaphid.Open(t.Context(), key.Device())
		require.NoError(t, err)
		require.False(t, channel.DeviceInfo().Capabilities.Has(ctaphid.CapabilityCBOR))
		a, err := New(t.Context(), channel, u.ui())
		require.NoError(t, err)
		defer a.Close()
		f(t, a, u)
	})
}

func TestU2FRegisterAndAuthenticate(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		cred := register(t, a, nil)
		require.Equal(t, cose.ES256, cred.PublicKey.Algorithm)
		require.Equal(t, "fido-u2f", cred.Attestation.Format)
		attestation, err := cred.Attestation.Verify(hash("create"))
		require.NoError(t, err)
		require.Equal(t, webauthn.AttestationBasic, attestation.Type)
		require.Equal(t, 1, u.touches)

		u.touches = 0
		opts := assertionOptions()
		for i := range 20 { // one touch whatever the length of the list
			opts.AllowList = append(opts.AllowList, another(cred.ID, i))
		}
		opts.AllowList = append(opts.AllowList, make([]byte, 300), cred.ID)
		assertions, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Len(t, assertions, 1)
		got := assertions[0]
		require.Equal(t, cred.ID, got.CredentialID)
		require.NoError(t, webauthn.VerifySignature(cred.PublicKey, got.AuthData, hash("get"), got.Signature))
		require.Equal(t, ctap2.FlagUP, got.AuthenticatorData.Flags)
		require.Equal(t, 1, u.touches)
	})
}

func TestU2FExcludeList(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		cred := register(t, a, nil)
		u.touches = 0
		o := credentialOptions()
		o.ExcludeList = [][]byte{{1, 2, 3}, cred.ID}
		_, err := a.MakeCredential(t.Context(), o)
		require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)
		require.Equal(t, 1, u.touches, "not without a touch")
		o.RP.ID = "other.example"
		_, err = a.MakeCredential(t.Context(), o)
		require.NoError(t, err, "it is another party's credential")
	})
}

func TestU2FNoMatch(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		opts := assertionOptions()
		opts.AllowList = [][]byte{{1}, make([]byte, 64)}
		_, err := a.GetAssertions(t.Context(), opts)
		require.Equal(t, KindNoMatch, KindOf(err))
		require.Equal(t, 1, u.touches, "not without a touch")
		opts.NoTouch = true
		_, err = a.GetAssertions(t.Context(), opts)
		require.Equal(t, KindNoMatch, KindOf(err))
		require.Equal(t, 1, u.touches)
		_, err = a.GetAssertions(t.Context(), assertionOptions())
		require.Equal(t, KindNoMatch, KindOf(err))
		require.ErrorContains(t, err, "no resident keys")
	})
}

func TestU2FSilentAssertion(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		cred := register(t, a, nil)
		u.touches = 0
		opts := assertionOptions(cred)
		opts.NoTouch = true
		assertions, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Zero(t, assertions[0].AuthenticatorData.Flags)
		require.NoError(t, webauthn.VerifySignature(cred.PublicKey, assertions[0].AuthData, hash("get"), assertions[0].Signature))
		require.Zero(t, u.touches)
	})
}

// A credential that a web site registered by the old U2F API has the hash of an AppID in the place of the RP ID's.
func TestAppID(t *testing.T) {
	const appID = "https://example.org/app-id.json"
	test := func(t *testing.T, a *Authenticator, u *user) {
		old := register(t, a, func(o *CredentialOptions) { o.RP.ID = appID })
		opts := assertionOptions(old)
		_, err := a.GetAssertions(t.Context(), opts)
		require.Equal(t, KindNoMatch, KindOf(err))
		opts.AppID = appID
		assertions, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.EqualValues(t, hash(appID), assertions[0].AuthenticatorData.RPIDHash[:])

		o := credentialOptions()
		o.ExcludeList = [][]byte{old.ID}
		_, err = a.MakeCredential(t.Context(), o)
		require.NoError(t, err)
		o.AppIDExclude = appID
		u.touches = 0
		_, err = a.MakeCredential(t.Context(), o)
		require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)
		require.Equal(t, 1, u.touches)
		o.ExcludeList = [][]byte{{1}}
		_, err = a.MakeCredential(t.Context(), o)
		require.NoError(t, err)

		cred := register(t, a, nil)
		opts.AllowList = append(opts.AllowList, cred.ID)
		assertions, err = a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, cred.ID, assertions[0].CredentialID, "the RP ID goes first")
	}
	t.Run("U2F", func(t *testing.T) { u2fKey(t, test) })
	t.Run("CTAP2", func(t *testing.T) {
		u := &user{}
		a, _ := open(t, virtual.Config{}, u.ui())
		test(t, a, u)
	})
}

func TestWhatU2FCannotDo(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		for name, change := range map[string]func(*CredentialOptions){
			"resident key":      func(o *CredentialOptions) { o.ResidentKey = true },
			"user verification": func(o *CredentialOptions) { o.UserVerification = UVRequired },
			"other algorithm":   func(o *CredentialOptions) { o.Algorithms = []cose.Algorithm{cose.EdDSA} },
			"hmac-secret":       func(o *CredentialOptions) { o.HMACSecret = true },
			"credProtect":       func(o *CredentialOptions) { o.CredProtect = ctap2.CredProtectUVRequired },
		} {
			o := credentialOptions()
			change(o)
			_, err := a.MakeCredential(t.Context(), o)
			require.Equal(t, KindUnsupported, KindOf(err), name)
		}
		opts := assertionOptions()
		opts.AllowList, opts.UserVerification = [][]byte{{1}}, UVRequired
		_, err := a.GetAssertions(t.Context(), opts)
		require.Equal(t, KindUnsupported, KindOf(err))
		for name, call := range map[string]func() error{
			"set PIN":     func() error { return a.SetPIN(t.Context(), []byte("1234")) },
			"PIN retries": func() error { _, _, err := a.PINRetries(t.Context()); return err },
			"reset":       func() error { return a.Reset(t.Context()) },
		} {
			require.Equal(t, KindUnsupported, KindOf(call()), name)
		}
		require.Zero(t, u.touches, "nobody was asked for anything")
		require.NoError(t, a.Wink(t.Context()))
		require.NoError(t, a.Selection(t.Context()))
		require.Equal(t, 1, u.touches)
	})
}

func TestU2FCancelledWhileWaiting(t *testing.T) {
	u2fKey(t, func(t *testing.T, a *Authenticator, u *user) {
		u.away.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := a.MakeCredential(ctx, credentialOptions())
		require.Equal(t, KindTimeout, KindOf(err))
		require.Less(t, time.Since(start), 4*time.Second)
		require.Equal(t, 1, u.touches, "told once, however often the key is polled")
		time.Sleep(2 * time.Second) // by then the key, which nobody asks any more, has stopped blinking
		u.away.Store(false)
		register(t, a, nil)
	})
}

// u2fBehind claims CTAP2 but gives no usable answer to getInfo.
type u2fBehind struct {
	*ctaphid.Channel
	answer []byte
}

func (b u2fBehind) CBOR(context.Context, []byte, func(byte)) ([]byte, error) { return b.answer, nil }

func TestBrokenCTAP2FallsBackToU2F(t *testing.T) {
	for name, answer := range map[string][]byte{
		"invalid command": {byte(ctap2.ErrInvalidCommand)},
		"no status":       {},
		"empty map":       {0, 0xa0},
		"garbage":         {0, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, err := virtual.New(virtual.Config{})
				require.NoError(t, err)
				defer key.Close()
				channel, err := ctaphid.Open(t.Context(), key.Device())
				require.NoError(t, err)
				a, err := New(t.Context(), u2fBehind{channel, answer}, nil)
				require.NoError(t, err)
				defer a.Close()
				require.Equal(t, []string{"U2F_V2"}, a.Info().Versions)
				cred := register(t, a, nil)
				_, err = a.GetAssertions(t.Context(), assertionOptions(cred))
				require.NoError(t, err)
			})
		})
	}
	key, err := virtual.New(virtual.Config{NoU2F: true})
	require.NoError(t, err)
	defer key.Close()
	channel, err := ctaphid.Open(t.Context(), key.Device())
	require.NoError(t, err)
	_, err = New(t.Context(), u2fBehind{channel, nil}, nil)
	require.Equal(t, KindProtocol, KindOf(err), "without U2F the error is that of getInfo")
}
