package ctap2

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// vectors is ../testdata/ctap.json, as far as this package has a use for it.
type vectors struct {
	PlatformPrivateKey      string
	AuthenticatorPrivateKey string
	ECDHZ                   string `json:"ecdhZ"`
	PINUVAuthToken32        string `json:"pinUvAuthToken32"`
	PINUVAuthToken16        string `json:"pinUvAuthToken16"`
	PIN                     string `json:"pin"`
	NewPIN                  string `json:"newPin"`
	Protocols               map[string]struct {
		SharedSecret, SetPINUVAuthParam, PINHashEnc, NewPINEnc string
		TokenMACOverClientDataHash                             string
		Token16MACOverClientDataHash                           string
	}
	Exchanges []exchange
	LargeBlob struct {
		Key, Nonce, Ciphertext, AAD, SerializedArray, InitialArray string
		OrigSize                                                   uint64
	}
	EncInfo struct {
		PersistentPINUVAuthToken                                           string `json:"persistentPinUvAuthToken"`
		DeviceIdentifier, EncIdentifier, CredStoreState, EncCredStoreState string
	}
}

type exchange struct {
	Name              string
	PINUVAuthProtocol PINProtocol
	Messages          []struct{ Request, Response string }
	Result            struct {
		Retries, UVRetries int
		PowerCycleState    bool
		Token              string
	}
	Salts, ExtensionInput, ExtensionOutputEncrypted, ExtensionOutput string
}

func loadVectors(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile("../testdata/ctap.json")
	require.NoError(t, err)
	v := new(vectors)
	require.NoError(t, json.Unmarshal(b, v))
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// fixedEntropy follows the derivation rule of the vectors.
type fixedEntropy struct {
	key *ecdh.PrivateKey
	ivs int
}

func (e *fixedEntropy) privateKey() (*ecdh.PrivateKey, error) { return e.key, nil }

func (e *fixedEntropy) readIV(iv []byte) {
	e.ivs++
	sum := sha256.Sum256(fmt.Appendf(nil, "ctap-vectors/iv/%d", e.ivs))
	copy(iv, sum[:])
}

// script is a Transport that wants exactly the given requests and answers with the given responses.
type script struct {
	t        *testing.T
	messages []struct{ Request, Response string }
}

func (s *script) CBOR(_ context.Context, request []byte, _ func(byte)) ([]byte, error) {
	s.t.Helper()
	require.NotEmpty(s.t, s.messages, "one request too many: %x", request)
	m := s.messages[0]
	s.messages = s.messages[1:]
	require.Equal(s.t, m.Request, hex.EncodeToString(request))
	return unhex(s.t, m.Response), nil
}

func (v *vectors) client(t *testing.T, e exchange) *Client {
	key, err := ecdh.P256().NewPrivateKey(unhex(t, v.PlatformPrivateKey))
	require.NoError(t, err)
	s := &script{t: t, messages: e.Messages}
	t.Cleanup(func() { require.Empty(t, s.messages, "requests not sent") })
	return &Client{Transport: s, entropy: &fixedEntropy{key: key}}
}

// replayClientPIN runs the client call that the name of an exchange stands for, and checks its result.
func (v *vectors) replayClientPIN(t *testing.T, full string, e exchange) {
	ctx, c, p := t.Context(), v.client(t, e), e.PINUVAuthProtocol
	pin, newPIN := []byte(v.PIN), []byte(v.NewPIN)
	secret := func() *SharedSecret {
		s, err := c.KeyAgreement(ctx, p)
		require.NoError(t, err)
		require.Equal(t, v.Protocols[fmt.Sprint(p)].SharedSecret, hex.EncodeToString(s.key))
		return s
	}
	var token *Token
	var err error
	switch name, _, _ := strings.Cut(full, " "); name {
	case "getPINRetries":
		retries, powerCycle, err := c.PINRetries(ctx, p)
		require.NoError(t, err)
		require.Equal(t, e.Result.Retries, retries)
		require.Equal(t, e.Result.PowerCycleState, powerCycle)
	case "getUVRetries":
		retries, err := c.UVRetries(ctx, p)
		require.NoError(t, err)
		require.Equal(t, e.Result.UVRetries, retries)
	case "setPIN":
		require.NoError(t, c.SetPIN(ctx, secret(), pin))
	case "changePIN":
		require.NoError(t, c.ChangePIN(ctx, secret(), pin, newPIN))
	case "getPinToken":
		token, err = c.PINToken(ctx, secret(), pin)
	case "getPinUvAuthTokenUsingPinWithPermissions":
		if strings.Contains(e.Name, "acfg") {
			token, err = c.PINTokenWithPermissions(ctx, secret(), pin, PermissionAuthenticatorConfig, "")
			break
		}
		permissions := PermissionMakeCredential | PermissionGetAssertion
		token, err = c.PINTokenWithPermissions(ctx, secret(), pin, permissions, "example.org")
	case "getPinUvAuthTokenUsingUvWithPermissions":
		token, err = c.UVToken(ctx, secret(), PermissionGetAssertion, "example.org")
	default:
		t.Fatalf("no call for exchange %q", e.Name)
	}
	require.NoError(t, err)
	if e.Result.Token != "" {
		require.Equal(t, e.Result.Token, hex.EncodeToString(token.key))
	}
}

// Every exchange, none left out: the client sends the request byte for byte and understands the response.
func TestVectors(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	require.Len(t, v.Exchanges, 58)
	for _, e := range v.Exchanges {
		t.Run(fmt.Sprintf("protocol %d/%s", e.PINUVAuthProtocol, e.Name), func(t *testing.T) {
			t.Parallel()
			kind, name, _ := strings.Cut(e.Name, "/")
			switch kind {
			case "clientPIN":
				v.replayClientPIN(t, name, e)
			case "makeCredential", "getAssertion":
				v.replayRequest(t, e)
			case "hmac-secret":
				v.replayHMACSecret(t, e)
			case "credentialManagement":
				v.replayCredentialManagement(t, name, e)
			case "bioEnrollment":
				v.replayBioEnrollment(t, name, e)
			case "config":
				v.replayConfig(t, name, e)
			case "largeBlobs":
				v.replayLargeBlobs(t, name, e)
			default:
				t.Fatal("nobody knows this exchange")
			}
		})
	}
}

func TestPINProtocolVectors(t *testing.T) {
	v := loadVectors(t)
	clientDataHash := unhex(t, "95276368597532c08f73c2cbc513c125cd39ea9446c8cddf9b34be502c93ae97")
	for name, want := range v.Protocols {
		p := map[string]PINProtocol{"1": PINProtocol1, "2": PINProtocol2}[name]
		t.Run("protocol "+name, func(t *testing.T) {
			s := v.secret(t, p)
			require.Equal(t, want.SharedSecret, hex.EncodeToString(s.key))
			enc, err := encryptPIN(s, []byte(v.PIN))
			require.NoError(t, err)
			require.Equal(t, want.NewPINEnc, hex.EncodeToString(enc))
			require.Equal(t, want.SetPINUVAuthParam, hex.EncodeToString(s.Authenticate(enc)))

			token := &Token{protocol: p, key: unhex(t, v.PINUVAuthToken32)}
			mac := token.Authenticate(clientDataHash)
			require.Equal(t, want.TokenMACOverClientDataHash, hex.EncodeToString(mac))
			require.True(t, p.Verify(token.key, clientDataHash, mac))
			mac[0] ^= 1
			require.False(t, p.Verify(token.key, clientDataHash, mac))
			if want.Token16MACOverClientDataHash != "" {
				token = &Token{protocol: p, key: unhex(t, v.PINUVAuthToken16)}
				require.Equal(t, want.Token16MACOverClientDataHash, hex.EncodeToString(token.Authenticate(clientDataHash)))
			}
		})
	}
}

// secret is the platform's side of the shared secret.
func (v *vectors) secret(t testing.TB, p PINProtocol) *SharedSecret {
	own, err := ecdh.P256().NewPrivateKey(unhex(t, v.PlatformPrivateKey))
	require.NoError(t, err)
	peer, err := ecdh.P256().NewPrivateKey(unhex(t, v.AuthenticatorPrivateKey))
	require.NoError(t, err)
	s, err := NewSharedSecret(p, own, peer.PublicKey())
	require.NoError(t, err)
	s.readIV = (&fixedEntropy{}).readIV

	other, err := NewSharedSecret(p, peer, own.PublicKey())
	require.NoError(t, err)
	require.Equal(t, s.key, other.key, "both sides derive the same secret")
	return s
}

func (v *vectors) replayHMACSecret(t *testing.T, e exchange) {
	s := v.secret(t, e.PINUVAuthProtocol)
	input, err := NewHMACSecretInput(s, unhex(t, e.Salts))
	require.NoError(t, err)
	b, err := ctapcbor.Marshal(GetAssertionExtensions{HMACSecret: input})
	require.NoError(t, err)
	require.Equal(t, e.ExtensionInput, hex.EncodeToString(b))
	out, err := s.Decrypt(unhex(t, e.ExtensionOutputEncrypted))
	require.NoError(t, err)
	require.Equal(t, e.ExtensionOutput, hex.EncodeToString(out))
}

// replayRequest decodes a request that is made of fixed inputs, and encodes it again.
func (v *vectors) replayRequest(t *testing.T, e exchange) {
	request := unhex(t, e.Messages[0].Request)
	token := v.token(t, e.PINUVAuthProtocol)
	var again any
	if Command(request[0]) == CommandMakeCredential {
		var req MakeCredentialRequest
		require.NoError(t, ctapcbor.Unmarshal(request[1:], &req))
		require.Equal(t, req.PINUVAuthParam, token.Authenticate(req.ClientDataHash))
		require.True(t, req.Options.ResidentKey)
		require.EqualValues(t, CredProtectUVOptionalWithID, req.Extensions.CredProtect)
		again = req
	} else {
		var req GetAssertionRequest
		require.NoError(t, ctapcbor.Unmarshal(request[1:], &req))
		require.Equal(t, req.PINUVAuthParam, token.Authenticate(req.ClientDataHash))
		require.True(t, *req.Options.UserPresence)
		again = req
	}
	b, err := ctapcbor.Marshal(again)
	require.NoError(t, err)
	require.True(t, bytes.Equal(request[1:], b), "want %x\ngot  %x", request[1:], b)
}

func (v *vectors) token(t *testing.T, p PINProtocol) *Token {
	if p == 0 {
		return nil
	}
	token, err := NewToken(p, unhex(t, v.PINUVAuthToken32))
	require.NoError(t, err)
	return token
}
