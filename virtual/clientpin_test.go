package virtual

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

func requireRetries(t *testing.T, client *ctap2.Client, want int, wantPowerCycle bool) {
	t.Helper()
	retries, powerCycle, err := client.PINRetries(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, want, retries)
	require.Equal(t, wantPowerCycle, powerCycle)
}

func TestPINLifeWithEachProtocol(t *testing.T) {
	t.Parallel()
	for _, p := range []ctap2.PINProtocol{1, 2} {
		_, client := newKey(t, Config{})
		info, err := client.GetInfo(t.Context())
		require.NoError(t, err)
		set, supported := info.Option("clientPin")
		require.True(t, supported)
		require.False(t, set)
		_, err = client.PINToken(t.Context(), agree(t, client, p), pin)
		require.ErrorIs(t, err, ctap2.ErrPINNotSet)
		require.ErrorIs(t, client.ChangePIN(t.Context(), agree(t, client, p), pin, wrongPIN), ctap2.ErrPINNotSet)

		require.NoError(t, client.SetPIN(t.Context(), agree(t, client, p), []byte("é漢字-")))
		require.ErrorIs(t, client.SetPIN(t.Context(), agree(t, client, p), pin), ctap2.ErrPINAuthInvalid)
		require.NoError(t, client.ChangePIN(t.Context(), agree(t, client, p), []byte("é漢字-"), pin))
		require.ErrorIs(t, client.ChangePIN(t.Context(), agree(t, client, p), wrongPIN, pin), ctap2.ErrPINInvalid)
		requireRetries(t, client, 7, false)

		token, err := client.PINToken(t.Context(), agree(t, client, p), pin)
		require.NoError(t, err)
		requireRetries(t, client, 8, false)
		data := register(t, client, withToken(newRequest(), token))
		require.True(t, data.Flags.Has(ctap2.FlagUV))
		info, err = client.GetInfo(t.Context())
		require.NoError(t, err)
		set, _ = info.Option("clientPin")
		require.True(t, set)
	}
}

func TestPINSoftLockAndBlock(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	for cycle, last := range []ctap2.Status{ctap2.ErrPINAuthBlocked, ctap2.ErrPINAuthBlocked, 0} {
		if cycle < 2 {
			require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
			require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
			require.ErrorIs(t, tryPIN(t, client, wrongPIN), last)
			requireRetries(t, client, 5-3*cycle, true)
			require.ErrorIs(t, tryPIN(t, client, pin), ctap2.ErrPINAuthBlocked, "not even the right one")
			requireRetries(t, client, 5-3*cycle, true)
			key.PowerCycle()
			requireRetries(t, client, 5-3*cycle, false)
		}
	}
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINBlocked)
	require.ErrorIs(t, tryPIN(t, client, pin), ctap2.ErrPINBlocked)
	key.PowerCycle()
	require.ErrorIs(t, tryPIN(t, client, pin), ctap2.ErrPINBlocked)
	require.ErrorIs(t, client.ChangePIN(t.Context(), agree(t, client, 2), pin, pin), ctap2.ErrPINBlocked)

	require.NoError(t, client.Reset(t.Context()))
	requireRetries(t, client, 8, false)
	require.ErrorIs(t, tryPIN(t, client, pin), ctap2.ErrPINNotSet)
}

func TestRightPINForgivesWrongOnes(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	for range 4 {
		require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
		require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
		require.NoError(t, tryPIN(t, client, pin))
	}
}

func TestWrongPINEndsKeyAgreement(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	shared, other := agree(t, client, 2), agree(t, client, 1)
	_, err := client.PINToken(t.Context(), shared, wrongPIN)
	require.ErrorIs(t, err, ctap2.ErrPINInvalid)
	_, err = client.PINToken(t.Context(), shared, pin)
	require.ErrorIs(t, err, ctap2.ErrPINInvalid, "the old secret decrypts to nonsense")
	_, err = client.PINToken(t.Context(), other, pin)
	require.NoError(t, err, "the other protocol has a key of its own")
}

// rawPIN sends a new PIN that the client would not.
func rawPIN(t *testing.T, client *ctap2.Client, padded []byte) error {
	t.Helper()
	shared := agree(t, client, 2)
	enc, err := shared.Encrypt(padded)
	require.NoError(t, err)
	return sendPIN(t, client, shared, enc)
}

func sendPIN(t *testing.T, client *ctap2.Client, shared *ctap2.SharedSecret, enc []byte) error {
	t.Helper()
	return statusOrNil(send(t, client.Transport.(*Authenticator), ctap2.CommandClientPIN, &ctap2.ClientPINRequest{
		PINUVAuthProtocol: 2,
		Subcommand:        ctap2.SubcommandSetPIN,
		KeyAgreement:      shared.PublicKey(),
		PINUVAuthParam:    shared.Authenticate(enc),
		NewPINEnc:         enc,
	}))
}

func statusOrNil(s ctap2.Status) error {
	if s == 0 {
		return nil
	}
	return s
}

func TestNewPINPolicy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		padded []byte
		want   ctap2.Status
	}{
		"empty":                        {make([]byte, 64), ctap2.ErrPINPolicyViolation},
		"three characters in 9 bytes":  {append([]byte("漢字漢"), make([]byte, 55)...), ctap2.ErrPINPolicyViolation},
		"four characters":              {append([]byte("漢字漢字"), make([]byte, 52)...), 0},
		"63 bytes":                     {append(bytes.Repeat([]byte{'x'}, 63), 0), 0},
		"64 bytes":                     {bytes.Repeat([]byte{'x'}, 64), ctap2.ErrPINPolicyViolation},
		"no UTF-8":                     {append([]byte("\xff\xff\xff\xff"), make([]byte, 60)...), ctap2.ErrPINPolicyViolation},
		"padded to another size":       {make([]byte, 48), ctap2.ErrInvalidParameter},
		"padded to the size of a hash": {append([]byte("1234"), make([]byte, 12)...), ctap2.ErrInvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client := newKey(t, Config{})
			requireStatus(t, tt.want, rawPIN(t, client, tt.padded))
			info, err := client.GetInfo(t.Context())
			require.NoError(t, err)
			require.Equal(t, tt.want == 0, info.Options["clientPin"])
		})
	}
}

func TestNewPINThatDoesNotDecrypt(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	for _, size := range []int{1, 15, 79, 81} {
		err := sendPIN(t, client, agree(t, client, 2), make([]byte, size))
		require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid, size)
	}
}

func TestClientPINRefuses(t *testing.T) {
	t.Parallel()
	type request = ctap2.ClientPINRequest
	const withPermissions = ctap2.SubcommandGetPINTokenWithPermissions
	reader := Config{UserVerification: recognize}
	public, enc := platformKey(t), make([]byte, 32)
	for name, tt := range map[string]struct {
		config Config
		req    request
		want   ctap2.Status
	}{
		"unknown subcommand":              {req: request{Subcommand: 0x08}, want: ctap2.ErrInvalidSubcommand},
		"agreement without protocol":      {req: request{Subcommand: 2}, want: ctap2.ErrMissingParameter},
		"agreement with unknown protocol": {req: request{Subcommand: 2, PINUVAuthProtocol: 3}, want: ctap2.ErrInvalidParameter},
		"agreement with protocol that is switched off": {
			Config{PINUVAuthProtocols: []ctap2.PINProtocol{2}}, request{Subcommand: 2, PINUVAuthProtocol: 1}, ctap2.ErrInvalidParameter,
		},
		"setPIN without parameters":    {req: request{Subcommand: 3, PINUVAuthProtocol: 2}, want: ctap2.ErrMissingParameter},
		"changePIN without parameters": {req: request{Subcommand: 4, PINUVAuthProtocol: 2}, want: ctap2.ErrMissingParameter},
		"token without parameters":     {req: request{Subcommand: 5, PINUVAuthProtocol: 2}, want: ctap2.ErrMissingParameter},
		"2.0 token with permissions": {
			req:  request{Subcommand: 5, PINUVAuthProtocol: 2, Permissions: 3, KeyAgreement: public, PINHashEnc: enc},
			want: ctap2.ErrInvalidParameter,
		},
		"2.0 token with RP ID": {
			req:  request{Subcommand: 5, PINUVAuthProtocol: 2, RPID: "x", KeyAgreement: public, PINHashEnc: enc},
			want: ctap2.ErrInvalidParameter,
		},
		"token without permissions": {req: request{Subcommand: withPermissions, PINUVAuthProtocol: 2}, want: ctap2.ErrMissingParameter},
		"token for fingerprints without a reader": {
			req: request{
				Subcommand: withPermissions, PINUVAuthProtocol: 2, Permissions: 9, RPID: "x", KeyAgreement: public, PINHashEnc: enc,
			},
			want: ctap2.ErrUnauthorizedPermission,
		},
		"token without RP ID": {
			req: request{
				Subcommand: withPermissions, PINUVAuthProtocol: 2, Permissions: 1, KeyAgreement: public, PINHashEnc: enc,
			},
			want: ctap2.ErrInvalidParameter,
		},
		"UV retries without a reader": {req: request{Subcommand: 7}, want: ctap2.ErrInvalidSubcommand},
		"UV token without a reader":   {req: request{Subcommand: 6, PINUVAuthProtocol: 2}, want: ctap2.ErrInvalidSubcommand},
		"UV token without parameters": {reader, request{Subcommand: 6, PINUVAuthProtocol: 2}, ctap2.ErrMissingParameter},
		"PIN on a key without":        {Config{NoClientPIN: true}, request{Subcommand: 1}, ctap2.ErrInvalidSubcommand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t, tt.config)
			require.Equal(t, tt.want, send(t, key, ctap2.CommandClientPIN, &tt.req))
		})
	}
}

func TestClientPINRefusesZeroPermissions(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	require.Equal(t, ctap2.ErrInvalidParameter, send(t, key, ctap2.CommandClientPIN, map[int]any{
		1: 2, 2: 9, 3: platformKey(t), 6: make([]byte, 32), 9: 0, 10: "x",
	}))
}

func TestSetPINRefusesForgery(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	shared := agree(t, client, 2)
	enc, err := shared.Encrypt(append([]byte("1234"), make([]byte, 60)...))
	require.NoError(t, err)
	req := &ctap2.ClientPINRequest{
		PINUVAuthProtocol: 2, Subcommand: 3, KeyAgreement: shared.PublicKey(), NewPINEnc: enc, PINUVAuthParam: make([]byte, 32),
	}
	require.Equal(t, ctap2.ErrPINAuthInvalid, send(t, key, ctap2.CommandClientPIN, req))

	// A key that is no point of the curve, and one that is for signing.
	type point struct {
		Kty int    `cbor:"1,keyasint"`
		Alg int    `cbor:"3,keyasint"`
		Crv int    `cbor:"-1,keyasint"`
		X   []byte `cbor:"-2,keyasint"`
		Y   []byte `cbor:"-3,keyasint"`
	}
	off := point{2, -25, 1, make([]byte, 32), make([]byte, 32)}
	params := map[int]any{1: 2, 2: 3, 3: off, 4: make([]byte, 32), 5: enc}
	require.Equal(t, ctap2.ErrInvalidParameter, send(t, key, ctap2.CommandClientPIN, params))
	signer, err := newSigner(cose.ES256)
	require.NoError(t, err)
	params[3] = &cose.Key{Algorithm: cose.ES256, Public: signer.Public()}
	require.Equal(t, ctap2.ErrInvalidParameter, send(t, key, ctap2.CommandClientPIN, params))
	requireRetries(t, client, 8, false)
}

func TestUVToken(t *testing.T) {
	t.Parallel()
	var verdict error
	touches := 0
	_, client := newKeyWithPIN(t, Config{
		UserPresence: func(context.Context, Prompt) error { touches++; return nil },
		UserVerification: func(_ context.Context, p Prompt) error {
			require.Equal(t, Prompt{Command: ctap2.CommandClientPIN, RPID: testRP.ID}, p)
			return verdict
		},
	})
	get := func() (*ctap2.Token, error) {
		return client.UVToken(t.Context(), agree(t, client, 2), ctap2.PermissionMakeCredential, testRP.ID)
	}
	token, err := get()
	require.NoError(t, err)
	data := register(t, client, withToken(newRequest(), token))
	require.True(t, data.Flags.Has(ctap2.FlagUV|ctap2.FlagUP))
	require.Zero(t, touches, "the finger on the reader is a touch")

	verdict = ctap2.ErrUserActionTimeout
	_, err = get()
	require.ErrorIs(t, err, ctap2.ErrUserActionTimeout)
	verdict = errors.New("who?")
	for _, want := range []ctap2.Status{ctap2.ErrUVInvalid, ctap2.ErrUVInvalid, ctap2.ErrUVBlocked, ctap2.ErrUVBlocked} {
		_, err = get()
		require.ErrorIs(t, err, want)
	}
	verdict = nil
	_, err = get()
	require.ErrorIs(t, err, ctap2.ErrUVBlocked)
	require.NoError(t, tryPIN(t, client, pin))
	_, err = get()
	require.NoError(t, err)
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		permissions ctap2.Permission
		rpID        string
		meanwhile   func(t *testing.T, key *Authenticator, client *ctap2.Client)
		want        ctap2.Status
	}{
		"never":                 {1, testRP.ID, func(*testing.T, *Authenticator, *ctap2.Client) {}, 0},
		"for another command":   {2, testRP.ID, func(*testing.T, *Authenticator, *ctap2.Client) {}, ctap2.ErrPINAuthInvalid},
		"for another RP":        {1, "example.com", func(*testing.T, *Authenticator, *ctap2.Client) {}, ctap2.ErrPINAuthInvalid},
		"soon":                  {1, testRP.ID, func(*testing.T, *Authenticator, *ctap2.Client) { time.Sleep(tokenFirstUse - 1) }, 0},
		"when unused too long":  {1, testRP.ID, func(*testing.T, *Authenticator, *ctap2.Client) { time.Sleep(tokenFirstUse) }, ctap2.ErrPINAuthInvalid},
		"after a power cycle":   {1, testRP.ID, func(_ *testing.T, k *Authenticator, _ *ctap2.Client) { k.PowerCycle() }, ctap2.ErrPINAuthInvalid},
		"after another token":   {1, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) { newToken(t, c, 2) }, ctap2.ErrPINAuthInvalid},
		"after one of protocol": {1, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) { newToken(t, c, 1) }, ctap2.ErrPINAuthInvalid},
		"after a new PIN": {1, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) {
			require.NoError(t, c.ChangePIN(t.Context(), agree(t, c, 2), pin, pin))
		}, ctap2.ErrPINAuthInvalid},
		"after a reset": {1, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) {
			require.NoError(t, c.Reset(t.Context()))
		}, ctap2.ErrPINAuthInvalid},
		"after its one touch": {3, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) {
			register(t, c, newRequest())
		}, ctap2.ErrPINAuthInvalid},
		"not after silence": {1, testRP.ID, func(t *testing.T, _ *Authenticator, c *ctap2.Client) {
			req := ask()
			req.Options.UserPresence = no()
			_, err := c.GetAssertion(t.Context(), req)
			require.ErrorIs(t, err, ctap2.ErrNoCredentials)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key, client := newKeyWithPIN(t, Config{})
				token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, tt.permissions, tt.rpID)
				require.NoError(t, err)
				tt.meanwhile(t, key, client)
				_, err = client.MakeCredential(t.Context(), withToken(newRequest(), token))
				requireStatus(t, tt.want, err)
			})
		})
	}
}

func TestTokenWithoutRPIDIsBoundByItsFirstUse(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	token, err := client.PINToken(t.Context(), agree(t, client, 2), pin)
	require.NoError(t, err)
	silent := askWithToken(token)
	silent.Options.UserPresence = no() // does not spend the token
	_, err = client.GetAssertion(t.Context(), silent)
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	silent.RPID = "example.com"
	_, err = client.GetAssertion(t.Context(), silent)
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
}

func TestTokenDiesOfAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := newKeyWithPIN(t, Config{})
		token := newToken(t, client, 2)
		silent := askWithToken(token)
		silent.Options.UserPresence = no()
		for range tokenLifetime/(tokenFirstUse-1) - 1 {
			time.Sleep(tokenFirstUse - 1)
			_, err := client.GetAssertion(t.Context(), silent)
			require.ErrorIs(t, err, ctap2.ErrNoCredentials)
		}
		time.Sleep(2 * tokenFirstUse)
		_, err := client.GetAssertion(t.Context(), silent)
		require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	})
}

func TestPresenceOfUVTokenDiesOfAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		touches := 0
		_, client := newKey(t, Config{
			UserPresence:     func(context.Context, Prompt) error { touches++; return nil },
			UserVerification: recognize,
		})
		id := register(t, client, newRequest()).Credential.ID
		token, err := client.UVToken(t.Context(), agree(t, client, 2), 3, testRP.ID)
		require.NoError(t, err)
		silent := askWithToken(token, id)
		silent.Options.UserPresence = no()
		_, err = client.GetAssertion(t.Context(), silent)
		require.NoError(t, err)
		touches = 0
		time.Sleep(tokenPresence)
		_, err = client.GetAssertion(t.Context(), askWithToken(token, id))
		require.NoError(t, err)
		require.Equal(t, 1, touches)
	})
}

func TestUserCallbacksAreTimed(t *testing.T) {
	t.Parallel()
	stall := func(ctx context.Context, _ Prompt) error { <-ctx.Done(); return ctx.Err() }
	synctest.Test(t, func(t *testing.T) {
		_, client := newKey(t, Config{UserPresence: stall, TouchTimeout: time.Minute})
		start := time.Now()
		require.ErrorIs(t, client.Selection(t.Context()), ctap2.ErrUserActionTimeout)
		require.Equal(t, time.Minute, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		key, client := newKey(t, Config{UserPresence: stall})
		cause := errors.New("changed my mind")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		require.ErrorIs(t, client.Selection(ctx), cause)

		time.AfterFunc(time.Second, key.PowerCycle)
		require.ErrorIs(t, client.Selection(t.Context()), errPowerCycled)
	})
}

func TestCallbacksMayUseTheKey(t *testing.T) {
	t.Parallel()
	var key *Authenticator
	key, client := newKey(t, Config{UserPresence: func(context.Context, Prompt) error {
		require.Zero(t, key.Credentials())
		key.PowerCycle()
		return nil
	}})
	require.ErrorIs(t, client.Selection(t.Context()), errPowerCycled)
}

func TestCommandsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, client := newKey(t, Config{UserPresence: func(context.Context, Prompt) error { time.Sleep(time.Second); return nil }})
		done := make(chan error)
		for range 3 {
			go func() { done <- client.Selection(background) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := key.CBOR(ctx, []byte{4}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		start := time.Now()
		for range 3 {
			require.NoError(t, <-done)
		}
		require.Equal(t, 3*time.Second-time.Millisecond, time.Since(start))
	})
}

func TestGetInfoAnnouncesTheConfiguration(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"U2F_V2", "FIDO_2_0", "FIDO_2_1"}, info.Versions)
	require.Equal(t, []ctap2.PINProtocol{2, 1}, info.PINUVAuthProtocols)
	require.Equal(t, map[string]bool{
		"rk": true, "up": true, "plat": false, "clientPin": false, "pinUvAuthToken": true, "makeCredUvNotRqd": true,
		"authnrCfg": true, "setMinPINLength": true, "alwaysUv": false, "credMgmt": true, "largeBlobs": true,
	}, info.Options)
	require.EqualValues(t, 8, info.MaxCredentialCountInList)
	require.EqualValues(t, 128, info.MaxCredentialIDLength)
	require.EqualValues(t, 100, *info.RemainingDiscoverableCredentials)
	require.Equal(t, defaultAAGUID, info.AAGUID)

	_, client = newKey(t, Config{
		AAGUID: ctap2.AAGUID{1}, Algorithms: []cose.Algorithm{cose.RS256}, NoClientPIN: true, AlwaysUV: true, Capacity: 7,
	})
	info, err = client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]bool{
		"rk": true, "up": true, "plat": false, "pinUvAuthToken": false, "makeCredUvNotRqd": false, "alwaysUv": true,
		"authnrCfg": true, "largeBlobs": true,
	}, info.Options)
	require.Equal(t, params(cose.RS256), info.Algorithms)
	require.Equal(t, ctap2.AAGUID{1}, info.AAGUID)
	require.EqualValues(t, 7, *info.RemainingDiscoverableCredentials)
}

func TestNewRefusesWhatNoKeyCanBe(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Algorithms: []cose.Algorithm{-999}},
		{Algorithms: []cose.Algorithm{}},
		{PINUVAuthProtocols: []ctap2.PINProtocol{3}},
		{PINUVAuthProtocols: []ctap2.PINProtocol{}},
		{Capacity: -1},
		{MaxCredentialIDLength: minIDLength - 1},
		{MaxMessageSize: minMessageSize - 1},
		{MaxMessageSize: maxMessageSize + 1},
		{PIN: PINPolicy{MinLength: 3}},
		{PIN: PINPolicy{MinLength: 9, MaxLength: 8}},
		{PIN: PINPolicy{MaxLength: 64}},
		{PIN: PINPolicy{Retries: 9}},
		{PIN: PINPolicy{Initial: []byte("123")}},
		{PIN: PINPolicy{Initial: pin}, NoClientPIN: true},
		{UVRetries: 26},
		{EnrollSamples: -1},
		{MaxFingerprints: -1},
		{Reset: ResetPolicy{Window: -1}},
		{Without: []string{"credMgnt"}},
		{Version: CTAP23 + 1},
		{Version: CTAP21Pre, AlwaysUV: true},
		{Version: CTAP20, EnterpriseAttestation: true},
		{Version: CTAP21Pre, Preview: true},
		{AlwaysUV: true, Without: []string{"alwaysUv"}},
		{NoMCGAWithPIN: true},
		{Finger: indexFinger, UserVerification: recognize},
		{TouchTimeout: -1},
		{StateFile: t.TempDir()},
	} {
		_, err := New(c)
		require.Error(t, err, "%+v", c)
		require.True(t, strings.HasPrefix(err.Error(), "virtual: "), err)
	}
}

// platformKey is the public key of a platform.
func platformKey(t *testing.T) *cose.Key {
	t.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &cose.Key{Algorithm: cose.ECDHESHKDF256, Public: own.PublicKey()}
}

// platformSecret is the shared secret of a platform with a key of its own.
func platformSecret(t *testing.T, p ctap2.PINProtocol, public *ecdh.PublicKey) *ctap2.SharedSecret {
	t.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := ctap2.NewSharedSecret(p, own, public)
	require.NoError(t, err)
	return s
}

func TestPINHashOfWrongSizeIsAWrongPIN(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	hash := sha256.Sum256(pin)
	for i, size := range []int{0, 32} {
		shared := platformSecret(t, 2, key.volatile.keyAgreement[2].PublicKey())
		enc, err := shared.Encrypt(hash[:size])
		require.NoError(t, err)
		req := &ctap2.ClientPINRequest{PINUVAuthProtocol: 2, Subcommand: 5, KeyAgreement: shared.PublicKey(), PINHashEnc: enc}
		require.Equal(t, ctap2.ErrPINInvalid, send(t, key, ctap2.CommandClientPIN, req), fmt.Sprint(size))
		requireRetries(t, client, 7-i, false)
	}
}

func TestTokenIsGoodForOneAssertionWithTouch(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	id := register(t, client, newRequest()).Credential.ID
	token := newToken(t, client, 2)
	_, err := client.GetAssertion(t.Context(), askWithToken(token, id))
	require.NoError(t, err)
	_, err = client.GetAssertion(t.Context(), askWithToken(token, id))
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
}

func TestTokenIsOfItsProtocol(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	req := withToken(newRequest(), newToken(t, client, 1))
	req.PINUVAuthProtocol = 2
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
}

// A MAC that is made by the rules of the other protocol, with the right key.
func TestTokenProvesNothingByTheOtherProtocol(t *testing.T) {
	t.Parallel()
	for _, p := range []ctap2.PINProtocol{1, 2} {
		key, client := newKeyWithPIN(t, Config{})
		newToken(t, client, p)
		other := 3 - p
		req := newRequest()
		req.PINUVAuthProtocol, req.PINUVAuthParam = other, other.Authenticate(key.volatile.token.key, testHash)
		_, err := client.MakeCredential(t.Context(), req)
		require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	}
}

func TestTokenTakesPrecedenceOverOptionUV(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{}) // a reader would be asked in vain
	req := withToken(newRequest(), newToken(t, client, 2))
	req.Options.UserVerification = true
	require.True(t, register(t, client, req).Flags.Has(ctap2.FlagUV))
}

func TestChangePINRefusesForgery(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	shared := agree(t, client, 2)
	newPINEnc, err := shared.Encrypt(append([]byte("5678"), make([]byte, 60)...))
	require.NoError(t, err)
	hash := sha256.Sum256(pin)
	pinHashEnc, err := shared.Encrypt(hash[:pinHashSize])
	require.NoError(t, err)
	require.Equal(t, ctap2.ErrPINAuthInvalid, send(t, key, ctap2.CommandClientPIN, &ctap2.ClientPINRequest{
		PINUVAuthProtocol: 2, Subcommand: ctap2.SubcommandChangePIN, KeyAgreement: shared.PublicKey(),
		PINUVAuthParam: shared.Authenticate(newPINEnc), NewPINEnc: newPINEnc, PINHashEnc: pinHashEnc,
	}))
	requireRetries(t, client, 8, false)
	require.NoError(t, tryPIN(t, client, pin))
}
