package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

const (
	pin      = "1234"
	exported = `{"type":"systemd-fido2","keyslots":["1"],"fido2-credential":"AAEC",` +
		`"fido2-salt":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","fido2-rp":"io.systemd.cryptsetup",` +
		`"fido2-clientPin-required":false,"fido2-up-required":true,"fido2-uv-required":false}`
)

func TestParseTokens(t *testing.T) {
	t.Parallel()
	without := func(member string) string { return strings.Replace(exported, member, "x", 1) }
	for name, tt := range map[string]struct {
		metadata string
		rpIDs    []string
		err      string
	}{
		"exported":               {exported, []string{defaultRPID}, ""},
		"exported of others":     {`{"type":"luks2-keyring"}`, nil, "no token of a security key"},
		"one of two":             {`{"tokens":{"1":` + exported + `,"0":{"type":"luks2-keyring","fido2-salt":0}}}`, []string{defaultRPID}, ""},
		"without RP":             {`{"tokens":{"1":` + without("fido2-rp") + `}}`, []string{defaultRPID}, ""},
		"of homed":               {strings.Replace(exported, "cryptsetup", "home", 1), []string{"io.systemd.home"}, ""},
		"that opens nothing":     {`{"tokens":{"1":` + strings.Replace(exported, `["1"]`, "[]", 1) + `}}`, nil, ""},
		"without keyslots":       {`{"tokens":{"1":` + without("keyslots") + `}}`, nil, ""},
		"without salt":           {`{"tokens":{"1":` + without("fido2-salt") + `}}`, nil, `token "1": without a credential`},
		"without credential":     {without("fido2-credential"), nil, "without a credential"},
		"tokens of another kind": {`{"tokens":[]}`, nil, "metadata"},
	} {
		volume := []byte(tt.metadata)
		if !strings.HasPrefix(tt.metadata, `{"type"`) {
			volume = volumeOf(16<<10, "{}", tt.metadata)
		}
		tokens, err := parseTokens(bytes.NewReader(volume))
		if tt.err != "" {
			require.ErrorContains(t, err, tt.err, name)
			continue
		}
		require.NoError(t, err, name)
		var rpIDs []string
		for _, tok := range tokens {
			rpIDs = append(rpIDs, tok.RPID)
		}
		require.Equal(t, tt.rpIDs, rpIDs, name)
	}
}

func TestQuestionWantsOneRelyingParty(t *testing.T) {
	t.Parallel()
	_, err := question(nil)
	require.ErrorContains(t, err, "no security key is enrolled")
	_, err = question([]token{{RPID: "a"}, {RPID: "b"}})
	require.ErrorContains(t, err, "different relying parties")
}

// enrolled is a key with a credential as systemd-cryptenroll makes it, its token, and the secret.
type enrolled struct {
	key    *virtual.Authenticator
	token  token
	secret []byte
}

func enroll(t *testing.T, pinRequired bool) enrolled {
	t.Helper()
	key, err := virtual.New(virtual.Config{PIN: virtual.PINPolicy{Initial: []byte(pin)}})
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	a, err := authenticator.New(t.Context(), unclosed{key}, &authenticator.UI{PIN: pinFrom(pinFile(t, pin))})
	require.NoError(t, err)
	defer a.Close()
	hash := make([]byte, 32)
	cred, err := a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash: hash, RP: ctap2.RelyingParty{ID: defaultRPID}, User: ctap2.User{ID: []byte("volume")}, HMACSecret: true,
	})
	require.NoError(t, err)
	opts := &authenticator.AssertionOptions{
		RPID: defaultRPID, ClientDataHash: hash, AllowList: [][]byte{cred.ID}, HMACSecretSalts: [][]byte{hash},
	}
	if pinRequired {
		opts.UserVerification = authenticator.UVRequired
	}
	assertions, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	return enrolled{key, token{
		Type: tokenType, Keyslots: []string{"1"}, Credential: cred.ID, Salt: hash, RPID: defaultRPID, PINRequired: pinRequired,
	}, assertions[0].HMACSecrets[0]}
}

// unclosed is a key that outlives its Authenticator.
type unclosed struct{ ctap2.Transport }

func pinFile(t *testing.T, pin string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(path, []byte(pin+"\n"), 0o600))
	return path
}

// volume writes a volume for which the keys are enrolled to a file.
func volume(t *testing.T, keys ...enrolled) string {
	t.Helper()
	tokens := map[string]token{}
	for i, key := range keys {
		tokens[strconv.Itoa(i)] = key.token
	}
	metadata, err := json.Marshal(map[string]any{"tokens": tokens})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.WriteFile(path, volumeOf(16<<10, "{}", string(metadata)), 0o600))
	return path
}

func client(hub *virtual.Hub, pin askPIN) *authenticator.Client {
	ui := &authenticator.UI{PIN: pin, Notify: tell}
	return &authenticator.Client{UI: ui, Watch: hub.Watch, Open: hub.Open}
}

func TestPrintsTheSecretOfTheKeyThatIsThere(t *testing.T) {
	t.Parallel()
	keys := []enrolled{enroll(t, false), enroll(t, true)}
	path := volume(t, keys...)
	for _, key := range keys {
		hub := &virtual.Hub{}
		hub.Plug(key.key)
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), client(hub, pinFrom(pinFile(t, pin))), path, &out))
		require.Equal(t, base64.StdEncoding.EncodeToString(key.secret), out.String())
	}
}

func TestWaitsForALateKey(t *testing.T) {
	t.Parallel()
	key := enroll(t, false)
	hub := &virtual.Hub{}
	c := client(hub, nil)
	c.UI.Notify = func(e authenticator.Event) {
		if e.Kind == authenticator.EventInsert {
			hub.Plug(key.key)
		}
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), c, volume(t, key), &out))
	require.Equal(t, base64.StdEncoding.EncodeToString(key.secret), out.String())
}

func TestTellsAnotherKeyApart(t *testing.T) {
	t.Parallel()
	hub := &virtual.Hub{}
	hub.Plug(enroll(t, false).key)
	var out bytes.Buffer
	err := run(t.Context(), client(hub, nil), volume(t, enroll(t, false)), &out)
	require.Equal(t, authenticator.KindNoMatch, authenticator.KindOf(err))
	require.Zero(t, out.Len())
}

// A PIN from a file is sent once.
func TestSendsAWrongPINOnce(t *testing.T) {
	t.Parallel()
	key := enroll(t, true)
	hub := &virtual.Hub{}
	hub.Plug(key.key)
	var out bytes.Buffer
	err := run(t.Context(), client(hub, pinFrom(pinFile(t, "4321"))), volume(t, key), &out)
	require.ErrorContains(t, err, "the PIN in the file is wrong")
	require.Zero(t, out.Len())
	a, err := authenticator.New(t.Context(), unclosed{key.key}, nil)
	require.NoError(t, err)
	defer a.Close()
	retries, _, err := a.PINRetries(context.Background())
	require.NoError(t, err)
	require.Equal(t, 7, retries)
}

func TestTellsWhichFileIsNoVolume(t *testing.T) {
	t.Parallel()
	path := pinFile(t, "no volume")
	err := run(t.Context(), client(&virtual.Hub{}, nil), path, &bytes.Buffer{})
	require.ErrorIs(t, err, errNoHeader)
	require.ErrorContains(t, err, path)
	require.ErrorIs(t, run(t.Context(), client(&virtual.Hub{}, nil), path+"x", &bytes.Buffer{}), os.ErrNotExist)
}
