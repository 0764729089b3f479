package virtual

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

func TestPresets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		preset  Preset
		version string            // the newest
		options map[string]string // "" for absent
	}{
		{Preset20, "FIDO_2_0", map[string]string{"clientPin": "", "uv": "", "alwaysUv": ""}},
		{Preset20PIN, "FIDO_2_0", map[string]string{"clientPin": "false", "uv": "", "pinUvAuthToken": ""}},
		{Preset21Pre, "FIDO_2_1_PRE", map[string]string{"clientPin": "false", "pinUvAuthToken": ""}},
		{Preset21, "FIDO_2_1", map[string]string{"clientPin": "false", "alwaysUv": "false", "bioEnroll": ""}},
		{Preset21AlwaysUV, "FIDO_2_1", map[string]string{"clientPin": "false", "alwaysUv": "true"}},
		{PresetBiometric, "FIDO_2_1", map[string]string{"bioEnroll": "false", "uv": "false", "uvBioEnroll": "true"}},
		{Preset23, "FIDO_2_3", map[string]string{"bioEnroll": "false", "authnrCfg": "true", "ep": "false"}},
	} {
		_, client := newKey(t, tt.preset.Config())
		info, err := client.GetInfo(t.Context())
		require.NoError(t, err)
		require.Equal(t, tt.version, info.Versions[len(info.Versions)-1], tt.preset)
		for name, want := range tt.options {
			value, present := info.Option(name)
			require.Equal(t, want != "", present, "%s: %s", tt.preset, name)
			require.Equal(t, want == "true", value, "%s: %s", tt.preset, name)
		}
	}
}

func TestPresetU2F(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, PresetU2F.Config())
	_, err := client.GetInfo(t.Context())
	require.ErrorIs(t, err, ctaphid.ErrInvalidCommand)
}

func TestPresetsAreAllListed(t *testing.T) {
	t.Parallel()
	require.Len(t, Presets(), 8)
	for _, p := range Presets() {
		newKey(t, p.Config())
	}
	_, err := New(Preset("3.0").Config())
	require.ErrorContains(t, err, "unknown version")
}

func TestPresetBiometricRecognizesAnEnrolledFinger(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, PresetBiometric.Config())
	enrol(t, client, defaultEnrollSamples)
	token, err := client.UVToken(t.Context(), agree(t, client, 2), ctap2.PermissionMakeCredential, testRP.ID)
	require.NoError(t, err)
	require.True(t, register(t, client, withToken(newRequest(), token)).Flags.Has(ctap2.FlagUV))
}

// A key in a file stays of its preset: through a reset, and when somebody opens it without knowing.
func TestPresetOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	_, err := PresetOf(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	config := Preset23.Config()
	config.StateFile = path
	requirePreset := func(config Config) {
		key, client := newKey(t, config)
		require.NoError(t, client.Reset(t.Context()))
		require.NoError(t, key.Close())
		preset, err := PresetOf(path)
		require.NoError(t, err)
		require.Equal(t, Preset23, preset)
	}
	requirePreset(config)
	requirePreset(Config{StateFile: path})

	config = Config{StateFile: filepath.Join(t.TempDir(), "other")}
	newKey(t, config)
	preset, err := PresetOf(config.StateFile)
	require.NoError(t, err)
	require.Empty(t, preset)
}
