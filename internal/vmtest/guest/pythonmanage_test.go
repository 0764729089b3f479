package guest

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// forPresets runs a test for keys of some classes on the USB bus.
func forPresets(t *testing.T, presets []virtual.Preset, test func(*testing.T, *softKey)) {
	for _, preset := range presets {
		t.Run(string(preset), func(t *testing.T) { test(t, attachSoftKey(t, preset.Config())) })
	}
}

// pythonInfo is what python3-fido2 reads of getInfo.
type pythonInfo struct {
	Versions, Extensions []string
	Options              map[string]bool
	AAGUID               hexBytes
	MaxMsgSize           uint64
	PINUVAuthProtocols   []ctap2.PINProtocol
	Algorithms           []cose.Algorithm
	MinPINLength         uint64
	ForcePINChange       bool
}

func asPythonReads(i *ctap2.Info) pythonInfo {
	p := pythonInfo{
		Versions: i.Versions, Extensions: i.Extensions, Options: i.Options, AAGUID: i.AAGUID[:], MaxMsgSize: i.MaxMsgSize,
		PINUVAuthProtocols: i.PINUVAuthProtocols, MinPINLength: i.MinPINLength, ForcePINChange: i.ForcePINChange,
		Algorithms: []cose.Algorithm{},
	}
	for _, a := range i.Algorithms {
		p.Algorithms = append(p.Algorithms, a.Algorithm)
	}
	return p
}

// TestPythonManagesPIN sets, mistypes and changes the PIN with python3-fido2, with the one PIN protocol of old keys and
// without permissions, too.
func TestPythonManagesPIN(t *testing.T) {
	p := startPython(t)
	presets := []virtual.Preset{virtual.Preset20PIN, virtual.Preset21Pre, virtual.Preset21, virtual.Preset23}
	forPresets(t, presets, func(t *testing.T, key *softKey) {
		const first = "пароль"
		p.call(t, nil, key, "set_pin", first)
		var info pythonInfo
		p.call(t, &info, key, "info")
		require.Equal(t, asPythonReads(softKeyInfo(t, key)), info)
		require.True(t, info.Options["clientPin"])

		require.Equal(t, "PIN_INVALID", p.refused(t, key, "change_pin", "wrong pin", pin))
		requireRetries(t, key, 7)
		p.call(t, nil, key, "change_pin", first, pin)
		var left int
		p.call(t, &left, key, "pin_retries")
		require.Equal(t, 8, left)
		require.NoError(t, registerPasskey(t, key, "ada"), "keyfob knows the same PIN")
		require.Equal(t, 1, key.Credentials())

		p.call(t, nil, key, "reset")
		require.False(t, softKeyInfo(t, key).Options["clientPin"])
		require.Zero(t, key.Credentials())
	})
}

// registerPasskey makes a passkey with keyfob's library.
func registerPasskey(t *testing.T, key *softKey, user string) error {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	largeBlobs, _ := a.Info().Option("largeBlobs")
	_, err := a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash:   newHash(),
		RP:               ctap2.RelyingParty{ID: rpID, Name: "Example"},
		User:             ctap2.User{ID: []byte(user), Name: user, DisplayName: user},
		Algorithms:       []cose.Algorithm{cose.ES256},
		ResidentKey:      true,
		UserVerification: authenticator.UVRequired,
		LargeBlobKey:     largeBlobs,
	})
	return err
}

// pythonPasskeys is what python3-fido2 lists.
type pythonPasskeys struct {
	Existing, Remaining int
	RPs                 []pythonRP
}

type pythonRP struct {
	ID          string
	Hash        hexBytes
	Credentials []pythonPasskey
}

type pythonPasskey struct {
	ID                hexBytes
	User              hexBytes
	Name, DisplayName string
	X                 hexBytes // coordinate of its public key
	Protection        uint
	LargeBlobKey      hexBytes
}

// listWithBoth lists the passkeys with python3-fido2 and with keyfob's library, which must agree.
func listWithBoth(t *testing.T, p *python, key *softKey) []pythonPasskey {
	t.Helper()
	var theirs pythonPasskeys
	p.call(t, &theirs, key, "passkeys", pin)
	require.Equal(t, listAsPython(t, key), theirs)
	require.Len(t, theirs.RPs, 1)
	return theirs.RPs[0].Credentials
}

func listAsPython(t *testing.T, key *softKey) pythonPasskeys {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	ours := pythonPasskeys{Existing: list.Existing, Remaining: list.Remaining}
	for _, rp := range list.RelyingParties {
		r := pythonRP{ID: rp.RP.ID, Hash: rp.RPIDHash[:]}
		for _, c := range rp.Credentials {
			point, err := c.PublicKey.Public.(*ecdsa.PublicKey).Bytes()
			require.NoError(t, err)
			r.Credentials = append(r.Credentials, pythonPasskey{
				c.ID, c.User.ID, c.User.Name, c.User.DisplayName, point[1:33], c.CredProtect, c.LargeBlobKey,
			})
		}
		ours.RPs = append(ours.RPs, r)
	}
	return ours
}

// pythonCredential is what python3-fido2 returns of a new credential, pythonAssertion of an assertion.
type (
	pythonCredential struct {
		ID, AuthData, ClientDataHash hexBytes
	}
	pythonAssertion struct {
		ID, AuthData, Signature, ClientDataHash, User, LargeBlobKey hexBytes
	}
)

// TestPythonManagesPasskeys makes, uses, lists, renames and deletes passkeys with python3-fido2, with the preview's
// command, too; keyfob's library makes another one and lists the same.
func TestPythonManagesPasskeys(t *testing.T) {
	p := startPython(t)
	presets := []virtual.Preset{virtual.Preset21Pre, virtual.Preset21, virtual.Preset23}
	forPresets(t, presets, func(t *testing.T, key *softKey) {
		setPIN(t, key, pin)
		var made pythonCredential
		p.call(t, &made, key, "register", pin, "ada", true)
		data, err := webauthn.ParseAuthenticatorData(made.AuthData)
		require.NoError(t, err)
		require.NoError(t, registerPasskey(t, key, "grace"))

		var signed []pythonAssertion
		p.call(t, &signed, key, "sign", pin)
		require.Len(t, signed, 2)
		require.Equal(t, []string{"grace", "ada"}, []string{string(signed[0].User), string(signed[1].User)})
		ada := signed[1]
		public := data.Credential.PublicKey
		require.NoError(t, webauthn.VerifySignature(public, ada.AuthData, ada.ClientDataHash, ada.Signature))

		require.Len(t, listWithBoth(t, p, key), 2)
		if softKeyInfo(t, key).Options["credMgmt"] {
			p.call(t, nil, key, "rename", pin, hex.EncodeToString(made.ID), "ada", "lovelace")
			renamed := listWithBoth(t, p, key)[0]
			require.Equal(t, "lovelace", renamed.Name)
			require.Equal(t, "Lovelace", renamed.DisplayName)
		}
		p.call(t, nil, key, "delete", pin, hex.EncodeToString(made.ID))
		require.Equal(t, "NO_CREDENTIALS", p.refused(t, key, "delete", pin, hex.EncodeToString(made.ID)))
		left := listWithBoth(t, p, key)
		require.Len(t, left, 1)
		require.Equal(t, "grace", left[0].Name)
	})
}

// TestPythonManagesFingerprints enrols, lists and removes fingers with python3-fido2, with the preview's command, too;
// keyfob's library lists the same, and the finger is as good as the PIN.
func TestPythonManagesFingerprints(t *testing.T) {
	p := startPython(t)
	for name, config := range map[string]virtual.Config{
		"2.1-pre": {Version: virtual.CTAP21Pre}, "2.1": {}, "2.3": {Version: virtual.CTAP23},
	} {
		t.Run(name, func(t *testing.T) {
			var samples fingerSamples
			config.EnrollSamples, config.Finger = 2, samples.next
			key := attachSoftKey(t, config)
			setPIN(t, key, pin)
			managesFingerprints(t, p, key, &samples)
		})
	}
}

// fingerSamples is what the reader sees next, and then a good thumb for ever.
type fingerSamples []virtual.Sample

func (s *fingerSamples) next(context.Context, virtual.Prompt) (virtual.Sample, error) {
	if len(*s) == 0 {
		return virtual.Sample{Finger: "thumb"}, nil
	}
	first := (*s)[0]
	*s = (*s)[1:]
	return first, nil
}

func managesFingerprints(t *testing.T, p *python, key *softKey, samples *fingerSamples) {
	t.Helper()
	var sensor [][2]int
	p.call(t, &sensor, key, "sensor")
	require.Equal(t, [][2]int{{2, 1}, {3, 2}}, sensor[:2], "touched, two samples")
	p.call(t, nil, key, "cancel_enrolling", pin)
	require.Empty(t, fingersOfBoth(t, p, key))

	*samples = fingerSamples{{Finger: "thumb"}, {Finger: "thumb", Status: ctap2.SampleTooLeft}}
	var enrolled struct {
		ID   hexBytes
		Said []string
	}
	p.call(t, &enrolled, key, "enroll", pin, "my thumb")
	require.Equal(t, []string{"FP_GOOD", "FP_TOO_LEFT", "FP_GOOD"}, enrolled.Said)
	id := hex.EncodeToString(enrolled.ID)
	require.Equal(t, map[string]string{id: "my thumb"}, fingersOfBoth(t, p, key))

	require.NoError(t, registerPasskey(t, key, "ada"))
	var signed []pythonAssertion
	p.call(t, &signed, key, "sign", nil)
	require.Len(t, signed, 1)
	data, err := webauthn.ParseAuthenticatorData(signed[0].AuthData)
	require.NoError(t, err)
	require.True(t, data.Flags.Has(ctap2.FlagUV))

	requireUVRetries(t, p, key)

	p.call(t, nil, key, "remove_finger", pin, id)
	require.Empty(t, fingersOfBoth(t, p, key))
	require.False(t, softKeyInfo(t, key).Options["uv"])
}

// requireUVRetries asks python3-fido2 and keyfob's library how many wrong fingers the key still takes.
func requireUVRetries(t *testing.T, p *python, key *softKey) {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	ours, err := a.UVRetries(t.Context())
	require.NoError(t, err)
	require.Positive(t, ours)
	var theirs int
	p.call(t, &theirs, key, "uv_retries")
	require.Equal(t, ours, theirs)
}

// fingersOfBoth lists the names of the enrolled fingers by their IDs, on which python3-fido2 and keyfob's library must
// agree.
func fingersOfBoth(t *testing.T, p *python, key *softKey) map[string]string {
	t.Helper()
	var theirs map[string]string
	p.call(t, &theirs, key, "fingers", pin)
	a := openSoftKey(t, key)
	defer a.Close()
	list, err := a.Fingerprints(t.Context())
	require.NoError(t, err)
	ours := map[string]string{}
	for _, finger := range list {
		ours[hex.EncodeToString(finger.ID)] = finger.FriendlyName
	}
	require.Equal(t, ours, theirs)
	return theirs
}

// TestPythonKeepsLargeBlobs has python3-fido2 and keyfob's library read each other's large blobs and leave each other's
// in place. What keyfob compresses as the specification wants it, python3-fido2 0.9 decrypts but can't decompress.
func TestPythonKeepsLargeBlobs(t *testing.T) {
	p := startPython(t)
	forPresets(t, []virtual.Preset{virtual.Preset21, virtual.Preset23}, func(t *testing.T, key *softKey) {
		setPIN(t, key, pin)
		for _, user := range []string{"ada", "grace"} {
			p.call(t, new(pythonCredential), key, "register", pin, user, true)
		}
		both := listWithBoth(t, p, key)
		ada, grace := hex.EncodeToString(both[0].LargeBlobKey), hex.EncodeToString(both[1].LargeBlobKey)
		p.call(t, nil, key, "put_blob", pin, ada, "blob of Python")
		require.Equal(t, "blob of Python", string(readLargeBlob(t, key, both[0].LargeBlobKey)))

		a := openSoftKey(t, key)
		require.NoError(t, a.SetLargeBlob(t.Context(), both[1].LargeBlobKey, []byte("blob of keyfob")))
		require.NoError(t, a.Close())
		var blob *string
		p.call(t, &blob, key, "get_raw_blob", grace)
		require.Equal(t, "blob of keyfob", *blob)
		p.call(t, &blob, key, "get_blob", grace)
		require.Nil(t, blob)
		p.call(t, &blob, key, "get_blob", ada)
		require.Equal(t, "blob of Python", *blob)

		p.call(t, nil, key, "delete_blob", pin, ada)
		require.Nil(t, readLargeBlob(t, key, both[0].LargeBlobKey))
		require.Equal(t, "blob of keyfob", string(readLargeBlob(t, key, both[1].LargeBlobKey)))
	})
}

// readLargeBlob reads a large blob with keyfob's library; nil if there is none.
func readLargeBlob(t *testing.T, key *softKey, secret []byte) []byte {
	t.Helper()
	a := openSoftKey(t, key)
	defer a.Close()
	blobs, err := a.LargeBlobs(t.Context())
	require.NoError(t, err)
	blob, _, err := blobs.Get(secret)
	require.NoError(t, err)
	return blob
}

// TestPythonConfigures changes the settings that python3-fido2 knows; keyfob's library sees them.
func TestPythonConfigures(t *testing.T) {
	p := startPython(t)
	forPresets(t, []virtual.Preset{virtual.Preset21, virtual.Preset23}, func(t *testing.T, key *softKey) {
		setPIN(t, key, pin)
		p.call(t, nil, key, "toggle_always_uv", pin)
		require.True(t, softKeyInfo(t, key).Options["alwaysUv"])
		p.call(t, nil, key, "toggle_always_uv", pin)
		require.False(t, softKeyInfo(t, key).Options["alwaysUv"])

		p.call(t, nil, key, "configure", pin, 9, []string{rpID}, nil)
		require.EqualValues(t, 9, softKeyInfo(t, key).MinPINLength)
		require.Equal(t, "PIN_POLICY_VIOLATION", p.refused(t, key, "change_pin", pin, "8 digits"))
		p.call(t, nil, key, "configure", pin, nil, nil, true)
		require.True(t, softKeyInfo(t, key).ForcePINChange)
		p.call(t, nil, key, "change_pin", pin, "another pin")
		var info pythonInfo
		p.call(t, &info, key, "info")
		require.Equal(t, asPythonReads(softKeyInfo(t, key)), info)
	})
}
