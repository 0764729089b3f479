package virtual

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

func TestResetClearsEverything(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{
		Version: CTAP23, Attestation: AttestationBasic, Finger: indexFinger, EnrollSamples: 1, EnterpriseAttestation: true,
	})
	root := key.AttestationRoot()
	sealed := register(t, client, newRequest()).Credential.ID
	passkey(t, client, 1, newToken(t, client, 2))
	enrol(t, client, 1)
	before := key.state
	config := configurator(t, client)
	require.NoError(t, config.EnableEnterpriseAttestation(t.Context()))
	require.NoError(t, config.EnableLongTouchForReset(t.Context()))
	require.NoError(t, config.ToggleAlwaysUV(t.Context()))
	require.NoError(t, config.SetMinPINLength(t.Context(), ctap2.SetMinPINLengthParams{NewMinPINLength: 9}))

	require.NoError(t, client.Reset(t.Context()))
	require.Zero(t, key.Credentials())
	require.NotEqual(t, before.identifier(), key.state.identifier())
	require.NotEqual(t, before.persistentToken(), key.state.persistentToken())
	require.Zero(t, key.state.Settings)
	require.Empty(t, key.state.Fingerprints)
	require.False(t, key.state.ForcePINChange)
	requireOptions(t, client, map[string]bool{
		"clientPin": false, "uv": false, "bioEnroll": false, "alwaysUv": false, "ep": false,
	})
	for _, allow := range [][][]byte{{sealed}, nil} {
		_, err := client.GetAssertion(t.Context(), ask(allow...))
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	}
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 1), pin))
	require.Equal(t, root, key.AttestationRoot())
}

func TestResetWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, client := newKey(t, Config{Reset: ResetPolicy{Window: 10 * time.Second}})
		time.Sleep(10*time.Second - 1)
		require.NoError(t, client.Reset(t.Context()))
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, client.Reset(t.Context()), ctap2.ErrNotAllowed)
		key.PowerCycle()
		require.NoError(t, client.Reset(t.Context()))
	})
}

func TestResetTransports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		transports []string
		want       error
	}{
		{nil, nil}, {[]string{"nfc", "usb"}, nil}, {[]string{"nfc"}, ctap2.ErrNotAllowed}, {[]string{}, ctap2.ErrNotAllowed},
	} {
		_, client := newKey(t, Config{Version: CTAP22, Reset: ResetPolicy{Transports: tt.transports}})
		require.ElementsMatch(t, tt.transports, getInfo(t, client).TransportsForReset)
		requireErrorIs(t, tt.want, client.Reset(t.Context()))
	}
}

func TestResetWantsATouch(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		var asked []Prompt
		var verdict error
		_, client := newKeyWithPIN(t, Config{
			Version:      CTAP22,
			UserPresence: func(_ context.Context, p Prompt) error { asked = append(asked, p); return verdict },
			Reset:        ResetPolicy{LongTouch: long},
		})
		require.Equal(t, long, getInfo(t, client).LongTouchForReset)
		verdict = errors.New("too short")
		require.ErrorIs(t, client.Reset(t.Context()), ctap2.ErrOperationDenied)
		require.True(t, getInfo(t, client).Options["clientPin"])
		verdict = nil
		require.NoError(t, client.Reset(t.Context()))
		want := Prompt{Command: ctap2.CommandReset, Long: long}
		require.Equal(t, []Prompt{want, want}, asked)
	}
}

func TestLongTouchForResetOfTheConfiguration(t *testing.T) {
	t.Parallel()
	var asked Prompt
	_, client := newKey(t, Config{
		Version: CTAP23, UserPresence: func(_ context.Context, p Prompt) error { asked = p; return nil },
	})
	require.NoError(t, configurator(t, client).EnableLongTouchForReset(t.Context()))
	require.NoError(t, client.Reset(t.Context()))
	require.True(t, asked.Long)
	require.False(t, getInfo(t, client).LongTouchForReset)
}
