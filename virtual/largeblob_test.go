package virtual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// withOwnBlobs is a key with extension largeBlob.
var withOwnBlobs = Config{Version: CTAP23, Without: []string{"largeBlobs"}}

// blobPasskey makes a credential that may have a large blob of its own.
func blobPasskey(t *testing.T, client *ctap2.Client, support string) []byte {
	t.Helper()
	req := newRequest()
	req.Options.ResidentKey = true
	req.Extensions.LargeBlob.Support = support
	resp, err := client.MakeCredential(t.Context(), req)
	require.NoError(t, err)
	out, err := resp.UnsignedOutputs()
	require.NoError(t, err)
	require.Equal(t, support != "", out.LargeBlob.Supported)
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	require.NoError(t, err)
	require.Nil(t, data.Extensions, "the output is not signed")
	return data.Credential.ID
}

func useBlob(t *testing.T, client *ctap2.Client, in ctap2.LargeBlobInput, ids ...[]byte) ctap2.LargeBlobOutput {
	t.Helper()
	req := ask(ids...)
	req.Extensions.LargeBlob = in
	resp, err := client.GetAssertion(t.Context(), req)
	require.NoError(t, err)
	out, err := resp.UnsignedOutputs()
	require.NoError(t, err)
	return out.LargeBlob
}

func TestOwnBlobIsWrittenAndRead(t *testing.T) {
	t.Parallel()
	for _, support := range []string{ctap2.LargeBlobRequired, ctap2.LargeBlobPreferred} {
		key, client := newKey(t, withOwnBlobs)
		id := blobPasskey(t, client, support)
		read := ctap2.LargeBlobInput{Read: true}
		require.Zero(t, useBlob(t, client, read, id))
		write := ctap2.LargeBlobInput{Write: []byte("compressed"), OriginalSize: 99}
		require.True(t, useBlob(t, client, write, id).Written)
		key.PowerCycle()
		require.Equal(t, ctap2.LargeBlobOutput{Blob: []byte("compressed"), OriginalSize: 99}, useBlob(t, client, read, id))
		require.False(t, useBlob(t, client, write).Written, "without an allow list nobody knows whose it would be")
	}
}

func TestOwnBlobOnlyWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	config := withOwnBlobs
	config.LargeBlobSize = 1024
	_, client := newKey(t, config)
	write := ctap2.LargeBlobInput{Write: make([]byte, 1000), OriginalSize: 1}
	require.False(t, useBlob(t, client, write, blobPasskey(t, client, "")).Written, "not made for it")
	id := blobPasskey(t, client, ctap2.LargeBlobRequired)
	require.True(t, useBlob(t, client, write, id).Written)
	require.True(t, useBlob(t, client, write, id).Written, "in place of the old one")
	write.Write = make([]byte, 1025)
	require.False(t, useBlob(t, client, write, id).Written)
	require.Len(t, useBlob(t, client, ctap2.LargeBlobInput{Read: true}, id).Blob, 1000)
}

func TestOwnBlobIsForPasskeys(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, withOwnBlobs)
	req := newRequest()
	req.Extensions.LargeBlob.Support = ctap2.LargeBlobRequired
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrLargeBlobStorageFull)
	req.Extensions.LargeBlob.Support = ctap2.LargeBlobPreferred
	resp, err := client.MakeCredential(t.Context(), req)
	require.NoError(t, err)
	out, err := resp.UnsignedOutputs()
	require.NoError(t, err)
	require.False(t, out.LargeBlob.Supported)
	require.NotEmpty(t, resp.UnsignedExtensionOutputs, "it says that it does not")
}

func TestOwnBlobRefuses(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	key, client := newKey(t, withOwnBlobs)
	id := map[string]any{"id": blobPasskey(t, client, ctap2.LargeBlobRequired), "type": "public-key"}
	for _, in := range []any{
		m{}, m{"support": "maybe"}, m{"support": true}, m{"wrong": "123"}, true, nil,
	} {
		params := map[int]any{
			1: testHash, 2: m{"id": testRP.ID}, 3: m{"id": []byte{1}}, 4: []any{m{"alg": -7, "type": "public-key"}},
			6: m{"largeBlob": in},
		}
		require.Equal(t, ctap2.ErrInvalidCBOR, send(t, key, ctap2.CommandMakeCredential, params), "%v", in)
	}
	for _, in := range []any{
		m{}, m{"read": false}, m{"read": "true"}, m{"write": []byte{1}}, m{"originalSize": 1},
		m{"write": "123", "originalSize": "123"}, m{"wrong": "123"}, true,
		m{"read": true, "write": []byte{1}, "originalSize": 1}, m{"read": true, "originalSize": 1},
	} {
		params := map[int]any{1: testRP.ID, 2: testHash, 3: []any{id}, 4: m{"largeBlob": in}}
		require.Equal(t, ctap2.ErrInvalidCBOR, send(t, key, ctap2.CommandGetAssertion, params), "%v", in)
	}
}
