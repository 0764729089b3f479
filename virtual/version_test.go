package virtual

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// infoMembers returns the numbers of the members that getInfo answers.
func infoMembers(t *testing.T, key *Authenticator) []uint64 {
	t.Helper()
	resp, err := key.CBOR(t.Context(), []byte{byte(ctap2.CommandGetInfo)}, nil)
	require.NoError(t, err)
	var members map[uint64]any
	require.NoError(t, ctapcbor.Unmarshal(resp[1:], &members))
	return slices.Sorted(maps.Keys(members))
}

func TestGetInfoHasTheMembersOfItsVersion(t *testing.T) {
	t.Parallel()
	members := map[Version][]uint64{
		CTAP20:    {1, 2, 3, 4, 5, 6},
		CTAP21Pre: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		CTAP21:    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 17, 18, 20},
		CTAP22:    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 17, 18, 20, 22, 27, 29},
		CTAP23:    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 17, 18, 20, 22, 27, 29},
	}
	// What depends on features, which have tests of their own, is left out.
	bare := []string{optionRK, optionConfig}
	for version, want := range members {
		key, _ := newKey(t, Config{Version: version, UserVerification: recognize, Without: bare})
		require.Equal(t, want, infoMembers(t, key), version)
	}
}

func TestVersionStrings(t *testing.T) {
	t.Parallel()
	for version, want := range map[Version][]string{
		CTAP20:    {"U2F_V2", "FIDO_2_0"},
		CTAP21Pre: {"U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"},
		CTAP21:    {"U2F_V2", "FIDO_2_0", "FIDO_2_1"},
		CTAP22:    {"U2F_V2", "FIDO_2_0", "FIDO_2_1"},
		CTAP23:    {"U2F_V2", "FIDO_2_0", "FIDO_2_1", "FIDO_2_3"},
	} {
		_, client := newKey(t, Config{Version: version})
		info, err := client.GetInfo(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, info.Versions)
	}
	require.Equal(t, "2.1-PRE", CTAP21Pre.String())
	require.Equal(t, "Version(7)", Version(7).String())
}

func TestCommandsOfEachVersion(t *testing.T) {
	t.Parallel()
	const (
		bio, bioPreview = ctap2.CommandBioEnrollment, ctap2.CommandBioEnrollmentPreview
		selection       = ctap2.CommandSelection
		config          = ctap2.CommandConfig
	)
	for version, want := range map[Version][]ctap2.Command{
		CTAP20:    nil,
		CTAP21Pre: {bioPreview},
		CTAP21:    {bio, selection, config},
		CTAP22:    {bio, selection, config},
		CTAP23:    {bio, selection, config},
	} {
		key, _ := newKey(t, Config{Version: version, Finger: indexFinger})
		var got []ctap2.Command
		for _, cmd := range []ctap2.Command{bio, selection, config, bioPreview} {
			if send(t, key, cmd, nil) != ctap2.ErrInvalidCommand {
				got = append(got, cmd)
			}
		}
		require.Equal(t, want, got, version)
	}
}

func TestPreviewHasItsOwnOptions(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP21Pre, Finger: indexFinger})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	for name, want := range map[string]bool{"uvToken": true, "userVerificationMgmtPreview": false, "uv": false} {
		value, present := info.Option(name)
		require.True(t, present, name)
		require.Equal(t, want, value, name)
	}
	for _, name := range []string{"pinUvAuthToken", "bioEnroll", "authnrCfg", "alwaysUv", "makeCredUvNotRqd"} {
		_, present := info.Option(name)
		require.False(t, present, name)
	}
}

func TestPreviewOfALaterKey(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{Version: CTAP21, Preview: true, Finger: indexFinger, EnrollSamples: 1})
	require.Equal(t, []string{"U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"}, getInfo(t, client).Versions)
	requireOptions(t, client, map[string]bool{
		"credMgmt": true, "credentialMgmtPreview": true, "bioEnroll": false, "userVerificationMgmtPreview": false,
	})
	require.NotContains(t, getInfo(t, client).Options, "uvToken")
	id := enrol(t, client, 1)
	bio := fingers(t, client)
	bio.Preview = true
	list, err := bio.Enrollments(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.TemplateInfo{{ID: id}}, list)
}

func TestTokensBeforePermissions(t *testing.T) {
	t.Parallel()
	for _, version := range []Version{CTAP20, CTAP21Pre} {
		key, client := newKey(t, Config{Version: version})
		require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 1), pin))
		resp, err := key.CBOR(t.Context(), []byte{6, 0xa2, 1, 1, 2, 1}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{0, 0xa1, 3, 8}, resp, "no powerCycleState")
		token, err := client.PINToken(t.Context(), agree(t, client, 1), pin)
		require.NoError(t, err)
		for range 2 { // touches do not spend it
			register(t, client, withToken(newRequest(), token))
		}
		again, err := client.PINToken(t.Context(), agree(t, client, 1), pin)
		require.NoError(t, err)
		require.Equal(t, token.Authenticate(testHash), again.Authenticate(testHash), "one token for each power cycle")
		key.PowerCycle()
		_, err = client.MakeCredential(t.Context(), withToken(newRequest(), token))
		require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)

		_, err = client.PINTokenWithPermissions(t.Context(), agree(t, client, 1), pin, 1, testRP.ID)
		require.ErrorIs(t, err, ctap2.ErrInvalidParameter)
		_, err = client.MakeCredential(t.Context(), newRequest())
		require.ErrorIs(t, err, ctap2.ErrPUATRequired, "a PIN is wanted for each new credential")
	}
}

func TestUVTokenOfThePreview(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP21Pre, UserVerification: recognize})
	token, err := client.UVToken(t.Context(), agree(t, client, 1), 0, "")
	require.NoError(t, err)
	require.True(t, register(t, client, withToken(newRequest(), token)).Flags.Has(ctap2.FlagUV))
}

func TestWithoutTakesFeaturesAway(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP23, Finger: indexFinger, Without: []string{
		"authnrCfg", "hmac-secret", "rk",
	}})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"authnrCfg", "setMinPINLength", "uvAcfg", "credMgmt", "largeBlobs"} {
		_, present := info.Option(name)
		require.False(t, present, name)
	}
	rk, _ := info.Option("rk")
	require.False(t, rk)
	require.NotContains(t, info.Extensions, "hmac-secret")
	require.NotContains(t, info.Extensions, "minPinLength", "it needs setMinPINLength")
	require.Contains(t, info.Extensions, "credProtect")
	require.Nil(t, info.AuthenticatorConfigCommands)
	require.Zero(t, info.MaxRPIDsForSetMinPINLength)
}

func TestFeaturesStandBehindWhatTheyNeed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range allFeatures {
		for _, needed := range f.needs {
			require.True(t, seen[needed], "%s needs %s", f.name, needed)
		}
		seen[f.name] = true
	}
}
