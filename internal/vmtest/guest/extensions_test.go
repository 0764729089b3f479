package guest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestToolsUseEveryExtension makes and uses one passkey with all that fido2-cred and fido2-assert can ask for at once.
// Their own verification accepts the outputs, and only those; keyfob's library sees the same passkey.
func TestToolsUseEveryExtension(t *testing.T) {
	for _, attestation := range []virtual.Attestation{virtual.AttestationSelf, virtual.AttestationBasic} {
		t.Run(fmt.Sprint("attestation ", attestation), func(t *testing.T) {
			key := attachSoftKey(t, virtual.Config{Attestation: attestation})
			setPIN(t, key, pin)
			usesEveryExtension(t, key)
		})
	}
}

func usesEveryExtension(t *testing.T, key *softKey) {
	t.Helper()
	made := toolRegister(t, key, "es256", "-b", "-c", "3", "-h", "-r", "-v")
	require.Len(t, made.largeBlobKey, 32)
	public := requireToolAccepts(t, made, "es256", "-c", "3", "-h", "-v")
	for _, wrong := range [][]string{{"-c", "2", "-h"}, {"-c", "3"}, {"-h"}} {
		require.Equal(t, 1, toolVerify(t, made, "es256", wrong...).status, "accepted as %q", wrong)
	}
	listed := onlyPasskey(t, key)
	require.Equal(t, made.id, listed.ID)
	require.Equal(t, made.largeBlobKey, listed.LargeBlobKey)
	require.EqualValues(t, ctap2.CredProtectUVRequired, listed.CredProtect)
	require.Equal(t, public.Public, listed.PublicKey.Public)

	signed := toolAuthenticate(t, key, nil, newHash(), "-b", "-h", "-p", "-r", "-v")
	require.Len(t, signed, 1)
	require.Equal(t, made.largeBlobKey, signed[0].largeBlobKey)
	require.Len(t, signed[0].secret, 32)
	require.Equal(t, "ada's id", string(signed[0].userID))
	requireOurAcceptsAssertion(t, signed[0], public, ctap2.FlagUP|ctap2.FlagUV|ctap2.FlagED)
	requireToolAcceptsAssertion(t, signed[0], public, "es256", "-h", "-p", "-v")
	require.Equal(t, 1, toolVerifyAssertion(t, signed[0], public, "es256").status, "accepted without -h")
}

// onlyPasskey returns what keyfob's library lists of the one passkey of the key.
func onlyPasskey(t *testing.T, key *softKey) authenticator.ResidentCredential {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, list.Existing)
	return list.RelyingParties[0].Credentials[0]
}

// TestToolToggles has fido2-assert -G -t switch the touch, the PIN and the key's own verification on and off; its
// fido2-assert -V wants a touch with -p, and the user verified with -v.
func TestToolToggles(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{UserVerification: func(context.Context, virtual.Prompt) error { return nil }})
	setPIN(t, key, pin)
	id, public := toolCredentialKey(t, toolRegister(t, key, "es256"))
	for _, use := range []struct {
		toggle string
		flags  ctap2.Flags
	}{
		{"up=true", ctap2.FlagUP},
		{"up=false", 0},
		{"pin=true", ctap2.FlagUP | ctap2.FlagUV},
		{"pin=false", ctap2.FlagUP},
		{"uv=true", ctap2.FlagUP | ctap2.FlagUV},
		{"uv=false", ctap2.FlagUP},
	} {
		t.Run(use.toggle, func(t *testing.T) { togglesTo(t, key, id, public, use.toggle, use.flags) })
	}
}

func togglesTo(t *testing.T, key *softKey, id []byte, public *cose.Key, toggle string, flags ctap2.Flags) {
	t.Helper()
	signed := toolAuthenticate(t, key, id, nil, "-t", toggle)
	require.Len(t, signed, 1)
	requireOurAcceptsAssertion(t, signed[0], public, flags)
	requireToolAcceptsAssertion(t, signed[0], public, "es256")
	for option, flag := range map[string]ctap2.Flags{"-p": ctap2.FlagUP, "-v": ctap2.FlagUV} {
		status := toolVerifyAssertion(t, signed[0], public, "es256", option).status
		require.Equal(t, flags.Has(flag), status == 0, "fido2-assert -V %s", option)
	}
}

// TestTokenFindsLargeBlobs names large blobs to fido2-token in each way that it knows: by the key of the blob in a file,
// by the relying party and the passkey, and in its list.
func TestTokenFindsLargeBlobs(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{Preview: true})
	setPIN(t, key, pin)
	made := toolRegister(t, key, "es256", "-r", "-b")
	keyFile, id := toolFile(t, base64Of(made.largeBlobKey)), base64Of(made.id)
	dir := t.TempDir()
	written, read := filepath.Join(dir, "written"), filepath.Join(dir, "read")
	blob := bytes.Repeat([]byte("a large blob"), 100) // release 1.12 can't write less than 16 bytes, compressed
	require.NoError(t, os.WriteFile(written, blob, 0o600))

	token(t, "-S", "-b", "-k", keyFile, written, key.Path)
	require.Equal(t, blob, readLargeBlob(t, key, made.largeBlobKey))
	// Release 1.12 does not even recognize its own: it lists the owner of what has the header of zlib, and writes none.
	require.Contains(t, token(t, "-L", "-b", key.Path), fmt.Sprintf(" %4d <unknown> <unknown>\n", len(blob)))
	for _, name := range [][]string{{"-k", keyFile}, {"-n", rpID, "-i", id}} {
		token(t, append(append([]string{"-G", "-b"}, name...), read, key.Path)...)
		got, err := os.ReadFile(read)
		require.NoError(t, err)
		require.Equal(t, blob, got)
		require.NoError(t, os.Remove(read))
	}
	token(t, "-D", "-b", "-k", keyFile, key.Path)
	require.Nil(t, readLargeBlob(t, key, made.largeBlobKey))
}
