package ctap2

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// answers is a Transport that gives the same answer to everything.
type answers []byte

func (a answers) CBOR(context.Context, []byte, func(byte)) ([]byte, error) { return a, nil }

func hexAnswer(t testing.TB, s string) answers {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func TestStatusIsAnErrorThroughWrapping(t *testing.T) {
	c := Client{Transport: answers{byte(ErrPINInvalid)}}
	_, _, err := c.PINRetries(t.Context(), PINProtocol2)
	require.ErrorIs(t, err, ErrPINInvalid)
	require.NotErrorIs(t, err, ErrPINBlocked)
	require.EqualError(t, err, "ctap2: clientPIN: PIN invalid")
	var status Status
	require.ErrorAs(t, fmt.Errorf("more: %w", err), &status)
	require.Equal(t, ErrPINInvalid, status)
	require.EqualError(t, Status(0xf7), "status 0xf7")
}

func TestTransportErrorsPass(t *testing.T) {
	pulled := errors.New("pulled")
	c := Client{Transport: transportFunc(func([]byte) ([]byte, error) { return nil, pulled })}
	require.ErrorIs(t, c.Selection(t.Context()), pulled)
}

type transportFunc func(request []byte) ([]byte, error)

func (f transportFunc) CBOR(_ context.Context, request []byte, _ func(byte)) ([]byte, error) {
	return f(request)
}

func TestCommandsWithoutParameters(t *testing.T) {
	var sent [][]byte
	c := Client{Transport: transportFunc(func(b []byte) ([]byte, error) { sent = append(sent, b); return []byte{0}, nil })}
	require.NoError(t, c.Selection(t.Context()))
	require.NoError(t, c.Reset(t.Context()))
	require.Equal(t, [][]byte{{0x0b}, {0x07}}, sent)
}

// Answers that must not pass for a result, whatever the command.
func TestEmptyAndForeignAnswersAreRefused(t *testing.T) {
	secret := loadVectors(t).secret(t, PINProtocol1)
	commands := map[string]func(c *Client) error{
		"getInfo":        func(c *Client) error { _, err := c.GetInfo(t.Context()); return err },
		"makeCredential": func(c *Client) error { _, err := c.MakeCredential(t.Context(), &MakeCredentialRequest{}); return err },
		"getAssertion":   func(c *Client) error { _, err := c.GetAssertion(t.Context(), &GetAssertionRequest{}); return err },
		"getNext":        func(c *Client) error { _, err := c.GetNextAssertion(t.Context()); return err },
		"pinRetries":     func(c *Client) error { _, _, err := c.PINRetries(t.Context(), 1); return err },
		"uvRetries":      func(c *Client) error { _, err := c.UVRetries(t.Context(), 1); return err },
		"keyAgreement":   func(c *Client) error { _, err := c.KeyAgreement(t.Context(), 1); return err },
		"pinToken":       func(c *Client) error { _, err := c.PINToken(t.Context(), secret, []byte("1234")); return err },
		"uvToken":        func(c *Client) error { _, err := c.UVToken(t.Context(), secret, 1, ""); return err },
	}
	for name, call := range managementCalls {
		commands[name] = func(c *Client) error { return call(t.Context(), c) }
	}
	bad := map[string]string{
		"nothing at all":     "",
		"no map":             "00",
		"empty map":          "00a0",
		"null":               "00f6",
		"undefined":          "00f7",
		"array":              "0080",
		"text":               "006161",
		"number":             "0001",
		"members null":       "00a501f602f603f604f605f6",
		"members of no use":  "00a3016002400340",
		"truncated":          "00a101",
		"trailing":           "00a000",
		"huge map":           "00bbffffffffffffffff",
		"huge byte string":   "00a1025bffffffffffffffff",
		"indefinite map":     "00bfff",
		"tagged":             "00a101c101",
		"key twice":          "00a201010101",
		"retries 2^64-1":     "00a2031bffffffffffffffff051bffffffffffffffff",
		"retries negative":   "00a203200520",
		"deeply nested":      "00a101818181818181818181818181818100",
		"token of 48 bytes":  "00a1025830" + strings.Repeat("00", 48) + "00", // trailing byte as well
		"token of 15 bytes":  "00a1024f" + strings.Repeat("00", 15),
		"key not on P-256":   "00a101a5010203381820012158200000000000000000000000000000000000000000000000000000000000000001225820" + strings.Repeat("00", 31) + "01",
		"key with 31 bytes":  "00a101a501020338182001215 81f" + strings.Repeat("00", 31) + "225820" + strings.Repeat("00", 32),
		"key for signatures": "00a101a5010203262001215820af80cc2227ca85957ad66b5210c7024ad1e31b5fb358398c7c44adf19ebff08b22582050e1be12ba1a846376a4ce583b3989c23a199013a97c170367ae30ad3c49e8d3",
	}
	for name, answer := range bad {
		for command, call := range commands {
			t.Run(name+"/"+command, func(t *testing.T) {
				require.ErrorIs(t, call(&Client{Transport: hexAnswer(t, answer)}), ErrInvalidResponse)
			})
		}
	}
}

func TestGetInfoDefaults(t *testing.T) {
	c := Client{Transport: hexAnswer(t, "00a2 0181 68 4649444f5f325f30 0350 000102030405060708090a0b0c0d0e0f")}
	info, err := c.GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, &Info{
		Versions:           []string{"FIDO_2_0"},
		AAGUID:             AAGUID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		MaxMsgSize:         1024,
		MinPINLength:       4,
		MaxPINLength:       63,
		AttestationFormats: []string{"packed"},
	}, info)
	for name, want := range map[string][2]bool{
		"up": {true, true}, "plat": {false, true}, "rk": {false, true}, "clientPin": {false, false}, "uv": {false, false},
	} {
		value, present := info.Option(name)
		require.Equal(t, want, [2]bool{value, present}, name)
	}
	p, err := info.PINProtocol()
	require.NoError(t, err)
	require.Equal(t, PINProtocol1, p)
}

// Each member in its own key: encoded, decoded and compared, and the keys counted.
func TestGetInfoMembers(t *testing.T) {
	number, yes := uint64(7), true
	want := &Info{
		Versions: []string{"FIDO_2_3", "FIDO_9_9"}, Extensions: []string{"credProtect"}, AAGUID: AAGUID{1},
		Options: map[string]bool{"rk": true, "up": false}, MaxMsgSize: 1200, PINUVAuthProtocols: []PINProtocol{9, 2, 1},
		MaxCredentialCountInList: 8, MaxCredentialIDLength: 96, Transports: []string{"usb"},
		Algorithms:                  []CredentialParameter{{Algorithm: -7, Type: PublicKeyType}},
		MaxSerializedLargeBlobArray: 2048, ForcePINChange: true, MinPINLength: 6, FirmwareVersion: 5, MaxCredBlobLength: 32,
		MaxRPIDsForSetMinPINLength: 3, PreferredPlatformUVAttempts: 2, UVModality: 2,
		Certifications: map[string]uint64{"FIDO": 2}, RemainingDiscoverableCredentials: &number,
		VendorPrototypeConfigCommands: []uint64{math.MaxUint64}, AttestationFormats: []string{"none"},
		UVCountSinceLastPINEntry: &number, LongTouchForReset: true, EncIdentifier: make([]byte, 32),
		TransportsForReset: []string{"usb"}, PINComplexityPolicy: &yes, PINComplexityPolicyURL: []byte("https://x"),
		MaxPINLength: 32, EncCredStoreState: make([]byte, 32), AuthenticatorConfigCommands: []uint64{},
	}
	b, err := ctapcbor.Marshal(want)
	require.NoError(t, err)
	var keys map[int]ctapcbor.RawMessage
	require.NoError(t, ctapcbor.Unmarshal(b, &keys))
	require.Len(t, keys, 0x1f)
	got, err := (&Client{Transport: answers(append([]byte{0}, b...))}).GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.True(t, got.HasVersion("FIDO_2_3") && got.HasExtension("credProtect"))
	require.False(t, got.HasVersion("FIDO_2_0") || got.HasExtension("hmac-secret"))
	for name, want := range map[string][2]bool{"rk": {true, true}, "up": {false, true}, "plat": {false, true}, "uv": {}} {
		value, present := got.Option(name)
		require.Equal(t, want, [2]bool{value, present}, name)
	}
	p, err := got.PINProtocol()
	require.NoError(t, err)
	require.Equal(t, PINProtocol2, p)
	got.PINUVAuthProtocols = []PINProtocol{9}
	_, err = got.PINProtocol()
	require.Error(t, err)
}

func TestGetInfoCorrectsImpossibleValues(t *testing.T) {
	for _, tc := range []struct{ size, minPIN, maxPIN, wantSize, wantMin, wantMax uint64 }{
		{0, 0, 0, 1024, 4, 63},
		{64, 3, 2, 1024, 4, 4},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, 63, 63},
		{7609, 8, 6, 7609, 8, 8},
	} {
		info := Info{MaxMsgSize: tc.size, MinPINLength: tc.minPIN, MaxPINLength: tc.maxPIN}
		info.setDefaults()
		require.Equal(t, []uint64{tc.wantSize, tc.wantMin, tc.wantMax}, []uint64{info.MaxMsgSize, info.MinPINLength, info.MaxPINLength})
	}
}

func TestPINsThatCannotBeSent(t *testing.T) {
	c := Client{Transport: transportFunc(func([]byte) ([]byte, error) { t.Error("sent"); return nil, nil })}
	secret := loadVectors(t).secret(t, PINProtocol2)
	good, long := []byte("1234"), make([]byte, 64)
	require.ErrorIs(t, c.SetPIN(t.Context(), secret, []byte("123")), ErrPINLength)
	require.ErrorIs(t, c.SetPIN(t.Context(), secret, long), ErrPINLength)
	require.ErrorIs(t, c.ChangePIN(t.Context(), secret, nil, good), ErrPINLength)
	require.ErrorIs(t, c.ChangePIN(t.Context(), secret, good, long), ErrPINLength)
	_, err := c.PINToken(t.Context(), secret, long)
	require.ErrorIs(t, err, ErrPINLength)
}

func TestDecryptRefusesOddLengths(t *testing.T) {
	for _, p := range []PINProtocol{PINProtocol1, PINProtocol2} {
		s := loadVectors(t).secret(t, p)
		for _, n := range []int{1, 15, 17, 33} {
			_, err := s.Decrypt(make([]byte, n))
			require.Error(t, err)
			_, err = s.Encrypt(make([]byte, n))
			require.Error(t, err)
		}
		enc, err := s.Encrypt([]byte("sixteen bytes ok"))
		require.NoError(t, err)
		dec, err := s.Decrypt(enc)
		require.NoError(t, err)
		require.Equal(t, "sixteen bytes ok", string(dec))
	}
}

func TestSecretsAreCleared(t *testing.T) {
	s := loadVectors(t).secret(t, PINProtocol2)
	s.Clear()
	require.Equal(t, make([]byte, 64), s.key)
	token := &Token{protocol: PINProtocol2, key: []byte{1, 2, 3}}
	token.Clear()
	require.Equal(t, []byte{0, 0, 0}, token.key)
}

// Whoever prints them, or what holds them, learns nothing.
func TestSecretsAreNotPrinted(t *testing.T) {
	key := []byte{0xfb, 0xce, 0xb0, 0x0c}
	token, secret := &Token{protocol: PINProtocol2, key: key}, &SharedSecret{protocol: PINProtocol2, key: key}
	for _, v := range []any{token, secret, &BioEnrollment{Token: token}, []any{token, secret}, map[int]*Token{1: token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o"} {
			printed := strings.ToLower(fmt.Sprintf(verb, v))
			for _, part := range []string{"251 206", "fbce", "fb ce", "0xfb, 0xce", "373 316", "\xfb\xce", `\xfb\xce`} {
				require.NotContains(t, printed, part, verb)
			}
		}
	}
	require.Equal(t, "<token of PIN/UV auth protocol 2>", fmt.Sprint(token))
	require.Equal(t, "<shared secret of PIN/UV auth protocol 2>", fmt.Sprint(secret))
}

func TestTheLongestPINIsSent(t *testing.T) {
	sent := 0
	c := Client{Transport: transportFunc(func([]byte) ([]byte, error) { sent++; return []byte{0}, nil })}
	secret := loadVectors(t).secret(t, PINProtocol2)
	pin := make([]byte, 63)
	require.NoError(t, c.SetPIN(t.Context(), secret, pin))
	require.NoError(t, c.ChangePIN(t.Context(), secret, pin, pin))
	require.Equal(t, 2, sent)
}

func TestMakeCredentialResponse(t *testing.T) {
	c := Client{Transport: hexAnswer(t, "00a5 01 64 6e6f6e65 02 41 07 03a0 04f5 05 42 0102")}
	resp, err := c.MakeCredential(t.Context(), &MakeCredentialRequest{})
	require.NoError(t, err)
	require.Equal(t, &MakeCredentialResponse{
		Format: "none", AuthData: []byte{7}, AttStmt: ctapcbor.RawMessage{0xa0},
		EnterpriseAttestation: true, LargeBlobKey: []byte{1, 2},
	}, resp)
	c.Transport = hexAnswer(t, "00a1 01 64 6e6f6e65")
	_, err = c.MakeCredential(t.Context(), &MakeCredentialRequest{})
	require.ErrorIs(t, err, ErrInvalidResponse)
}

// A name that the authenticator cut in the middle of a character does not cost the assertion.
func TestTruncatedUserNameIsAccepted(t *testing.T) {
	c := Client{Transport: hexAnswer(t, "00a3 0241 01 0341 02 04a2 62 6964 41 07 64 6e616d65 62 78c3")}
	resp, err := c.GetAssertion(t.Context(), &GetAssertionRequest{})
	require.NoError(t, err)
	require.Equal(t, &User{ID: []byte{7}, Name: "x\xc3"}, resp.User)
}

// The probe that asks for a touch only has an empty pinUvAuthParam, which must not vanish.
func TestEmptyPINUVAuthParamIsSent(t *testing.T) {
	b, err := ctapcbor.Marshal(&MakeCredentialRequest{PINUVAuthParam: []byte{}})
	require.NoError(t, err)
	var keys map[int]ctapcbor.RawMessage
	require.NoError(t, ctapcbor.Unmarshal(b, &keys))
	require.Equal(t, ctapcbor.RawMessage{0x40}, keys[8])
	require.NotContains(t, keys, 9)
	require.NotContains(t, keys, 7, "no options")
	require.NotContains(t, keys, 6, "no extensions")
}
