package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// countTokens counts how often a key is asked for a token.
func countTokens(n *int) func(ctaphid.Command, []byte, func() []byte) []byte {
	return func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		const getToken = 9 // getPinUvAuthTokenUsingPinWithPermissions
		if len(request) > 6 && request[0] == byte(ctap2.CommandClientPIN) && request[5] == getToken {
			*n++
		}
		return run()
	}
}

// file returns the name of a new one.
func file(t *testing.T, contents []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, contents, 0o600))
	return name
}

// noise does not get shorter when it is compressed.
func noise(n int) (b []byte) {
	for i := byte(0); len(b) < n; i++ {
		sum := sha256.Sum256([]byte{i})
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func TestBlobsSetDoesNotFit(t *testing.T) {
	t.Parallel()
	writes, tokens := 0, 0
	config := virtual.Config{LargeBlobSize: 1024}
	count := countTokens(&tokens)
	config.Faults.Answer = func(c ctaphid.Command, request []byte, run func() []byte) []byte {
		if request[0] == byte(ctap2.CommandLargeBlobs) && len(request) > 500 {
			writes++
		}
		return count(c, request, run)
	}
	flags := plugManaged(t, config)
	id := addPasskey(t, flags, "example.org", "alice", "--large-blob")
	tokens = 0
	managed(t, flags, "blobs", "set", id, file(t, noise(700))).requireOK(t)
	require.Equal(t, 1, writes)
	require.Equal(t, 1, tokens, "the PIN is asked for once")

	other := addPasskey(t, flags, "example.com", "bob", "--large-blob")
	managed(t, flags, "blobs", "set", other, file(t, noise(700))).
		requireFailure(t, exitError, "bytes more, and ", "are free", `hint: make room with "keyfob blobs gc"`)
	managed(t, flags, "blobs", "set", id, file(t, noise(1024))).requireFailure(t, exitError, "are free")
	require.Equal(t, 1, writes, "nothing was written")
	managed(t, flags, "blobs", "set", id, file(t, noise(720))).requireOK(t)
	managed(t, flags, "blobs", "set", other, file(t, make([]byte, 1<<16))).requireOK(t) // it is compressed
	require.Equal(t, string(make([]byte, 1<<16)), managed(t, flags, "blobs", "get", other).requireOK(t).stdout)
}

func TestBlobsSetReadsItsFileFirst(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		t.TempDir() + "/missing": "missing: ",
		t.TempDir():              "is a directory",
		file(t, make([]byte, ctap2.MaxLargeBlob+1)): "file has more than 1048576 bytes",
	} {
		keyfob(t, "blobs", "set", "AAAA", name).requireFailure(t, exitError, says, "hint: check FILE") // there is no key
	}
	keyfob(t, "blobs", "set", "AAAA", file(t, make([]byte, ctap2.MaxLargeBlob))).requireFailure(t, exitNoDevice)
}

// What an interrupted write left behind is not read, and not overwritten unless that is meant.
func TestBlobsThatAreDamaged(t *testing.T) {
	t.Parallel()
	damaged := true
	var config virtual.Config
	config.Faults.Answer = func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		switch {
		case request[0] != byte(ctap2.CommandLargeBlobs) || !damaged:
		case request[2] == 1: // get
			return append([]byte{0, 0xa1, 1, 0x51, 0x80}, make([]byte, 16)...)
		default:
			damaged = false
		}
		return run()
	}
	flags := plugManaged(t, config)
	const hint = `hint: "keyfob blobs delete --all" deletes what is there and begins anew`
	for _, args := range [][]string{{"list"}, {"gc", "--yes"}, {"get", "AAAA"}, {"delete", "AAAA", "--yes"}} {
		managed(t, flags, append([]string{"blobs"}, args...)...).requireFailure(t, exitError, "damaged", hint)
	}
	managed(t, flags, "blobs", "delete", "--all", "--yes").requireOK(t)
	managed(t, flags, "blobs", "list").requireOK(t)
}

func TestBlobRecordOfWhatDoesNotInflate(t *testing.T) {
	t.Parallel()
	r := blobRecord(passkey{rp: &authenticator.ResidentRP{}}, nil, ctap2.ErrLargeBlob)
	require.Nil(t, r.get("size"))
	require.Equal(t, "not a large blob", r.get("error"))
	require.Equal(t, "17 bytes used", new(blobStore).usage(17), "of a key that does not say how many it has")
}

func TestIsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, "plain\n\ttext": true, "Ünïcode": true,
		"\x1b[31m": false, "\xff": false, "\r": false, "\x00": false, "\u202e": false,
	} {
		require.Equal(t, want, isText([]byte(text)), "%q", text)
	}
}
