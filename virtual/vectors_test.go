package virtual

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// vectors is ../testdata/ctap.json, as far as a key has a use for it.
type vectors struct {
	PlatformPrivateKey      string
	AuthenticatorPrivateKey string
	PINUVAuthToken32        string `json:"pinUvAuthToken32"`
	PIN                     string `json:"pin"`
	Protocols               map[string]struct{ AESKey string }
	Exchanges               []exchangeVector

	LargeBlob struct{ Key, SerializedArray string }
	EncInfo   struct {
		PersistentPINUVAuthToken, DeviceIdentifier, EncIdentifier, CredStoreState, EncCredStoreState string
	}
}

type exchangeVector struct {
	Name              string
	PINUVAuthProtocol ctap2.PINProtocol
	Messages          []struct{ Request, Response string }

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

// entropy is the randomness of the key that the vectors are of.
func (v *vectors) entropy(t *testing.T) entropy {
	t.Helper()
	agreement, err := ecdh.P256().NewPrivateKey(unhex(t, v.AuthenticatorPrivateKey))
	require.NoError(t, err)
	return entropy{
		keyAgreement: func() *ecdh.PrivateKey { return agreement },
		read: func(b []byte) {
			if len(b) == templateIDSize {
				copy(b, vectorTemplate)
				return
			}
			copy(b, unhex(t, v.PINUVAuthToken32))
		},
		encrypt: func(s *ctap2.SharedSecret, plaintext []byte) ([]byte, error) { return v.encrypt(t, s, plaintext) },
	}
}

// encrypt is what the key does for the vectors' platform, with protocol 2 by the vectors' initialization vector.
func (v *vectors) encrypt(t *testing.T, s *ctap2.SharedSecret, plaintext []byte) ([]byte, error) {
	t.Helper()
	if s.Protocol() == ctap2.PINProtocol1 {
		return s.Encrypt(plaintext)
	}
	iv := sha256.Sum256([]byte("ctap-vectors/authenticator-iv"))
	block, err := aes.NewCipher(unhex(t, v.Protocols["2"].AESKey))
	require.NoError(t, err)
	out := append(iv[:aes.BlockSize:aes.BlockSize], plaintext...)
	cipher.NewCBCEncrypter(block, iv[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], plaintext)
	return out, nil
}

// newKey returns a key with the vectors' secrets, a PIN, and the token that they use.
func (v *vectors) newKey(t *testing.T, e *exchangeVector, c Config, prepare func(s *state)) *Authenticator {
	t.Helper()
	key, err := newAuthenticator(c, v.entropy(t))
	require.NoError(t, err)
	require.NoError(t, key.update(func(s *state) {
		s.setPIN([]byte(v.PIN))
		if prepare != nil {
			prepare(s)
		}
	}))
	key.volatile.token = &token{
		protocol: e.PINUVAuthProtocol, key: unhex(t, v.PINUVAuthToken32), permissions: allPermissions, verified: true,
		issued: time.Now(),
	}
	return key
}

// vectorTemplate is the ID of the finger that the vectors enrol.
var vectorTemplate = []byte{0xd6, 0x3a, 0x9f, 0xee}

func enrolVectorFingers(s *state) {
	s.Fingerprints = []*fingerprint{
		{ID: vectorTemplate, Finger: "left", Name: "thumb"},
		{ID: []byte{0x8f, 0xfe, 0xe6, 0xe3}, Finger: "right"},
	}
}

// vectorPasskeys are the credentials that the vectors manage.
func vectorPasskeys(t *testing.T, v *vectors, rpIDs ...string) func(s *state) {
	t.Helper()
	no := false
	passkeys := []*credential{
		{
			ID:           unhex(t, "0e6c4daef6b4e353fa7234ea4805b8f58ade5d0694c06e3c0f787dc822e5a17a"),
			User:         ctap2.User{ID: unhex(t, "092dd7c2ec239a79"), Name: "j.doe", DisplayName: "J. Doe"},
			CredProtect:  ctap2.CredProtectUVRequired,
			LargeBlobKey: unhex(t, v.LargeBlob.Key),
		},
		{
			ID:                unhex(t, "abf3278e35687093c288948af6409206d099c3e06e8990f2c7738a36b73b247f"),
			User:              ctap2.User{ID: unhex(t, "9e117eaf34c07442")},
			CredProtect:       ctap2.CredProtectUVOptional,
			ThirdPartyPayment: &no,
		},
	}
	for i, c := range passkeys {
		c.RPID, c.Discoverable, c.Algorithm = rpIDs[i], true, cose.ES256
		c.PrivateKey = unhex(t, v.AuthenticatorPrivateKey)
		if c.RPID == "example.com" {
			c.RPName = "Example Inc"
		}
	}
	return func(s *state) { s.Credentials = passkeys }
}

// vectorSetups are the keys that give the vectors' answers: for the exchanges whose names begin so, the first that
// matches.
func vectorSetups(t *testing.T, v *vectors) []vectorSetup {
	t.Helper()
	both := vectorPasskeys(t, v, "example.org", "example.org")
	two := vectorPasskeys(t, v, "example.org", "example.com")
	array := func(s *state) { s.LargeBlobs = unhex(t, v.LargeBlob.SerializedArray) }
	full := Config{Version: CTAP23}
	return []vectorSetup{
		{"clientPIN/setPIN", Config{}, func(s *state) { s.PINHash = nil }},
		{"clientPIN/getPinToken (0x05, legacy, 16-byte token)", Config{Version: CTAP20}, nil},
		{"clientPIN/", Config{UserVerification: recognize}, nil},
		{"bioEnrollment/getSensorInfo", Config{Finger: indexFinger}, nil},
		{"bioEnrollment/enroll", Config{Finger: indexFinger, EnrollSamples: 2}, nil},
		{"bioEnrollment/", Config{Finger: indexFinger}, enrolVectorFingers},
		{"config/", Config{Version: CTAP23, EnterpriseAttestation: true}, nil},
		{"makeCredential/", Config{}, nil},
		{"getAssertion/", Config{}, both},
		{"credentialManagement/getCredsMetadata", Config{Capacity: 25}, both},
		{"credentialManagement/enumerateRPs", full, two},
		{"credentialManagement/", full, both},
		{"largeBlobs/write", Config{MaxMessageSize: 1024}, nil},
		{"largeBlobs/read", Config{MaxMessageSize: 1024}, array},
	}
}

type vectorSetup struct {
	prefix  string
	config  Config
	prepare func(s *state)
}

// TestVectors leaves out what [TestVectorsOfHMACSecret] takes, and nothing else.
func TestVectors(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	require.Len(t, v.Exchanges, 58)
	for _, e := range v.Exchanges {
		if strings.HasPrefix(e.Name, hmacSecretVectors) {
			continue
		}
		setups := vectorSetups(t, v)
		i := slices.IndexFunc(setups, func(s vectorSetup) bool { return strings.HasPrefix(e.Name, s.prefix) })
		require.GreaterOrEqual(t, i, 0, "no key for %s", e.Name)
		key := v.run(t, &e, setups[i].config, setups[i].prepare)
		if strings.HasPrefix(e.Name, "largeBlobs/write") {
			require.Equal(t, v.LargeBlob.SerializedArray, hex.EncodeToString(key.state.LargeBlobs))
		}
	}
}

const hmacSecretVectors = "hmac-secret/"

// run sends the requests of an exchange and expects its responses, byte for byte, from the key that it returns. A
// request without a response must be taken.
func (v *vectors) run(t *testing.T, e *exchangeVector, c Config, prepare func(s *state)) *Authenticator {
	t.Helper()
	key := v.newKey(t, e, c, prepare)
	if strings.Contains(e.Name, "16-byte") {
		key.volatile.token = nil
	}
	for _, m := range e.Messages {
		got, err := key.CBOR(t.Context(), unhex(t, m.Request), nil)
		require.NoError(t, err, e.Name)
		if m.Response == "" {
			require.Zero(t, got[0], e.Name)
			continue
		}
		require.Equal(t, m.Response, hex.EncodeToString(got), "%s, protocol %d", e.Name, e.PINUVAuthProtocol)
	}
	return key
}

func TestVectorsOfHMACSecret(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	credRandom := sha256.Sum256([]byte("ctap-vectors/CredRandom"))
	ran := 0
	for _, e := range v.Exchanges {
		if !strings.HasPrefix(e.Name, hmacSecretVectors) {
			continue
		}
		var in ctap2.GetAssertionExtensions
		require.NoError(t, ctapcbor.Unmarshal(unhex(t, e.ExtensionInput), &in))
		key := v.newKey(t, &e, Config{}, nil)
		s, err := key.openSalts(in.HMACSecret)
		require.NoError(t, err)
		require.Equal(t, e.Salts, hex.EncodeToString(s.salts))
		got, err := s.outputs(credRandom[:])
		require.NoError(t, err)
		require.Equal(t, e.ExtensionOutputEncrypted, hex.EncodeToString(got))
		plain, err := s.shared.Decrypt(got)
		require.NoError(t, err)
		require.Equal(t, e.ExtensionOutput, hex.EncodeToString(plain))
		ran++
	}
	require.Equal(t, 4, ran)
}

func TestVectorsOfHiddenInfo(t *testing.T) {
	t.Parallel()
	info := loadVectors(t).EncInfo
	token := unhex(t, info.PersistentPINUVAuthToken)
	for purpose, tt := range map[string]struct{ plain, hidden string }{
		"encIdentifier":     {info.DeviceIdentifier, info.EncIdentifier},
		"encCredStoreState": {info.CredStoreState, info.EncCredStoreState},
	} {
		hidden := unhex(t, tt.hidden)
		require.Equal(t, hidden, hide(purpose, token, hidden[:aes.BlockSize], unhex(t, tt.plain)))
	}
}
