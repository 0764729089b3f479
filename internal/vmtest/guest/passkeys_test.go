package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/virtual"
)

// Debian's fido2-token sends the commands of the preview to every key, which is why each key here has Preview.

// token runs fido2-token, and types the PIN if it asks for it.
func token(t *testing.T, args ...string) string {
	t.Helper()
	return mustRunTool(t, pin+"\n", "fido2-token", args...)
}

// openSoftKey opens the key with keyfob's library, whose user knows the PIN.
func openSoftKey(t *testing.T, key *softKey) *authenticator.Authenticator {
	t.Helper()
	ui := &authenticator.UI{PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) {
		return []byte(pin), nil
	}}
	a, err := authenticator.Open(t.Context(), key.Info, ui)
	require.NoError(t, err)
	return a
}

// TestTokenManagesPasskeys lists, renames and deletes passkeys with fido2-token, and keyfob's library sees the same.
func TestTokenManagesPasskeys(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{Preview: true})
	setPIN(t, key, pin)
	cred := toolRegister(t, key, "es256", "-r")
	id, user := base64.StdEncoding.EncodeToString(cred.id), base64Of([]byte("ada's id"))

	described := token(t, "-I", "-c", key.Path)
	require.Contains(t, described, "existing rk(s): 1")
	require.Contains(t, described, "remaining rk(s): 99")
	require.Contains(t, token(t, "-L", "-r", key.Path), rpID)
	listed := token(t, "-L", "-k", rpID, key.Path)
	require.Contains(t, listed, id+" (null) "+user+" es256 ", "fido2-cred gives a name, but no display name")
	require.Contains(t, token(t, "-I", "-k", rpID, "-i", id, key.Path), "-----BEGIN PUBLIC KEY-----")

	token(t, "-S", "-c", "-i", id, "-k", user, "-n", "lovelace", "-p", "Ada Lovelace", key.Path)
	require.Contains(t, token(t, "-L", "-k", rpID, key.Path), id+" Ada Lovelace "+user)
	a := openSoftKey(t, key)
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, "lovelace", list.RelyingParties[0].Credentials[0].User.Name)
	require.Equal(t, cred.id, list.RelyingParties[0].Credentials[0].ID)
	require.NoError(t, a.Close())

	token(t, "-D", "-i", id, key.Path)
	require.Zero(t, key.Credentials())
}

// TestTokenKeepsLargeBlobs writes, reads, lists and deletes large blobs with fido2-token and with keyfob's library.
func TestTokenKeepsLargeBlobs(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{Preview: true})
	setPIN(t, key, pin)
	toolRegister(t, key, "es256", "-r", "-b")
	dir := t.TempDir()
	written, read := filepath.Join(dir, "written"), filepath.Join(dir, "read")
	blob := bytes.Repeat([]byte("blob of fido2-token "), 200)
	require.NoError(t, os.WriteFile(written, blob, 0o600))
	token(t, "-S", "-b", "-n", rpID, written, key.Path)
	token(t, "-G", "-b", "-n", rpID, read, key.Path)
	got, err := os.ReadFile(read)
	require.NoError(t, err)
	require.Equal(t, blob, got)
	require.Contains(t, token(t, "-L", "-b", key.Path), "00: ")

	a := openSoftKey(t, key)
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	secret := list.RelyingParties[0].Credentials[0].LargeBlobKey
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	got, found, err := blobs.Get(secret)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, blob, got)
	require.NoError(t, a.SetLargeBlob(t.Context(), secret, []byte("blob of keyfob")))
	require.NoError(t, a.Close())
	require.NoError(t, os.Remove(read))
	token(t, "-G", "-b", "-n", rpID, read, key.Path)
	got, err = os.ReadFile(read)
	require.NoError(t, err)
	require.Equal(t, "blob of keyfob", string(got))
	token(t, "-D", "-b", "-n", rpID, key.Path)
	require.NotContains(t, token(t, "-L", "-b", key.Path), "00: ")
}
