package webauthn

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// prfVectors are the W3C's for the extension prf on top of hmac-secret.
type prfVectors struct {
	Shared struct {
		Platform      hexBytes            `json:"platform_key_agreement_private_key"`
		Authenticator map[string]anyValue `json:"authenticator_key_agreement_public_key"`
		CredRandom    hexBytes            `json:"authenticator_cred_random"`
	} `json:"shared"`
	Cases []struct {
		Name      string            `json:"name"`
		Protocol  ctap2.PINProtocol `json:"pinUvAuthProtocol"`
		First     hexBytes          `json:"prf_eval_first"`
		Second    hexBytes          `json:"prf_eval_second"`
		Salt1     hexBytes          `json:"salt1"`
		Salt2     hexBytes          `json:"salt2"`
		SaltEnc   hexBytes          `json:"salt_enc"`
		Output1   hexBytes          `json:"output1"`
		Output2   hexBytes          `json:"output2"`
		OutputEnc hexBytes          `json:"output_enc"`
	} `json:"cases"`
}

// An anyValue is a number or a string with bytes; only the latter matters.
type anyValue hexBytes

func (v *anyValue) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return nil
	}
	return (*hexBytes)(v).UnmarshalText(b[1 : len(b)-1])
}

func TestPRFSalt(t *testing.T) {
	t.Parallel()
	salt := PRFSalt([]byte("abc")) // printf 'WebAuthn PRF\0abc' | sha256sum
	require.Equal(t, "425507dfa7404b2fc3743ff9673c78e7b3c2f9d298b533ae2d8277203f73f4b7", hex.EncodeToString(salt[:]))
}

func TestVectorPRF(t *testing.T) {
	t.Parallel()
	file := loadVectors(t)
	prf := file.PRF
	own, err := ecdh.P256().NewPrivateKey(prf.Shared.Platform)
	require.NoError(t, err)
	point := slices.Concat([]byte{4}, prf.Shared.Authenticator["-2"], prf.Shared.Authenticator["-3"])
	peer, err := ecdh.P256().NewPublicKey(point)
	require.NoError(t, err)
	require.Len(t, prf.Cases, 3)
	for _, c := range prf.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			salts, outputs := slices.Clone([]byte(c.Salt1)), slices.Clone([]byte(c.Output1))
			salt := PRFSalt(c.First)
			require.Equal(t, []byte(c.Salt1), salt[:])
			require.Equal(t, []byte(c.Output1), hmacSHA256(prf.Shared.CredRandom, salt[:]))
			if c.Second != nil {
				salt := PRFSalt(c.Second)
				require.Equal(t, []byte(c.Salt2), salt[:])
				require.Equal(t, []byte(c.Output2), hmacSHA256(prf.Shared.CredRandom, salt[:]))
				salts, outputs = append(salts, c.Salt2...), append(outputs, c.Output2...)
			}
			secret, err := ctap2.NewSharedSecret(c.Protocol, own, peer)
			require.NoError(t, err)
			got, err := secret.Decrypt(c.SaltEnc)
			require.NoError(t, err)
			require.Equal(t, salts, got)
			got, err = secret.Decrypt(c.OutputEnc)
			require.NoError(t, err)
			require.Equal(t, outputs, got)
		})
	}
}

func hmacSHA256(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
