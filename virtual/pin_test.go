package virtual

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

func TestPINLimits(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP22, PIN: PINPolicy{MinLength: 6, MaxLength: 8, Retries: 4}})
	info := getInfo(t, client)
	require.EqualValues(t, 6, info.MinPINLength)
	require.EqualValues(t, 8, info.MaxPINLength)
	requireRetries(t, client, 4, false)
	set := func(pin string) error { return client.SetPIN(t.Context(), agree(t, client, 2), []byte(pin)) }
	require.ErrorIs(t, set("12345"), ctap2.ErrPINPolicyViolation)
	require.ErrorIs(t, set("123456789"), ctap2.ErrPINPolicyViolation)
	require.NoError(t, set("漢字漢字漢字漢字"), "characters, not bytes")

	for range 2 {
		require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)
	}
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINAuthBlocked)
	client.Transport.(*Authenticator).PowerCycle()
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINBlocked)
}

func TestPINComplexityOfTheConfiguration(t *testing.T) {
	t.Parallel()
	policy := PINPolicy{
		Complexity: func(pin []byte) bool { return !bytes.Equal(pin, wrongPIN) },
		URL:        "https://example.org/pins",
	}
	_, client := newKey(t, Config{Version: CTAP22, PIN: policy})
	info := getInfo(t, client)
	require.True(t, *info.PINComplexityPolicy)
	require.Equal(t, []byte(policy.URL), info.PINComplexityPolicyURL)
	require.ErrorIs(t, client.SetPIN(t.Context(), agree(t, client, 2), wrongPIN), ctap2.ErrPINPolicyViolation)
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 2), pin))
	require.NoError(t, configurator(t, client).SetMinPINLength(
		t.Context(), ctap2.SetMinPINLengthParams{PINComplexityPolicy: true}))
	require.False(t, getInfo(t, client).ForcePINChange, "it was complex enough before")
}

func TestSimplePINs(t *testing.T) {
	t.Parallel()
	for pin, want := range map[string]bool{
		"1111": true, "1234": true, "9876": true, "abcdef": true, "漢漢漢漢": true, "": true, "1": true,
		"1357": false, "1112": false, "1243": false, "12321": false, "漢字漢字": false,
	} {
		require.Equal(t, want, isSimple([]byte(pin)), pin)
	}
}

func TestInitialPIN(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{PIN: PINPolicy{Initial: pin, ForceChange: true}})
	require.True(t, getInfo(t, client).Options["clientPin"])
	requireForcedChange(t, client, []byte("5678"))
	require.NoError(t, client.Reset(t.Context()))
	require.False(t, getInfo(t, client).Options["clientPin"])

	_, client = newKey(t, Config{PIN: PINPolicy{Initial: pin}})
	require.NoError(t, tryPIN(t, client, pin))
}

func TestUVCountSinceLastPINEntry(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{Version: CTAP22, UserVerification: recognize})
	for want := range uint64(3) {
		require.Equal(t, want, *getInfo(t, client).UVCountSinceLastPINEntry)
		_, err := client.UVToken(t.Context(), agree(t, client, 2), mc, testRP.ID)
		require.NoError(t, err)
	}
	require.NoError(t, tryPIN(t, client, pin))
	require.Zero(t, *getInfo(t, client).UVCountSinceLastPINEntry)
}
