package virtual

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

func TestStateSurvivesRestart(t *testing.T) {
	t.Parallel()
	config := Config{StateFile: filepath.Join(t.TempDir(), "key.json"), Attestation: AttestationBasic}
	key, client := newKeyWithPIN(t, config)
	root := key.AttestationRoot()
	sealed := register(t, client, newRequest())
	stored := passkey(t, client, 1, newToken(t, client, 2))
	rsaRequest := newRequest()
	rsaRequest.PubKeyCredParams = params(cose.RS256)
	rsa := register(t, client, rsaRequest)
	resp, err := client.GetAssertion(t.Context(), ask(sealed.Credential.ID))
	require.NoError(t, err)
	counter := checkAssertion(t, resp, sealed.Credential.PublicKey).SignCount
	secret := secretsOf(t, client, 2, ask(sealed.Credential.ID), make([]byte, 32))
	require.ErrorIs(t, tryPIN(t, client, wrongPIN), ctap2.ErrPINInvalid)

	require.NoError(t, key.Close())
	key, client = newKey(t, config)
	require.Equal(t, 2, key.Credentials())
	require.Equal(t, root, key.AttestationRoot())
	requireRetries(t, client, 7, false)
	for _, made := range []*ctap2.AuthenticatorData{sealed, stored, rsa} {
		resp, err := client.GetAssertion(t.Context(), ask(made.Credential.ID))
		require.NoError(t, err)
		data := checkAssertion(t, resp, made.Credential.PublicKey)
		require.Greater(t, data.SignCount, counter)
		counter = data.SignCount
	}
	require.Equal(t, secret, secretsOf(t, client, 2, ask(sealed.Credential.ID), make([]byte, 32)))
	resp, err = client.GetAssertion(t.Context(), askWithToken(newToken(t, client, 2)))
	require.NoError(t, err)
	require.Equal(t, &ctap2.User{ID: []byte{1}, Name: "b"}, resp.User)

	require.NoError(t, key.Close())
	config.AAGUID = ctap2.AAGUID{9}
	key, _ = newKey(t, config)
	require.NotEqual(t, root, key.AttestationRoot(), "certified for its own AAGUID")
}

// The settings, the fingerprints and all that getInfo shows of them are the same after a restart.
func TestSettingsSurviveRestart(t *testing.T) {
	t.Parallel()
	config := fullConfig(t)
	key, client := newKeyWithPIN(t, config)
	enrol(t, client, defaultEnrollSamples)
	bio := fingers(t, client)
	list, err := bio.Enrollments(t.Context())
	require.NoError(t, err)
	require.NoError(t, bio.SetFriendlyName(t.Context(), list[0].ID, "index"))
	c := configurator(t, client)
	require.NoError(t, c.EnableEnterpriseAttestation(t.Context()))
	require.NoError(t, c.EnableLongTouchForReset(t.Context()))
	require.NoError(t, c.ToggleAlwaysUV(t.Context()))
	require.NoError(t, c.SetMinPINLength(t.Context(), ctap2.SetMinPINLengthParams{
		NewMinPINLength: 7, RPIDs: []string{testRP.ID}, PINComplexityPolicy: true,
	}))
	before, state := getInfo(t, client), key.state

	require.NoError(t, key.Close())
	key, client = newKey(t, config)
	after := getInfo(t, client)
	after.EncIdentifier, after.EncCredStoreState = before.EncIdentifier, before.EncCredStoreState // never the same
	require.Equal(t, before, after)
	require.Equal(t, state, key.state)
	require.True(t, after.ForcePINChange)
	require.EqualValues(t, 7, after.MinPINLength)
}

// fullConfig is that of a key which has everything and keeps it in a file.
func fullConfig(t *testing.T) Config {
	t.Helper()
	config := Preset23.Config()
	config.StateFile = filepath.Join(t.TempDir(), "key.json")
	return config
}

// oldState is of a key that knew nothing of fingerprints and settings. Its PIN is [pin].
const oldState = `{
	"version": 1,
	"secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	"signCount": 41,
	"pinHash": "A6xnQhbz4Vx2HuGl4lXwZw==",
	"pinRetries": 8,
	"uvRetries": 3,
	"credentials": []
}
`

func TestOldStateFileIsLoaded(t *testing.T) {
	t.Parallel()
	config := fullConfig(t)
	require.NoError(t, os.WriteFile(config.StateFile, []byte(oldState), 0o600))
	key, client := newKey(t, config)
	identifier := key.state.identifier()
	require.EqualValues(t, 41, key.state.SignCount)
	require.NoError(t, tryPIN(t, client, pin))
	require.NoError(t, configurator(t, client).SetMinPINLength(t.Context(), ctap2.SetMinPINLengthParams{NewMinPINLength: 5}))
	require.True(t, getInfo(t, client).ForcePINChange, "the PIN may have four characters")
	require.NoError(t, key.Close())
	key, _ = newKey(t, config)
	require.Equal(t, identifier, key.state.identifier())
}

func TestStateFileIsPrivateAndAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.json")
	key, client := newKey(t, Config{StateFile: path})
	passkey(t, client, 1, nil)
	require.NoError(t, key.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "neither a temporary file nor the lock left behind")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

func TestStateFileThatIsCorruptIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.json")
	key, client := newKeyWithPIN(t, Config{StateFile: path, Attestation: AttestationBasic})
	passkey(t, client, 1, newToken(t, client, 2))
	require.NoError(t, key.Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)

	edit := func(change func(s *state)) []byte {
		s, err := parseState(good)
		require.NoError(t, err)
		change(s)
		b, err := json.Marshal(s)
		require.NoError(t, err)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                 {},
		"cut":                   good[:len(good)/2],
		"zeroed":                make([]byte, len(good)),
		"twice":                 append(bytes.Clone(good), good...),
		"another program's":     []byte(`{"name":"x"}`),
		"null":                  []byte(`null`),
		"newer":                 edit(func(s *state) { s.Version++ }),
		"short secret":          edit(func(s *state) { s.Secret = s.Secret[1:] }),
		"short PIN hash":        edit(func(s *state) { s.PINHash = s.PINHash[1:] }),
		"too many retries":      edit(func(s *state) { s.PINRetries = 9 }),
		"negative retries":      edit(func(s *state) { s.UVRetries = -1 }),
		"no credential":         edit(func(s *state) { s.Credentials[0] = nil }),
		"short ID":              edit(func(s *state) { s.Credentials[0].ID = []byte{1} }),
		"broken key":            edit(func(s *state) { s.Credentials[0].PrivateKey = make([]byte, 32) }),
		"unknown algorithm":     edit(func(s *state) { s.Credentials[0].Algorithm = -999 }),
		"credProtect":           edit(func(s *state) { s.Credentials[0].CredProtect = 4 }),
		"no fingerprint":        edit(func(s *state) { s.Fingerprints = []*fingerprint{nil} }),
		"fingerprint unnamed":   edit(func(s *state) { s.Fingerprints = []*fingerprint{{Finger: "x"}} }),
		"minimum of 64":         edit(func(s *state) { s.Settings.MinPINLength = 64 }),
		"broken certificate":    edit(func(s *state) { s.Attestation.Certificate = []byte{1} }),
		"broken attesting key":  edit(func(s *state) { s.Attestation.PrivateKey = nil }),
		"certificate left away": edit(func(s *state) { s.Attestation.Root = nil }),
	} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, err := New(Config{StateFile: path})
		require.ErrorContains(t, err, "virtual: state file "+path+" is corrupt", name)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b, after), "%s: it is the user's to repair", name)
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	newKey(t, Config{StateFile: path})
}

func TestStateFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "key.json")
	_, err := New(Config{StateFile: path})
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	key, client := newKey(t, Config{StateFile: path})
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	req := newRequest()
	req.Options.ResidentKey = true
	_, err = client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrOther)
	require.Zero(t, key.Credentials(), "what is not on the disk is not there")
	require.ErrorIs(t, client.SetPIN(t.Context(), agree(t, client, 2), pin), ctap2.ErrOther)
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.False(t, info.Options["clientPin"])
}

func FuzzParseState(f *testing.F) {
	seed, err := json.Marshal(newState(new(Config)))
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"version":1,"secret":"","credentials":[null]}`))
	f.Add([]byte(`null`))
	f.Add([]byte(oldState))
	full := newState(new(Config))
	full.Fingerprints = []*fingerprint{{ID: []byte{1}, Finger: "thumb", Name: "x"}}
	full.Settings = settings{MinPINLength: 8, MinPINLengthRPIDs: []string{testRP.ID}, ToggledAlwaysUV: true}
	seed, err = json.Marshal(full)
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		require.NoError(t, err)
		same, err := parseState(again)
		require.NoError(t, err)
		require.Equal(t, s, same)
	})
}

func TestSealedCredentialsOpenOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s := newState(new(Config))
	org, com := sha256.Sum256([]byte("example.org")), sha256.Sum256([]byte("example.com"))
	c := &credential{Algorithm: cose.ES256, PrivateKey: bytes.Repeat([]byte{7}, 32), CredProtect: 2}
	c.ID = s.seal(c, org)
	require.Equal(t, c, s.unseal(c.ID, org))
	require.Nil(t, s.unseal(c.ID, com))
	require.Nil(t, newState(new(Config)).unseal(c.ID, org))
	for i := range c.ID {
		broken := bytes.Clone(c.ID)
		broken[i] ^= 1
		require.Nil(t, s.unseal(broken, org))
		require.Nil(t, s.unseal(c.ID[:i], org))
	}
}
