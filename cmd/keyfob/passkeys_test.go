package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// plugManaged serves a key with the PIN 1234, and returns what command lines for it end with.
func plugManaged(t *testing.T, c virtual.Config) (flags []string) {
	t.Helper()
	device, _ := plug(t, c)
	flags = []string{"--device", device, "--pin-file", pinFile(t, "1234")}
	keyfob(t, append([]string{"pin", "set"}, flags...)...).requireOK(t)
	return flags
}

// managed runs a command with those flags.
func managed(t *testing.T, flags []string, args ...string) result {
	t.Helper()
	return keyfob(t, append(args, flags...)...)
}

// addPasskey registers a passkey and returns its ID.
func addPasskey(t *testing.T, flags []string, rp, user string, more ...string) string {
	t.Helper()
	args := append([]string{"register", "--json", "--resident", "--rp", rp, "--user", user}, more...)
	return managed(t, flags, args...).members(t)["credentialId"].(string)
}

// Whoever makes a credential chooses its names. They must not play tricks on who sees the list.
func TestPasskeyNamesAreHostile(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.Config{})
	id := addPasskey(t, flags, "example.org", "\x1b[31meve\" at bank.example (AAAA)\n\u202e")
	list := managed(t, flags, "passkeys", "list").requireOK(t).stdout
	require.Equal(t, 1, strings.Count(list, "\n"))
	require.NotContains(t, list, "\x1b")
	deleted := managed(t, flags, "passkeys", "delete", id, "--yes").requireOK(t).stderr
	require.Contains(t, deleted, `Deleted "`+"\ufffd"+`[31meve\" at bank.example (AAAA)`+"\ufffd\ufffd"+`" at example.org (`)
}

// Keys may keep 32 bytes of an RP ID only. Its hash still tells it from others.
func TestPasskeysOfARelyingPartyThatIsCut(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, virtual.Config{CutRPIDs: true})
	const long = "a-relying-party-with-a-long-name.example.org"
	addPasskey(t, flags, long, "alice")
	addPasskey(t, flags, "example.org", "bob")
	list := managed(t, flags, "passkeys", "list", "--rp", long).requireOK(t).stdout
	require.Equal(t, 1, strings.Count(list, "\n"))
	require.Contains(t, list, "…  ")
	require.Contains(t, list, "  alice  ")
	var all struct{ Passkeys []map[string]any }
	r := managed(t, flags, "passkeys", "list", "--json").requireOK(t)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &all))
	require.Len(t, all.Passkeys, 2)
	require.Equal(t, true, all.Passkeys[0]["rpIdTruncated"])
	require.Equal(t, false, all.Passkeys[1]["rpIdTruncated"])
}

// A PIN from a file descriptor can be read once, so nothing may ask for it twice.
func TestPasskeysAreDeletedWithOneVerification(t *testing.T) {
	t.Parallel()
	tokens := 0
	config := virtual.Config{}
	config.Faults.Answer = countTokens(&tokens)
	flags := plugManaged(t, config)
	first, second := addPasskey(t, flags, "example.org", "alice"), addPasskey(t, flags, "example.com", "bob")
	tokens = 0
	managed(t, flags, "passkeys", "delete", first, second, "--yes").requireOK(t)
	require.Equal(t, 1, tokens)
}

func TestProtection(t *testing.T) {
	t.Parallel()
	for level, want := range map[uint]any{
		0: nil, ctap2.CredProtectUVOptional: "userVerificationOptional",
		ctap2.CredProtectUVOptionalWithID: "userVerificationOptionalWithCredentialIDList",
		ctap2.CredProtectUVRequired:       "userVerificationRequired", 9: "level 9",
	} {
		require.Equal(t, want, protection(level))
	}
}

// A key may say less about a passkey than it should, or what nobody understands.
func TestPasskeyOfWhichLittleIsKnown(t *testing.T) {
	t.Parallel()
	p := passkey{
		ResidentCredential: authenticator.ResidentCredential{ID: []byte{1, 2, 3}, User: ctap2.User{ID: []byte("user")}},
		rp:                 &authenticator.ResidentRP{},
	}
	r := p.record()
	require.Nil(t, r.get("algorithm"))
	require.Nil(t, r.get("publicKey"))
	require.Nil(t, r.get("credentialProtectionPolicy"))
	require.Equal(t, `"dXNlcg" at  ()`, p.String())
	require.False(t, p.mayHaveBlob())
}

// Names that were cut within a character are not sent back so.
func TestRenamingKeepsWhatIsText(t *testing.T) {
	t.Parallel()
	r := &renaming{}
	cmd := passkeysRenameCommand(newInvocation(keys()))
	r.flags = cmd.Flags()
	require.NoError(t, cmd.Flags().Set("name", "new"))
	r.name = "new"
	require.Equal(t, ctap2.User{ID: []byte{1}, Name: "new", DisplayName: "Ren"},
		r.user(ctap2.User{ID: []byte{1}, Name: "old", DisplayName: "Ren\xc3"}))
}
