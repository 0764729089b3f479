package guest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

const newPIN = "another pin" // what command lines change the PIN to

// borrowed is a key that lives longer than who uses it.
type borrowed struct {
	ctap2.Transport
	u2f ctap1.Transport
}

func (b borrowed) Msg(ctx context.Context, request []byte) ([]byte, error) {
	return b.u2f.Msg(ctx, request)
}

// inProcess uses a key without a wire.
func inProcess(t *testing.T, key *virtual.Authenticator, pins ...string) *authenticator.Authenticator {
	t.Helper()
	ui := &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) {
			if len(pins) == 0 {
				return nil, authenticator.ErrPINRequired
			}
			next := pins[0]
			pins = pins[1:]
			return []byte(next), nil
		},
	}
	a, err := authenticator.New(t.Context(), borrowed{key, key}, ui)
	require.NoError(t, err)
	return a
}

// toolStates are the keys of the differential suite, and what there is on them.
type toolStates struct {
	keys                    map[string]*keyState
	ada, bob, carl, wrapped *authenticator.Credential // on "full"
	finger                  []byte                    // on "bio"
}

func newToolStates(t *testing.T) *toolStates {
	t.Helper()
	s := &toolStates{keys: map[string]*keyState{}}
	empty := func(*virtual.Authenticator) {}
	onlyPIN := func(key *virtual.Authenticator) {
		require.NoError(t, inProcess(t, key).SetPIN(t.Context(), []byte(pin)))
	}
	s.keys["fresh"] = newKeyState(t, virtual.Preset21.Config(), empty)
	s.keys["none"] = newKeyState(t, virtual.Preset20.Config(), empty)
	s.keys["u2f"] = newKeyState(t, virtual.PresetU2F.Config(), empty)
	s.keys["old"] = newKeyState(t, virtual.Preset20PIN.Config(), onlyPIN)
	s.keys["pre"] = newKeyState(t, virtual.Preset21Pre.Config(), onlyPIN)
	s.keys["always"] = newKeyState(t, virtual.Preset21AlwaysUV.Config(), onlyPIN)
	s.keys["full"] = newKeyState(t, virtual.Preset21.Config(), func(key *virtual.Authenticator) { s.fill(t, key) })
	s.keys["bio"] = s.newBiometric(t, onlyPIN)
	return s
}

// newBiometric is a key that knows a finger, and gets another one to enrol.
func (s *toolStates) newBiometric(t *testing.T, setPIN func(*virtual.Authenticator)) *keyState {
	t.Helper()
	c, enrolled := virtual.PresetBiometric.Config(), false
	c.Finger = func(_ context.Context, p virtual.Prompt) (virtual.Sample, error) {
		if enrolled && (p.Command == ctap2.CommandBioEnrollment || p.Command == ctap2.CommandBioEnrollmentPreview) {
			return virtual.Sample{Finger: "thumb"}, nil
		}
		return virtual.Sample{Finger: "index"}, nil
	}
	return newKeyState(t, c, func(key *virtual.Authenticator) {
		setPIN(key)
		a, err := inProcess(t, key, pin), error(nil)
		s.finger, err = a.EnrollFingerprint(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, a.RenameFingerprint(t.Context(), s.finger, "index"))
		enrolled = true
	})
}

// fill puts passkeys of two relying parties, a large blob, and a PIN on a key, and makes a credential that is not on it.
func (s *toolStates) fill(t *testing.T, key *virtual.Authenticator) {
	t.Helper()
	register := func(o authenticator.CredentialOptions, rp, user, display string) *authenticator.Credential {
		o.ClientDataHash, o.RP.ID = newHash(), rp
		o.User = ctap2.User{ID: []byte("id of " + user), Name: user, DisplayName: display}
		c, err := inProcess(t, key, pin).MakeCredential(t.Context(), &o)
		require.NoError(t, err)
		return c
	}
	require.NoError(t, inProcess(t, key).SetPIN(t.Context(), []byte(pin)))
	s.ada = register(authenticator.CredentialOptions{ResidentKey: true, HMACSecret: true, LargeBlobKey: true}, rpID, "ada", "Ada L")
	s.bob = register(authenticator.CredentialOptions{ResidentKey: true, CredProtect: 2}, rpID, "bob", "")
	s.carl = register(authenticator.CredentialOptions{ResidentKey: true, LargeBlobKey: true}, "other.test", "carl", "Carl")
	s.wrapped = register(authenticator.CredentialOptions{HMACSecret: true}, rpID, "dora", "")
	require.NoError(t, inProcess(t, key, pin).SetLargeBlob(t.Context(), s.ada.LargeBlobKey, []byte("ada's blob")))
}

// summary describes what a key holds, as far as that is not random.
func summary(t *testing.T, key *virtual.Authenticator) string {
	t.Helper()
	a := inProcess(t, key, pin, newPIN)
	info := a.Info()
	text := new(strings.Builder)
	fmt.Fprintln(text, info.Options, info.MinPINLength, info.ForcePINChange, key.Credentials())
	retries, powerCycle, err := a.PINRetries(t.Context())
	fmt.Fprintln(text, "retries", retries, powerCycle, err != nil)
	if blobs, err := a.LargeBlobs(t.Context()); err == nil {
		fmt.Fprintln(text, "blobs", blobs.Len())
	}
	if !info.Options["clientPin"] {
		return text.String()
	}
	credentials, err := a.Credentials(t.Context())
	if err != nil {
		fmt.Fprintln(text, "credentials", authenticator.KindOf(err))
		return text.String()
	}
	for _, rp := range credentials.RelyingParties {
		for _, c := range rp.Credentials {
			fmt.Fprintf(text, "%s: %q %q %q %v %d %t\n", rp.RP.ID, c.User.ID, c.User.Name, c.User.DisplayName,
				c.PublicKey.Algorithm, c.CredProtect, c.LargeBlobKey != nil)
		}
	}
	if fingers, err := a.Fingerprints(t.Context()); err == nil {
		for _, f := range fingers {
			fmt.Fprintln(text, "finger", f.FriendlyName)
		}
	}
	return text.String()
}
