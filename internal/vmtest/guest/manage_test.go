package guest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// softKeyInfo asks the key in this process what it says of itself.
func softKeyInfo(t *testing.T, key *softKey) *ctap2.Info {
	t.Helper()
	info, err := (&ctap2.Client{Transport: key.Authenticator}).GetInfo(t.Context())
	require.NoError(t, err)
	return info
}

// TestTokenManagesFingerprints enrols, renames, lists and removes a finger with fido2-token.
func TestTokenManagesFingerprints(t *testing.T) {
	samples := []virtual.Sample{
		{Finger: "thumb"}, {Finger: "thumb", Status: ctap2.SampleTooLeft}, {Finger: "thumb"},
	}
	key := attachSoftKey(t, virtual.Config{
		Preview:       true, // fido2-token knows no other command
		EnrollSamples: 2,
		Finger: func(context.Context, virtual.Prompt) (virtual.Sample, error) {
			next := samples[0]
			samples = samples[1:]
			return next, nil
		},
	})
	setPIN(t, key, pin)
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-I", key.Path), ", nobioEnroll, ")

	said := mustRunTool(t, pin+"\n", "fido2-token", "-S", "-e", key.Path)
	require.Contains(t, said, "Sample too left.")
	require.Empty(t, samples)
	id := listedFinger(t, key)
	mustRunTool(t, pin+"\n", "fido2-token", "-S", "-e", "-i", id, "-n", "my thumb", key.Path)
	require.Equal(t, "00: "+id+" my thumb\n", listFingers(t, key))
	samples = append(samples, virtual.Sample{Finger: "thumb"}) // in place of the PIN
	a := openSoftKey(t, key)
	fingers, err := a.Fingerprints(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.TemplateInfo{{ID: base64Line(t, id), FriendlyName: "my thumb"}}, fingers)
	require.NoError(t, a.Close())
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-I", key.Path), "sensor type: 1 (touch)\nmax samples: 2\n")

	mustRunTool(t, pin+"\n", "fido2-token", "-D", "-e", "-i", id, key.Path)
	require.False(t, softKeyInfo(t, key).Options["bioEnroll"])
}

func listFingers(t *testing.T, key *softKey) string {
	t.Helper()
	return mustRunTool(t, pin+"\n", "fido2-token", "-L", "-e", key.Path)
}

// listedFinger returns the ID of the only one.
func listedFinger(t *testing.T, key *softKey) string {
	t.Helper()
	fields := strings.Fields(listFingers(t, key))
	require.GreaterOrEqual(t, len(fields), 2)
	return fields[1]
}

// TestTokenConfigures changes all the settings of a key that fido2-token knows.
func TestTokenConfigures(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{Version: virtual.CTAP22, EnterpriseAttestation: true})
	setPIN(t, key, pin)
	configure := func(args ...string) {
		mustRunTool(t, pin+"\n", "fido2-token", append(args, key.Path)...)
	}
	configure("-S", "-a")
	require.True(t, softKeyInfo(t, key).Options["ep"])
	configure("-S", "-u")
	require.True(t, softKeyInfo(t, key).Options["alwaysUv"])
	configure("-D", "-u")
	require.False(t, softKeyInfo(t, key).Options["alwaysUv"])
	configure("-S", "-m", "example.org,example.com")
	configure("-S", "-l", "10")
	info := softKeyInfo(t, key)
	require.EqualValues(t, 10, info.MinPINLength)
	require.True(t, info.ForcePINChange, "the PIN is shorter")
	require.Contains(t, mustRunTool(t, "", "fido2-token", "-I", key.Path), "pin change required: true")

	const longer = "longer than ten"
	mustRunTool(t, pin+"\n"+longer+"\n"+longer+"\n", "fido2-token", "-C", key.Path)
	require.False(t, softKeyInfo(t, key).ForcePINChange)
	require.Equal(t, []int{10, 0}, []int{toldPINLength(t, key, rpID), toldPINLength(t, key, "example.net")})
	mustRunTool(t, longer+"\n", "fido2-token", "-S", "-f", key.Path)
	require.True(t, softKeyInfo(t, key).ForcePINChange)
}

// toldPINLength has keyfob's library make a credential, and returns which PIN length the relying party is told, if any.
func toldPINLength(t *testing.T, key *softKey, rpID string) int {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	cred, err := a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash: newHash(),
		RP:             ctap2.RelyingParty{ID: rpID},
		User:           ctap2.User{ID: []byte("ada")},
		Algorithms:     []cose.Algorithm{cose.ES256},
		MinPINLength:   true,
	})
	require.NoError(t, err)
	return cred.MinPINLength
}
