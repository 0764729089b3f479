package authenticator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	var got []byte
	_, ui := answers(t, "1234")
	a, w := openKey(t, keyWithPIN(t, virtual.Config{
		Version: virtual.CTAP23, EnterpriseAttestation: true,
		VendorConfig: map[uint64]func([]byte) error{7: func(b []byte) error { got = b; return nil }},
	}), ui)

	require.False(t, isOn(a.Info(), "ep"))
	require.NoError(t, a.EnableEnterpriseAttestation(t.Context()))
	require.True(t, isOn(a.Info(), "ep"))
	w.sent()
	require.NoError(t, a.EnableEnterpriseAttestation(t.Context()))
	require.Empty(t, w.sent(), "it is enabled already")

	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.True(t, isOn(a.Info(), "alwaysUv"))
	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.False(t, isOn(a.Info(), "alwaysUv"))

	require.False(t, a.Info().LongTouchForReset)
	require.NoError(t, a.EnableLongTouchForReset(t.Context()))
	require.True(t, a.Info().LongTouchForReset)

	require.NoError(t, a.VendorPrototype(t.Context(), 7, map[uint64]any{2: true}))
	require.NotEmpty(t, got)
	require.ErrorIs(t, a.VendorPrototype(t.Context(), 8, nil), ErrUnsupported)

	require.NoError(t, a.SetMinPINLength(t.Context(), &MinPINLengthOptions{MinPINLength: 6, RPIDs: []string{"example.org"}}))
	require.EqualValues(t, 6, a.Info().MinPINLength)
	require.True(t, a.Info().ForcePINChange, "1234 is too short now")
}

// A key without a PIN takes settings from everybody.
func TestSettingsWithoutPIN(t *testing.T) {
	t.Parallel()
	_, ui := answers(t)
	a, w := open(t, virtual.Config{}, ui)
	w.sent()
	require.NoError(t, a.SetMinPINLength(t.Context(), &MinPINLengthOptions{MinPINLength: 8}))
	require.EqualValues(t, 8, a.Info().MinPINLength)
	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.True(t, isOn(a.Info(), "alwaysUv"))
	require.NoError(t, a.ToggleAlwaysUV(t.Context()), "there is nothing to verify the user with")
	require.False(t, isOn(a.Info(), "alwaysUv"))
	require.Equal(t, []ctap2.Command{config, getInfo, config, getInfo, config, getInfo}, w.sent())
}

func TestSettingsThatTheKeyWouldRefuse(t *testing.T) {
	t.Parallel()
	_, ui := answers(t)
	w := &wire{key: keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})}
	w.answering(t, func(info *ctap2.Info) {
		info.MinPINLength, info.MaxPINLength, info.MaxRPIDsForSetMinPINLength, info.PINComplexityPolicy = 6, 10, 1, nil
	}, nil)
	a := openWire(t, w, ui)
	w.sent()
	for name, tc := range map[string]struct {
		options MinPINLengthOptions
		err     error
	}{
		"shorter":      {MinPINLengthOptions{MinPINLength: 5}, ctap2.ErrPINPolicyViolation},
		"negative":     {MinPINLengthOptions{MinPINLength: -1}, ErrInvalidOptions},
		"too long":     {MinPINLengthOptions{MinPINLength: 11}, ErrInvalidOptions},
		"two RP IDs":   {MinPINLengthOptions{RPIDs: []string{"a", "b"}}, ErrUnsupported},
		"no such rule": {MinPINLengthOptions{PINComplexityPolicy: true}, ErrUnsupported},
	} {
		require.ErrorIs(t, a.SetMinPINLength(t.Context(), &tc.options), tc.err, name)
	}
	require.Empty(t, w.sent())

	a, w = open(t, virtual.Config{}, ui)
	w.sent()
	require.ErrorIs(t, a.SetMinPINLength(t.Context(), &MinPINLengthOptions{ForcePINChange: true}), ctap2.ErrPINNotSet)
	require.Empty(t, w.sent())
}

func TestKeysWithoutSettings(t *testing.T) {
	t.Parallel()
	a, w := open(t, virtual.Config{Without: []string{"authnrCfg"}}, nil)
	w.sent()
	_, listed := a.Info().Option("alwaysUv")
	require.True(t, listed)
	require.ErrorIs(t, a.ToggleAlwaysUV(t.Context()), ErrUnsupported)
	require.Empty(t, w.sent())

	a, w = open(t, virtual.Config{}, nil)
	w.sent()
	require.True(t, isOn(a.Info(), "authnrCfg"))
	require.ErrorIs(t, a.EnableLongTouchForReset(t.Context()), ErrUnsupported, "of CTAP 2.3")
	require.Empty(t, w.sent())
}

// A key of CTAP 2.3 lists the settings that it has; one from before does not.
func TestSettingsAreLookedUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		versions []string
		list     []uint64
		want     bool
	}{
		"2.1 without a list": {[]string{"FIDO_2_1"}, nil, true},
		"2.1 with another":   {[]string{"FIDO_2_1"}, []uint64{1}, false},
		"2.3 without a list": {[]string{"FIDO_2_3"}, nil, false},
		"2.3 with none":      {[]string{"FIDO_2_3"}, []uint64{}, false},
		"2.3 with it":        {[]string{"FIDO_2_3"}, []uint64{1, 2}, true},
	} {
		info := &ctap2.Info{Versions: tc.versions, AuthenticatorConfigCommands: tc.list}
		require.Equal(t, tc.want, takesConfig(info, ctap2.SubcommandToggleAlwaysUV), name)
		require.True(t, takesConfig(info, ctap2.SubcommandVendorPrototype), name)
	}
}

// When the answer is lost, or the key does not say what it is now, it is asked again before the next operation.
func TestLostAnswersToSettings(t *testing.T) {
	t.Parallel()
	a, w := open(t, virtual.Config{}, nil)
	lost := false
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == getInfo && lost {
			return nil
		}
		return response
	}
	require.NoError(t, a.SetMinPINLength(t.Context(), &MinPINLengthOptions{MinPINLength: 5}))
	lost = true
	require.NoError(t, a.ToggleAlwaysUV(t.Context()), "it was set")
	require.False(t, isOn(a.Info(), "alwaysUv"), "nobody knows")
	lost = false
	w.sent()
	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.Equal(t, []ctap2.Command{getInfo, config, getInfo}, w.sent())
	require.False(t, isOn(a.Info(), "alwaysUv"))
	require.EqualValues(t, 5, a.Info().MinPINLength)
}
