package virtual

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// FuzzCredentialManagement sends subcommands with any parameters, which the token authorizes, to a key with passkeys.
func FuzzCredentialManagement(f *testing.F) {
	id := map[string]any{"id": []byte{1}, "type": "public-key"}
	for sub, params := range map[ctap2.Subcommand]any{
		ctap2.SubcommandGetCredsMetadata:                      nil,
		ctap2.SubcommandEnumerateRPsBegin:                     nil,
		ctap2.SubcommandEnumerateRPsGetNextRP:                 nil,
		ctap2.SubcommandEnumerateCredentialsBegin:             map[int]any{1: make([]byte, 32)},
		ctap2.SubcommandEnumerateCredentialsGetNextCredential: nil,
		ctap2.SubcommandDeleteCredential:                      map[int]any{2: id},
		ctap2.SubcommandUpdateUserInformation:                 map[int]any{2: id, 3: map[string]any{"id": []byte{1}}},
	} {
		encoded, err := ctapcbor.Marshal(params)
		require.NoError(f, err)
		if params == nil {
			encoded = nil
		}
		f.Add(byte(sub), encoded)
	}
	f.Fuzz(func(t *testing.T, sub byte, params []byte) {
		key, client := newKeyWithPIN(t, Config{})
		populate(t, client, "a.example", "b.example")
		token := tokenFor(t, client, manage, "")
		request := []byte{byte(ctap2.CommandCredentialManagement), 0xa4, 1}
		number, err := ctapcbor.Marshal(sub)
		require.NoError(t, err)
		request = append(request, number...)
		if len(params) == 0 {
			request[1] = 0xa3
		} else {
			request = append(append(request, 2), params...)
		}
		mac := token.Authenticate(append([]byte{sub}, params...))
		request = append(append(request, 3, byte(token.Protocol()), 4, 0x58, byte(len(mac))), mac...)
		resp, err := key.CBOR(t.Context(), request, nil)
		require.NoError(t, err)
		require.NotEmpty(t, resp)
		require.LessOrEqual(t, len(resp), defaultMessageSize)
		require.LessOrEqual(t, key.Credentials(), 2)
		requireWellFormed(t, resp)
	})
}

// requireWellFormed wants a status alone, or members that decode.
func requireWellFormed(t testing.TB, resp []byte) {
	t.Helper()
	if len(resp) > 1 {
		require.Zero(t, resp[0])
		var members map[uint64]any
		require.NoError(t, ctapcbor.Unmarshal(resp[1:], &members))
	}
}

// FuzzLargeBlobs writes two fragments of any kind: whatever becomes of them, what is stored is whole.
func FuzzLargeBlobs(f *testing.F) {
	array := blobArray(f, 300)
	f.Add(array, uint32(0), uint32(300), []byte{}, uint32(0))
	f.Add(array[:100], uint32(0), uint32(300), array[100:], uint32(100))
	f.Add(array[:100], uint32(0), uint32(100), array[100:], uint32(50))
	f.Fuzz(func(t *testing.T, first []byte, offset, length uint32, second []byte, next uint32) {
		_, client := newKey(t, Config{})
		_ = client.SetLargeBlobs(t.Context(), nil, offset, length, first) // any status will do
		_ = client.SetLargeBlobs(t.Context(), nil, next, length, second)
		stored := readBlobs(t, client, 512)
		require.GreaterOrEqual(t, len(stored), ctap2.MinLargeBlobArray)
		require.True(t, isLargeBlobArray(stored))
		require.LessOrEqual(t, len(stored), defaultLargeBlobSize)
	})
}

func FuzzCutRPID(f *testing.F) {
	f.Add("example.org")
	f.Add("https://a-very-long-name.example.org")
	f.Add(strings.Repeat("s", 40) + ":x")
	f.Fuzz(func(t *testing.T, id string) {
		cut := cutRPID(id)
		require.LessOrEqual(t, len(cut), maxRPIDSize)
		if len(id) <= maxRPIDSize {
			require.Equal(t, id, cut)
			return
		}
		if before, after, found := strings.Cut(cut, ellipsis); found && !strings.Contains(id, ellipsis) {
			require.True(t, strings.HasPrefix(id, before))
			require.True(t, strings.HasSuffix(id, after))
			require.Len(t, cut, maxRPIDSize)
		}
	})
}
