package virtual

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

const acfg = ctap2.PermissionAuthenticatorConfig

// configurator has a new token if the key has a PIN.
func configurator(t testing.TB, client *ctap2.Client) *ctap2.AuthenticatorConfig {
	t.Helper()
	c := &ctap2.AuthenticatorConfig{Client: client}
	if info := getInfo(t, client); info.Options["clientPin"] {
		token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, acfg, "")
		require.NoError(t, err)
		c.Token = token
	}
	return c
}

func getInfo(t testing.TB, client *ctap2.Client) *ctap2.Info {
	t.Helper()
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	return info
}

func TestEnableEnterpriseAttestation(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{EnterpriseAttestation: true})
	requireOptions(t, client, map[string]bool{"ep": false})
	for range 2 {
		require.NoError(t, configurator(t, client).EnableEnterpriseAttestation(t.Context()))
		requireOptions(t, client, map[string]bool{"ep": true})
	}
	require.NoError(t, client.Reset(t.Context()))
	requireOptions(t, client, map[string]bool{"ep": false})
}

func TestToggleAlwaysUV(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	require.NoError(t, configurator(t, client).ToggleAlwaysUV(t.Context()))
	requireOptions(t, client, map[string]bool{"alwaysUv": true, "makeCredUvNotRqd": false})
	require.NotContains(t, getInfo(t, client).Versions, "U2F_V2", "it cannot verify the user")
	_, err := client.MakeCredential(t.Context(), newRequest())
	require.ErrorIs(t, err, ctap2.ErrPUATRequired)
	_, err = client.GetAssertion(t.Context(), ask())
	require.ErrorIs(t, err, ctap2.ErrPUATRequired)
	resp, err := key.Msg(t.Context(), []byte{0, insVersion, 0, 0})
	require.NoError(t, err)
	require.Equal(t, []byte{0x69, 0x86}, resp)

	require.NoError(t, configurator(t, client).ToggleAlwaysUV(t.Context()))
	requireOptions(t, client, map[string]bool{"alwaysUv": false, "makeCredUvNotRqd": true})
	require.Contains(t, getInfo(t, client).Versions, "U2F_V2")
	register(t, client, newRequest())
}

func TestToggleAlwaysUVOfAKeyThatIsMadeForIt(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{AlwaysUV: true})
	require.NoError(t, configurator(t, client).ToggleAlwaysUV(t.Context()))
	requireOptions(t, client, map[string]bool{"alwaysUv": false})
	require.NoError(t, client.Reset(t.Context()))
	requireOptions(t, client, map[string]bool{"alwaysUv": true})
}

// Without a PIN nobody can get a token, so alwaysUv can be switched on and off, but nothing else be done once it is on.
func TestConfigOfAnUnprotectedKey(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP23})
	config := configurator(t, client)
	require.NoError(t, config.SetMinPINLength(t.Context(), ctap2.SetMinPINLengthParams{NewMinPINLength: 5}))
	require.NoError(t, config.ToggleAlwaysUV(t.Context()))
	require.ErrorIs(t, config.EnableLongTouchForReset(t.Context()), ctap2.ErrPUATRequired)
	require.NoError(t, config.ToggleAlwaysUV(t.Context()))
	require.NoError(t, config.EnableLongTouchForReset(t.Context()))
	require.True(t, getInfo(t, client).LongTouchForReset)
}

func TestSetMinPINLength(t *testing.T) {
	t.Parallel()
	set := func(t *testing.T, client *ctap2.Client, params ctap2.SetMinPINLengthParams) error {
		return configurator(t, client).SetMinPINLength(t.Context(), params)
	}
	t.Run("grows and never shrinks", func(t *testing.T) {
		t.Parallel()
		_, client := newKey(t, Config{PIN: PINPolicy{MinLength: 5, MaxLength: 20}})
		require.EqualValues(t, 5, getInfo(t, client).MinPINLength)
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{NewMinPINLength: 8}))
		require.EqualValues(t, 8, getInfo(t, client).MinPINLength)
		require.ErrorIs(t, set(t, client, ctap2.SetMinPINLengthParams{NewMinPINLength: 7}), ctap2.ErrPINPolicyViolation)
		require.ErrorIs(t, set(t, client, ctap2.SetMinPINLengthParams{NewMinPINLength: 21}), ctap2.ErrPINPolicyViolation)
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{}))
		require.EqualValues(t, 8, getInfo(t, client).MinPINLength)
		require.ErrorIs(t, client.SetPIN(t.Context(), agree(t, client, 2), []byte("漢字漢字漢字漢")), ctap2.ErrPINPolicyViolation)
		require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 2), []byte("漢字漢字漢字漢字")))
	})
	t.Run("a PIN that is too short now must be changed", func(t *testing.T) {
		t.Parallel()
		_, client := newKeyWithPIN(t, Config{})
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{NewMinPINLength: 4}))
		require.False(t, getInfo(t, client).ForcePINChange)
		config := configurator(t, client)
		require.NoError(t, config.SetMinPINLength(t.Context(), ctap2.SetMinPINLengthParams{NewMinPINLength: 6}))
		require.True(t, getInfo(t, client).ForcePINChange)
		require.ErrorIs(t, config.ToggleAlwaysUV(t.Context()), ctap2.ErrPINAuthInvalid, "the tokens are gone")
		requireForcedChange(t, client, []byte("123456"))
	})
	t.Run("on request", func(t *testing.T) {
		t.Parallel()
		_, client := newKeyWithPIN(t, Config{})
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{ForceChangePIN: true}))
		requireForcedChange(t, client, []byte("5678"))
	})
	t.Run("no PIN to change", func(t *testing.T) {
		t.Parallel()
		_, client := newKey(t, Config{})
		require.ErrorIs(t, set(t, client, ctap2.SetMinPINLengthParams{ForceChangePIN: true}), ctap2.ErrPINNotSet)
	})
	t.Run("relying parties that may know", func(t *testing.T) {
		t.Parallel()
		key, client := newKeyWithPIN(t, Config{})
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{RPIDs: []string{"example.com"}}))
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{NewMinPINLength: 4}))
		require.True(t, key.revealsPINLength("example.com"))
		require.False(t, key.revealsPINLength(testRP.ID))
		tooMany := make([]string, maxMinPINLengthRPIDs+1)
		require.ErrorIs(t, set(t, client, ctap2.SetMinPINLengthParams{RPIDs: tooMany}), ctap2.ErrKeyStoreFull)
		require.True(t, key.revealsPINLength("example.com"))
	})
	t.Run("a list of nobody changes nothing", func(t *testing.T) {
		t.Parallel()
		key, client := newKey(t, Config{Version: CTAP22, Without: []string{"minPinLength"}})
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{RPIDs: []string{"example.com"}}), "they learn of complexity")
		require.Zero(t, send(t, key, ctap2.CommandConfig, map[int]any{1: 3, 2: map[int]any{2: []string{}}}))
		require.True(t, key.revealsPINLength("example.com"))
	})
	t.Run("complexity that the key does not know", func(t *testing.T) {
		t.Parallel()
		key, client := newKey(t, Config{})
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{PINComplexityPolicy: true, NewMinPINLength: 5}))
		require.False(t, key.state.Settings.PINComplexity)
		require.EqualValues(t, 5, getInfo(t, client).MinPINLength)
	})
	t.Run("complexity", func(t *testing.T) {
		t.Parallel()
		_, client := newKeyWithPIN(t, Config{Version: CTAP22})
		require.False(t, *getInfo(t, client).PINComplexityPolicy)
		require.NoError(t, set(t, client, ctap2.SetMinPINLengthParams{PINComplexityPolicy: true}))
		require.True(t, *getInfo(t, client).PINComplexityPolicy)
		for _, simple := range []string{"1111", "2345", "dcba"} {
			err := client.ChangePIN(t.Context(), agree(t, client, 2), pin, []byte(simple))
			require.ErrorIs(t, err, ctap2.ErrPINPolicyViolation, simple)
		}
		requireForcedChange(t, client, []byte("1235"))
	})
}

// requireForcedChange expects the key to refuse its PIN until it was changed, and not for itself.
func requireForcedChange(t *testing.T, client *ctap2.Client, next []byte) {
	t.Helper()
	require.True(t, getInfo(t, client).ForcePINChange)
	require.ErrorIs(t, tryPIN(t, client, pin), ctap2.ErrPINInvalid)
	_, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, 1, testRP.ID)
	require.ErrorIs(t, err, ctap2.ErrPINPolicyViolation)
	requireRetries(t, client, 8, false)
	require.ErrorIs(t, client.ChangePIN(t.Context(), agree(t, client, 2), pin, pin), ctap2.ErrPINPolicyViolation)
	require.NoError(t, client.ChangePIN(t.Context(), agree(t, client, 2), pin, next))
	require.False(t, getInfo(t, client).ForcePINChange)
	require.NoError(t, tryPIN(t, client, next))
}

func TestVendorPrototype(t *testing.T) {
	t.Parallel()
	var got []byte
	_, client := newKey(t, Config{Version: CTAP23, VendorConfig: map[uint64]func([]byte) error{
		7:       func(params []byte) error { got = params; return nil },
		1 << 40: func([]byte) error { return ctap2.ErrNotAllowed },
		8:       func([]byte) error { return errors.New("out of order") },
	}})
	info := getInfo(t, client)
	require.Equal(t, []uint64{7, 8, 1 << 40}, info.VendorPrototypeConfigCommands)
	require.Equal(t, []uint64{2, 3, 4, 0xff}, info.AuthenticatorConfigCommands)
	config := configurator(t, client)
	require.NoError(t, config.VendorPrototype(t.Context(), 7, map[uint64]any{2: "x"}))
	want, err := ctapcbor.Marshal(map[int]any{1: 7, 2: "x"})
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.ErrorIs(t, config.VendorPrototype(t.Context(), 1<<40, nil), ctap2.ErrNotAllowed)
	require.ErrorIs(t, config.VendorPrototype(t.Context(), 8, nil), ctap2.ErrOther)
	require.ErrorIs(t, config.VendorPrototype(t.Context(), 9, nil), ctap2.ErrInvalidParameter)
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	type m = map[int]any
	for name, tt := range map[string]struct {
		config     Config
		permission ctap2.Permission // of the token that signs; 0 for none
		params     m
		want       ctap2.Status
	}{
		"nothing":                    {Config{}, 0, m{}, ctap2.ErrMissingParameter},
		"another subcommand":         {Config{}, 0, m{1: 5}, ctap2.ErrInvalidParameter},
		"attestation that is not":    {Config{}, 0, m{1: 1}, ctap2.ErrInvalidParameter},
		"long touch before 2.3":      {Config{Version: CTAP22}, 0, m{1: 4}, ctap2.ErrInvalidParameter},
		"vendor's that is not":       {Config{}, 0, m{1: 0xff}, ctap2.ErrInvalidParameter},
		"alwaysUv that is not":       {Config{Without: []string{"alwaysUv"}}, 0, m{1: 2}, ctap2.ErrInvalidParameter},
		"setMinPINLength that isn't": {Config{Without: []string{"setMinPINLength"}}, 0, m{1: 3}, ctap2.ErrInvalidParameter},
		"command that is not":        {Config{Without: []string{"authnrCfg"}}, 0, m{1: 2}, ctap2.ErrInvalidCommand},
		"no token":                   {Config{}, 0, m{1: 2}, ctap2.ErrPUATRequired},
		"no protocol":                {Config{}, 0, m{1: 2, 4: []byte{1}}, ctap2.ErrMissingParameter},
		"another protocol":           {Config{}, 0, m{1: 2, 3: 3, 4: []byte{1}}, ctap2.ErrInvalidParameter},
		"forged":                     {Config{}, 0, m{1: 2, 3: 2, 4: make([]byte, 32)}, ctap2.ErrPINAuthInvalid},
		"another permission":         {Config{Finger: indexFinger}, ctap2.PermissionBioEnrollment, m{1: 2}, ctap2.ErrPINAuthInvalid},
		"length that is text":        {Config{}, acfg, m{1: 3, 2: m{1: "8"}}, ctap2.ErrCBORUnexpectedType},
		"RP ID that is bytes":        {Config{}, acfg, m{1: 3, 2: m{2: []any{[]byte("x")}}}, ctap2.ErrCBORUnexpectedType},
		"force that is a number":     {Config{}, acfg, m{1: 3, 2: m{3: 1}}, ctap2.ErrCBORUnexpectedType},
		"RP IDs that nobody asks":    {Config{Without: []string{"minPinLength"}}, acfg, m{1: 3, 2: m{2: []string{}}}, ctap2.ErrInvalidParameter},
		"length of zero":             {Config{}, acfg, m{1: 3, 2: m{1: 0}}, ctap2.ErrPINPolicyViolation},
		"length out of range":        {Config{}, acfg, m{1: 3, 2: m{1: uint64(1 << 63)}}, ctap2.ErrPINPolicyViolation},
		"vendor's without a number": {
			Config{VendorConfig: map[uint64]func([]byte) error{1: nil}}, acfg, m{1: 0xff}, ctap2.ErrMissingParameter,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKeyWithPIN(t, tt.config)
			if tt.permission != 0 {
				prefix := append(bytes.Repeat([]byte{0xff}, 32), byte(ctap2.CommandConfig), byte(tt.params[1].(int)))
				authorize(t, client, tt.permission, tt.params, 3, 4, prefix, tt.params[2])
			}
			require.Equal(t, tt.want, send(t, key, ctap2.CommandConfig, tt.params))
		})
	}
}
