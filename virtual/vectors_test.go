package virtual

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// vectors is ../testdata/ctap.json, as far as a key has a use for it.
type vectors struct {
	PlatformPrivateKey      string
	AuthenticatorPrivateKey string
	PINUVAuthToken32        string `json:"pinUvAuthToken32"`
	PIN                     string `json:"pin"`
	Exchanges               []struct {
		Name              string
		PINUVAuthProtocol ctap2.PINProtocol
		Messages          []struct{ Request, Response string }

		Salts, ExtensionInput, ExtensionOutputEncrypted, ExtensionOutput string
	}
}

func loadVectors(t *testing.T) *vectors {
	t.Helper()
	b, err := os.ReadFile("../testdata/ctap.json")
	require.NoError(t, err)
	v := new(vectors)
	require.NoError(t, json.Unmarshal(b, v))
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// newKey returns a key with the vectors' keys, in the state that the exchange begins in.
func (v *vectors) newKey(t *testing.T, name string) *Authenticator {
	t.Helper()
	agreement, err := ecdh.P256().NewPrivateKey(unhex(t, v.AuthenticatorPrivateKey))
	require.NoError(t, err)
	key, err := newAuthenticator(Config{UserVerification: recognize}, entropy{
		keyAgreement: func() *ecdh.PrivateKey { return agreement },
		token:        func() [tokenSize]byte { return [tokenSize]byte(unhex(t, v.PINUVAuthToken32)) },
	})
	require.NoError(t, err)
	if !strings.Contains(name, "setPIN") {
		hash := sha256.Sum256([]byte(v.PIN))
		require.NoError(t, key.update(func(s *state) { s.PINHash = hash[:pinHashSize] }))
	}
	return key
}

// shared is the secret that the vectors' platform has with the vectors' key.
func (v *vectors) shared(t *testing.T, p ctap2.PINProtocol) *ctap2.SharedSecret {
	t.Helper()
	own, err := ecdh.P256().NewPrivateKey(unhex(t, v.PlatformPrivateKey))
	require.NoError(t, err)
	agreement, err := ecdh.P256().NewPrivateKey(unhex(t, v.AuthenticatorPrivateKey))
	require.NoError(t, err)
	s, err := ctap2.NewSharedSecret(p, own, agreement.PublicKey())
	require.NoError(t, err)
	return s
}

func TestVectorsOfClientPIN(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	ran := 0
	for _, e := range v.Exchanges {
		if !strings.HasPrefix(e.Name, "clientPIN/") || strings.Contains(e.Name, "16-byte token") {
			continue // the latter is of CTAP 2.0 keys
		}
		key := v.newKey(t, e.Name)
		for _, m := range e.Messages {
			got, err := key.CBOR(t.Context(), unhex(t, m.Request), nil)
			require.NoError(t, err)
			want := unhex(t, m.Response)
			switch {
			case strings.Contains(e.Name, "acfg") && len(want) > 1 && m.Request[2:4] == "a5":
				want = []byte{byte(ctap2.ErrUnauthorizedPermission)} // the key has no authenticatorConfig
			case e.PINUVAuthProtocol == 2:
				got, want = v.decryptToken(t, got), v.decryptToken(t, want) // the IV is random
			}
			require.Equal(t, want, got, e.Name)
			ran++
		}
	}
	require.Equal(t, 28, ran)
}

// decryptToken returns a response with the token in the clear.
func (v *vectors) decryptToken(t *testing.T, response []byte) []byte {
	t.Helper()
	var members ctap2.ClientPINResponse
	if len(response) < 2 {
		return response
	}
	require.NoError(t, ctapcbor.Unmarshal(response[1:], &members))
	if members.PINUVAuthToken == nil {
		return response
	}
	token, err := v.shared(t, 2).Decrypt(members.PINUVAuthToken)
	require.NoError(t, err)
	members.PINUVAuthToken = token
	again, err := ctapcbor.Marshal(members)
	require.NoError(t, err)
	return append(response[:1:1], again...)
}

func TestVectorsOfHMACSecret(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	credRandom := sha256.Sum256([]byte("ctap-vectors/CredRandom"))
	ran := 0
	for _, e := range v.Exchanges {
		if !strings.HasPrefix(e.Name, "hmac-secret/") {
			continue
		}
		var in ctap2.GetAssertionExtensions
		require.NoError(t, ctapcbor.Unmarshal(unhex(t, e.ExtensionInput), &in))
		s, err := v.newKey(t, e.Name).openSalts(in.HMACSecret)
		require.NoError(t, err)
		require.Equal(t, e.Salts, hex.EncodeToString(s.salts))
		got, err := s.outputs(credRandom[:])
		require.NoError(t, err)
		if e.PINUVAuthProtocol == 1 {
			require.Equal(t, e.ExtensionOutputEncrypted, hex.EncodeToString(got))
		}
		plain, err := v.shared(t, e.PINUVAuthProtocol).Decrypt(got)
		require.NoError(t, err)
		require.Equal(t, e.ExtensionOutput, hex.EncodeToString(plain))
		ran++
	}
	require.Equal(t, 4, ran)
}
