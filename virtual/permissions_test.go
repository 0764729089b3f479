package virtual

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	mc, ga   = ctap2.PermissionMakeCredential, ctap2.PermissionGetAssertion
	cm, be   = ctap2.PermissionCredentialManagement, ctap2.PermissionBioEnrollment
	lbw      = ctap2.PermissionLargeBlobWrite
	pcmr     = ctap2.PermissionPersistentReadOnly
	strange  = ctap2.Permission(0x80)
	denied   = ctap2.ErrUnauthorizedPermission
	needless = ""
)

func TestPermissions(t *testing.T) {
	t.Parallel()
	full := Config{Version: CTAP23, Finger: indexFinger, EnrollSamples: 1}
	without := func(names ...string) Config { c := full; c.Without = names; return c }
	pinForManagement := full
	pinForManagement.NoMCGAWithPIN = true
	for _, tt := range []struct {
		config      Config
		permissions ctap2.Permission
		rpID        string
		pin, uv     error
	}{
		{full, mc, testRP.ID, nil, nil},
		{full, mc | ga, testRP.ID, nil, nil},
		{full, mc, needless, ctap2.ErrInvalidParameter, ctap2.ErrInvalidParameter},
		{full, ga | acfg, needless, ctap2.ErrInvalidParameter, ctap2.ErrInvalidParameter},
		{full, acfg, needless, nil, nil},
		{full, be, needless, nil, nil},
		{full, acfg | be | strange, needless, nil, nil},
		{full, strange, needless, nil, nil},
		{without("uvAcfg"), acfg, needless, nil, denied},
		{without("uvBioEnroll"), be, needless, nil, denied},
		{without("authnrCfg"), acfg, needless, denied, denied},
		{without("credMgmt"), cm, needless, denied, denied},
		{without("largeBlobs"), lbw, needless, denied, denied},
		{without("perCredMgmtRO"), pcmr, needless, denied, denied},
		{full, pcmr | acfg, needless, denied, denied},
		{pinForManagement, mc, testRP.ID, denied, nil},
		{pinForManagement, ga, testRP.ID, denied, nil},
		{pinForManagement, acfg, needless, nil, nil},
	} {
		t.Run(fmt.Sprintf("0x%02x %v", tt.permissions, tt.config.Without), func(t *testing.T) {
			t.Parallel()
			_, client := newKeyWithPIN(t, tt.config)
			enrol(t, client, 1)
			_, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, tt.permissions, tt.rpID)
			requireErrorIs(t, tt.pin, err)
			_, err = client.UVToken(t.Context(), agree(t, client, 2), tt.permissions, tt.rpID)
			requireErrorIs(t, tt.uv, err)
		})
	}
}

func requireErrorIs(t *testing.T, want, err error) {
	t.Helper()
	if want == nil {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, want)
}

func TestPermissionsAreCheckedBeforeThePIN(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	for range 9 {
		_, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), wrongPIN, be, "")
		require.ErrorIs(t, err, denied)
	}
	requireRetries(t, client, 8, false)
}

func TestPINForManagementOnly(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{NoMCGAWithPIN: true, UserVerification: recognize})
	requireOptions(t, client, map[string]bool{"noMcGaPermissionsWithClientPin": true})
	token, err := client.PINToken(t.Context(), agree(t, client, 2), pin)
	require.NoError(t, err, "of the legacy subcommand, good for nothing")
	_, err = client.MakeCredential(t.Context(), withToken(newRequest(), token))
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)

	key.config.UserVerification = func(context.Context, Prompt) error { return errNotRecognized }
	req := newRequest()
	req.Options.UserVerification = true
	_, err = client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrPINBlocked, "the PIN would not help")
}

func TestConfigTokenDiesOfAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := newKeyWithPIN(t, Config{})
		config := configurator(t, client)
		time.Sleep(tokenFirstUse - 1)
		require.NoError(t, config.ToggleAlwaysUV(t.Context()))
		time.Sleep(tokenLifetime - tokenFirstUse)
		require.NoError(t, config.ToggleAlwaysUV(t.Context()), "used in time, it lasts")
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, config.ToggleAlwaysUV(t.Context()), ctap2.ErrPINAuthInvalid)

		config = configurator(t, client)
		time.Sleep(tokenFirstUse)
		require.ErrorIs(t, config.ToggleAlwaysUV(t.Context()), ctap2.ErrPINAuthInvalid)
	})
}

func TestTouchTakesTheOtherPermissionsToo(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, mc|acfg, testRP.ID)
	require.NoError(t, err)
	register(t, client, withToken(newRequest(), token))
	config := &ctap2.AuthenticatorConfig{Client: client, Token: token}
	require.ErrorIs(t, config.ToggleAlwaysUV(t.Context()), ctap2.ErrPINAuthInvalid)
}
