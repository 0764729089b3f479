package ctap2

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Each extension under its identifier of CTAP 2.3, section 12, as written down there, not as encoded here.
func TestExtensionInputs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   any
		want map[string]any
	}{
		"no creation inputs":  {MakeCredentialExtensions{}, map[string]any{}},
		"no assertion inputs": {GetAssertionExtensions{}, map[string]any{}},
		"creation": {
			MakeCredentialExtensions{
				CredProtect: CredProtectUVRequired, CredBlob: []byte("blob"), LargeBlobKey: true, MinPINLength: true,
				LargeBlob: LargeBlobSupportInput{Support: LargeBlobRequired}, PINComplexityPolicy: true, HMACSecret: true,
				HMACSecretMC:      &HMACSecretInput{SaltEnc: []byte{1}, SaltAuth: []byte{2}, PINUVAuthProtocol: PINProtocol2},
				ThirdPartyPayment: true,
			},
			map[string]any{
				"credProtect": uint64(3), "credBlob": []byte("blob"), "largeBlobKey": true, "minPinLength": true,
				"largeBlob": map[any]any{"support": "required"}, "pinComplexityPolicy": true, "hmac-secret": true,
				"hmac-secret-mc":    map[any]any{uint64(1): nil, uint64(2): []byte{1}, uint64(3): []byte{2}, uint64(4): uint64(2)},
				"thirdPartyPayment": true,
			},
		},
		"assertion": {
			GetAssertionExtensions{
				CredBlob: true, LargeBlobKey: true, LargeBlob: LargeBlobInput{Write: []byte{7}, OriginalSize: 9},
				ThirdPartyPayment: true,
			},
			map[string]any{
				"credBlob": true, "largeBlobKey": true, "thirdPartyPayment": true,
				"largeBlob": map[any]any{"write": []byte{7}, "originalSize": uint64(9)},
			},
		},
		"read": {
			GetAssertionExtensions{LargeBlob: LargeBlobInput{Read: true}},
			map[string]any{"largeBlob": map[any]any{"read": true}},
		},
	} {
		b, err := ctapcbor.Marshal(tc.in)
		require.NoError(t, err, name)
		var got map[string]any
		require.NoError(t, ctapcbor.Unmarshal(b, &got), name)
		require.Equal(t, tc.want, got, name)
	}
}

func TestExtensionOutputs(t *testing.T) {
	t.Parallel()
	var made MakeCredentialOutputs
	require.NoError(t, ctapcbor.Unmarshal(unhex(t, "a2"+"68"+hex.EncodeToString([]byte("credBlob"))+"f5"+
		"6c"+hex.EncodeToString([]byte("minPinLength"))+"06"), &made))
	require.Equal(t, MakeCredentialOutputs{CredBlob: true, MinPINLength: 6}, made)
	var got GetAssertionOutputs
	require.NoError(t, ctapcbor.Unmarshal(unhex(t, "a168"+hex.EncodeToString([]byte("credBlob"))+"40"), &got))
	require.Equal(t, GetAssertionOutputs{CredBlob: []byte{}}, got, "empty is not absent")
}

func TestUnsignedOutputs(t *testing.T) {
	t.Parallel()
	raw, err := ctapcbor.Marshal(map[string]any{
		"largeBlob": map[string]any{"blob": []byte{7}, "originalSize": 9}, "prf": map[string]any{},
	})
	require.NoError(t, err)
	got, err := (&GetAssertionResponse{UnsignedExtensionOutputs: raw}).UnsignedOutputs()
	require.NoError(t, err)
	require.Equal(t, LargeBlobOutput{Blob: []byte{7}, OriginalSize: 9}, got.LargeBlob)
	raw, err = ctapcbor.Marshal(map[string]any{"largeBlob": map[string]bool{"supported": true}})
	require.NoError(t, err)
	got, err = (&MakeCredentialResponse{UnsignedExtensionOutputs: raw}).UnsignedOutputs()
	require.NoError(t, err)
	require.Equal(t, LargeBlobOutput{Supported: true}, got.LargeBlob)
	got, err = new(MakeCredentialResponse).UnsignedOutputs()
	require.NoError(t, err)
	require.Zero(t, *got)
	for _, bad := range []string{"f6", "80", "a10102", "a2616101616102", "a1696c61726765426c6f6280", "a0a0"} {
		_, err := (&GetAssertionResponse{UnsignedExtensionOutputs: unhex(t, bad)}).UnsignedOutputs()
		require.ErrorIs(t, err, ErrInvalidResponse, bad)
	}
}
