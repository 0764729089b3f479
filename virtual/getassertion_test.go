package virtual

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// recognize is a fingerprint reader that knows everybody.
func recognize(context.Context, Prompt) error { return nil }

func TestGetAssertionRefuses(t *testing.T) {
	t.Parallel()
	type request = ctap2.GetAssertionRequest
	for name, tt := range map[string]struct {
		config Config
		change func(r *request)
		want   ctap2.Status
	}{
		"nothing there":          {want: ctap2.ErrNoCredentials, change: func(*request) {}},
		"somebody else's ID":     {want: ctap2.ErrNoCredentials, change: func(r *request) { r.AllowList = list(make([]byte, 64)) }},
		"empty ID":               {want: ctap2.ErrNoCredentials, change: func(r *request) { r.AllowList = list([]byte{}) }},
		"uv without a reader":    {want: ctap2.ErrInvalidOption, change: func(r *request) { r.Options.UserVerification = true }},
		"short client data hash": {want: ctap2.ErrInvalidLength, change: func(r *request) { r.ClientDataHash = testHash[1:] }},
		"long allow list": {
			Config{MaxCredentialCountInList: 1}, func(r *request) { r.AllowList = list([]byte{1}, []byte{2}) },
			ctap2.ErrLimitExceeded,
		},
		"token without protocol": {want: ctap2.ErrMissingParameter, change: func(r *request) { r.PINUVAuthParam = make([]byte, 32) }},
		"wrong token": {want: ctap2.ErrPINAuthInvalid, change: func(r *request) {
			r.PINUVAuthParam, r.PINUVAuthProtocol = make([]byte, 16), 1
		}},
		"probe":                     {want: ctap2.ErrPINNotSet, change: func(r *request) { r.PINUVAuthParam = []byte{} }},
		"alwaysUv without PIN":      {Config{AlwaysUV: true}, func(*request) {}, ctap2.ErrPUATRequired},
		"alwaysUv asked in silence": {Config{AlwaysUV: true}, func(r *request) { r.Options.UserPresence = no() }, ctap2.ErrNoCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client := newKey(t, tt.config)
			req := ask()
			tt.change(req)
			_, err := client.GetAssertion(t.Context(), req)
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestGetAssertionRefusesOptionRK(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	params := map[int]any{1: testRP.ID, 2: testHash, 5: map[string]bool{"rk": false}}
	require.Equal(t, ctap2.ErrUnsupportedOption, send(t, key, ctap2.CommandGetAssertion, params))
}

func TestGetAssertionIsForItsRelyingPartyOnly(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	sealed := register(t, client, newRequest()).Credential.ID
	stored := passkey(t, client, 1, nil).Credential.ID
	for _, allow := range [][][]byte{{sealed}, {stored}, nil} {
		req := ask(allow...)
		req.RPID = "example.com"
		_, err := client.GetAssertion(t.Context(), req)
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	}
}

func TestGetAssertionPicksFromAllowList(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	a, b := register(t, client, newRequest()), passkey(t, client, 1, nil)
	resp, err := client.GetAssertion(t.Context(), ask([]byte("unknown"), b.Credential.ID, a.Credential.ID))
	require.NoError(t, err)
	require.Equal(t, b.Credential.ID, resp.Credential.ID)
	require.Zero(t, resp.NumberOfCredentials)
	require.Equal(t, &ctap2.User{ID: []byte{1}}, resp.User)
	checkAssertion(t, resp, b.Credential.PublicKey)
	_, err = client.GetNextAssertion(t.Context())
	require.ErrorIs(t, err, ctap2.ErrNotAllowed)

	req := ask(a.Credential.ID)
	req.AllowList[0].Type = "password"
	_, err = client.GetAssertion(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
}

func TestGetAssertionInSilence(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context, Prompt) error { return errors.New("not asked for") }
	_, client := newKey(t, Config{})
	made := register(t, client, newRequest())
	key, _ := client.Transport.(*Authenticator)
	key.config.UserPresence = refuse

	req := ask(made.Credential.ID)
	req.Options.UserPresence = no()
	resp, err := client.GetAssertion(t.Context(), req)
	require.NoError(t, err)
	require.Zero(t, checkAssertion(t, resp, made.Credential.PublicKey).Flags)
	req.Options.UserPresence = nil
	_, err = client.GetAssertion(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrOperationDenied)
}

func TestGetNextAssertionWalksFromTheNewest(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	keys := make(map[byte]*cose.Key)
	for user := byte(1); user <= 3; user++ {
		keys[user] = passkey(t, client, user, newToken(t, client, 2)).Credential.PublicKey
	}
	resp, err := client.GetAssertion(t.Context(), askWithToken(newToken(t, client, 1)))
	require.NoError(t, err)
	require.EqualValues(t, 3, resp.NumberOfCredentials)
	for user := byte(3); ; user-- {
		data := checkAssertion(t, resp, keys[user])
		require.Equal(t, ctap2.FlagUP|ctap2.FlagUV, data.Flags)
		require.Equal(t, &ctap2.User{ID: []byte{user}, Name: string(rune('a' + user))}, resp.User, "names after verification")
		resp, err = client.GetNextAssertion(t.Context())
		if user == 1 {
			require.ErrorIs(t, err, ctap2.ErrNotAllowed)
			return
		}
		require.NoError(t, err)
		require.Zero(t, resp.NumberOfCredentials)
	}
}

func TestGetNextAssertionEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile func(t *testing.T, key *Authenticator, client *ctap2.Client)
		want      ctap2.Status
	}{
		"within the time": {func(*testing.T, *Authenticator, *ctap2.Client) { time.Sleep(walkTimeout - 1) }, 0},
		"after the time":  {func(*testing.T, *Authenticator, *ctap2.Client) { time.Sleep(walkTimeout) }, ctap2.ErrNotAllowed},
		"by another command": {func(t *testing.T, _ *Authenticator, client *ctap2.Client) {
			_, err := client.GetInfo(t.Context())
			require.NoError(t, err)
		}, ctap2.ErrNotAllowed},
		"by a power cycle": {func(_ *testing.T, key *Authenticator, _ *ctap2.Client) { key.PowerCycle() }, ctap2.ErrNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key, client := newKey(t, Config{})
				for user := byte(1); user <= 3; user++ {
					passkey(t, client, user, nil)
				}
				_, err := client.GetAssertion(t.Context(), ask())
				require.NoError(t, err)
				tt.meanwhile(t, key, client)
				_, err = client.GetNextAssertion(t.Context())
				requireStatus(t, tt.want, err)
			})
		})
	}
}

func TestCredProtectHides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		level                        uint
		known, discovered, withToken bool // found without verification by its ID, without ID; by its ID with verification
	}{
		{0, true, true, true},
		{1, true, true, true},
		{2, true, false, true},
		{3, false, false, true},
	} {
		_, client := newKeyWithPIN(t, Config{})
		req := withToken(newRequest(), newToken(t, client, 2))
		req.Options.ResidentKey = true
		req.Extensions.CredProtect = tt.level
		id := register(t, client, req).Credential.ID
		found := func(req *ctap2.GetAssertionRequest) bool {
			_, err := client.GetAssertion(t.Context(), req)
			if err != nil {
				require.ErrorIs(t, err, ctap2.ErrNoCredentials)
			}
			return err == nil
		}
		require.Equal(t, tt.known, found(ask(id)), "level %d", tt.level)
		require.Equal(t, tt.discovered, found(ask()), "level %d", tt.level)
		require.Equal(t, tt.withToken, found(askWithToken(newToken(t, client, 2), id)), "level %d", tt.level)
		require.Equal(t, tt.withToken, found(askWithToken(newToken(t, client, 2))), "level %d", tt.level)
	}
}

func TestBuiltInVerification(t *testing.T) {
	t.Parallel()
	touches := 0
	_, client := newKey(t, Config{
		UserPresence:     func(context.Context, Prompt) error { touches++; return nil },
		UserVerification: recognize,
	})
	req := newRequest()
	req.Options = ctap2.MakeCredentialOptions{ResidentKey: true, UserVerification: true}
	data := register(t, client, req)
	require.True(t, data.Flags.Has(ctap2.FlagUP|ctap2.FlagUV))
	get := ask()
	get.Options.UserVerification = true
	resp, err := client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	require.True(t, checkAssertion(t, resp, data.Credential.PublicKey).Flags.Has(ctap2.FlagUP|ctap2.FlagUV))
	require.Equal(t, "alice", resp.User.Name)
	require.Zero(t, touches, "the finger on the reader is a touch")

	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	uv, _ := info.Option("uv")
	require.True(t, uv)
}

func TestBuiltInVerificationThatFails(t *testing.T) {
	t.Parallel()
	stranger := Config{UserVerification: func(context.Context, Prompt) error { return errors.New("who?") }}
	get := ask()
	get.Options.UserVerification = true

	_, client := newKey(t, stranger)
	_, err := client.GetAssertion(t.Context(), get)
	require.ErrorIs(t, err, ctap2.ErrPINBlocked, "nothing but a reset helps")
	retries, err := client.UVRetries(t.Context(), 2)
	require.NoError(t, err)
	require.Zero(t, retries)

	_, client = newKeyWithPIN(t, stranger)
	_, err = client.GetAssertion(t.Context(), get)
	require.ErrorIs(t, err, ctap2.ErrPUATRequired, "the PIN is a way out")
	require.NoError(t, tryPIN(t, client, pin))
	retries, err = client.UVRetries(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, defaultUVRetries, retries, "the PIN gives the tries back")
}

func TestAlwaysUVAsksTheReaderItself(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{AlwaysUV: true, UserVerification: recognize})
	data := register(t, client, newRequest())
	require.True(t, data.Flags.Has(ctap2.FlagUV))
	resp, err := client.GetAssertion(t.Context(), ask(data.Credential.ID))
	require.NoError(t, err)
	require.True(t, checkAssertion(t, resp, data.Credential.PublicKey).Flags.Has(ctap2.FlagUV))
}

// secretsOf asks for the hmac-secret outputs of a credential.
func secretsOf(t *testing.T, client *ctap2.Client, p ctap2.PINProtocol, req *ctap2.GetAssertionRequest, salts []byte) []byte {
	t.Helper()
	shared := agree(t, client, p)
	in, err := ctap2.NewHMACSecretInput(shared, salts)
	require.NoError(t, err)
	req.Extensions.HMACSecret = in
	resp, err := client.GetAssertion(t.Context(), req)
	require.NoError(t, err)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(t, err)
	var out ctap2.GetAssertionOutputs
	require.NoError(t, ctapcbor.Unmarshal(data.Extensions, &out))
	plain, err := shared.Decrypt(out.HMACSecret)
	require.NoError(t, err)
	return plain
}

func TestHMACSecretIsOfCredentialSaltAndVerification(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	id := register(t, client, newRequest()).Credential.ID
	other := register(t, client, newRequest()).Credential.ID
	salt1, salt2 := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

	one := secretsOf(t, client, 1, ask(id), salt1)
	require.Len(t, one, 32)
	both := secretsOf(t, client, 2, ask(id), append(bytes.Clone(salt2), salt1...))
	require.Len(t, both, 64)
	require.Equal(t, one, both[32:], "the same salt, whatever the protocol and the place")
	require.NotEqual(t, one, both[:32])
	require.NotEqual(t, one, secretsOf(t, client, 2, ask(other), salt1))
	verified := secretsOf(t, client, 2, askWithToken(newToken(t, client, 2), id), salt1)
	require.NotEqual(t, one, verified)

	key.PowerCycle()
	require.Equal(t, one, secretsOf(t, client, 2, ask(id), salt1))
}

func TestHMACSecretRefuses(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	id := register(t, client, newRequest()).Credential.ID
	for name, tt := range map[string]struct {
		salts  int
		change func(r *ctap2.GetAssertionRequest)
		want   ctap2.Status
	}{
		"no salt":         {0, func(*ctap2.GetAssertionRequest) {}, ctap2.ErrInvalidParameter},
		"half a salt":     {16, func(*ctap2.GetAssertionRequest) {}, ctap2.ErrInvalidParameter},
		"three salts":     {96, func(*ctap2.GetAssertionRequest) {}, ctap2.ErrInvalidParameter},
		"without a touch": {32, func(r *ctap2.GetAssertionRequest) { r.Options.UserPresence = no() }, ctap2.ErrUnsupportedOption},
		"wrong MAC": {32, func(r *ctap2.GetAssertionRequest) {
			r.Extensions.HMACSecret.SaltAuth[0] ^= 1
		}, ctap2.ErrPINAuthInvalid},
		"cut": {32, func(r *ctap2.GetAssertionRequest) {
			r.Extensions.HMACSecret.SaltEnc = r.Extensions.HMACSecret.SaltEnc[:15]
		}, ctap2.ErrPINAuthInvalid},
		"unknown protocol": {32, func(r *ctap2.GetAssertionRequest) {
			r.Extensions.HMACSecret.PINUVAuthProtocol = 9
		}, ctap2.ErrInvalidParameter},
		"protocol left out": {32, func(r *ctap2.GetAssertionRequest) {
			r.Extensions.HMACSecret.PINUVAuthProtocol = 0 // means 1, but the secret is for 2
		}, ctap2.ErrPINAuthInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := ctap2.NewHMACSecretInput(agree(t, client, 2), make([]byte, tt.salts))
			require.NoError(t, err)
			req := ask(id)
			req.Extensions.HMACSecret = in
			tt.change(req)
			_, err = client.GetAssertion(t.Context(), req)
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestSilentAssertionWithVerificationClaimsNoPresence(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{UserVerification: recognize})
	made := register(t, client, newRequest())
	req := ask(made.Credential.ID)
	req.Options = ctap2.GetAssertionOptions{UserPresence: no(), UserVerification: true}
	resp, err := client.GetAssertion(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, ctap2.FlagUV, checkAssertion(t, resp, made.Credential.PublicKey).Flags)
}

func TestGetNextAssertionStartsTheTimeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := newKey(t, Config{})
		for user := byte(1); user <= 3; user++ {
			passkey(t, client, user, nil)
		}
		_, err := client.GetAssertion(t.Context(), ask())
		require.NoError(t, err)
		for range 2 {
			time.Sleep(walkTimeout - 1)
			_, err = client.GetNextAssertion(t.Context())
			require.NoError(t, err)
		}
	})
}
