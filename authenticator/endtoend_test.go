package authenticator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// Every extension on a key that has them all.
func TestEveryExtension(t *testing.T) {
	config := virtual.Config{Version: virtual.CTAP23, EnterpriseAttestation: true}
	config.PIN = virtual.PINPolicy{Initial: []byte("123456"), MinLength: 6}
	_, ui := answers(t, "123456", "123456", "123456", "123456", "123456")
	a, _ := open(t, config, ui)
	require.NoError(t, a.EnableEnterpriseAttestation(t.Context()))
	require.NoError(t, a.SetMinPINLength(t.Context(), &MinPINLengthOptions{RPIDs: []string{"example.org"}}))
	blob := make([]byte, a.Info().MaxCredBlobLength)
	blob[0] = 1
	cred := register(t, a, func(o *CredentialOptions) {
		o.UserVerification, o.ResidentKey, o.CredProtect = UVRequired, true, ctap2.CredProtectUVRequired
		o.HMACSecretSalts = [][]byte{hash("old"), hash("new")}
		o.CredBlob, o.LargeBlobKey, o.MinPINLength, o.PINComplexityPolicy = blob, true, true, true
		o.ThirdPartyPayment, o.EnterpriseAttestation = true, 2
	})
	require.Len(t, cred.LargeBlobKey, 32)
	require.Equal(t, 6, cred.MinPINLength)
	require.True(t, cred.EnterpriseAttested)

	opts := assertionOptions()
	opts.UserVerification, opts.HMACSecretSalts = UVRequired, [][]byte{hash("new"), hash("old")}
	opts.CredBlob, opts.LargeBlobKey, opts.ThirdPartyPayment = true, true, true
	all, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	got := all[0]
	require.Equal(t, [][]byte{cred.HMACSecrets[1], cred.HMACSecrets[0]}, got.HMACSecrets, "at creation and later")
	require.Equal(t, blob, got.CredBlob)
	require.Equal(t, cred.LargeBlobKey, got.LargeBlobKey)
	require.True(t, got.ThirdPartyPayment)
}

func TestLargeBlobOfTheCredential(t *testing.T) {
	a, _ := open(t, virtual.Config{Version: virtual.CTAP23, Without: []string{"largeBlobs"}}, nil)
	cred := register(t, a, func(o *CredentialOptions) { o.ResidentKey, o.LargeBlob = true, ctap2.LargeBlobRequired })
	require.True(t, cred.LargeBlobSupported)
	plain := register(t, a, nil)
	use := func(cred *Credential, change func(*AssertionOptions)) *Assertion {
		opts := assertionOptions(cred)
		change(opts)
		all, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		return all[0]
	}
	read := func(o *AssertionOptions) { o.LargeBlobRead = true }
	write := func(o *AssertionOptions) { o.LargeBlobWrite = []byte("something large") }
	require.Nil(t, use(cred, read).LargeBlob)
	require.True(t, use(cred, write).LargeBlobWritten)
	require.Equal(t, "something large", string(use(cred, read).LargeBlob))
	require.Nil(t, use(plain, read).LargeBlob)
}

// A key whose PIN was set by somebody else, who wants another.
func TestForcedPINChangeByTheKeysPolicy(t *testing.T) {
	p, c, ui := chooses(t, []string{"123456"}, "123456", "11111111", "abcdefgh")
	config := virtual.Config{Version: virtual.CTAP23}
	config.PIN = virtual.PINPolicy{
		Initial: []byte("123456"), ForceChange: true, MinLength: 6, MaxLength: 8, URL: "https://example.org/policy",
		Complexity: func(pin []byte) bool { return pin[0] != pin[1] },
	}
	a, w := open(t, config, ui)
	w.sent()
	cred, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, []PINReason{PINNeeded}, p.reasons())
	require.Equal(t, []NewPINReason{NewPINForced, NewPINRejected, NewPINRejected}, c.reasons())
	require.Equal(t, 8, c.requests[0].MaxLength)
	require.True(t, c.requests[0].Policy)
	require.Equal(t, "https://example.org/policy", c.requests[0].PolicyURL)
	require.Equal(t, makeCredential, w.commands[len(w.commands)-1])
	before := *a.Info()
	require.NoError(t, a.refresh(t.Context()))
	require.Equal(t, a.Info().ForcePINChange, before.ForcePINChange)
	require.Equal(t, a.Info().Options, before.Options)
}

// Another program makes the key want another PIN: the next operation knows.
func TestPINChangeForcedElsewhere(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})
	_, c, ui := chooses(t, []string{"1234", "1234"}, "5678")
	a, _ := openKey(t, key, ui)
	_, theirs := answers(t, "1234")
	other, _ := openKey(t, key, theirs)
	require.NoError(t, other.SetMinPINLength(t.Context(), &MinPINLengthOptions{ForcePINChange: true}))
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.Equal(t, KindPINPolicy, KindOf(err))
	_, err = a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.Equal(t, []NewPINReason{NewPINForced}, c.reasons())
}

// A key of CTAP 2.1-PRE verifies the user itself for commands that have no option for it.
func TestBuiltInUVOfThePreview(t *testing.T) {
	finger := &reader{}
	a, w := open(t, virtual.Config{Version: virtual.CTAP21Pre, UserVerification: finger.verify}, nil)
	register(t, a, func(o *CredentialOptions) { o.ResidentKey = true })
	finger.used = 0
	w.sent()
	_, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, finger.used)
	var sent ctap2.ClientPINRequest
	require.NoError(t, ctapcbor.Unmarshal(w.requests[1][1:], &sent))
	require.Equal(t, ctap2.SubcommandGetUVTokenWithPermissions, sent.Subcommand)
	require.Zero(t, sent.Permissions, "of which the preview knows nothing")
}

// named is a transport that knows which key it leads to.
type named struct{ *virtual.Authenticator }

func (named) Info() hid.Info { return hid.Info{Path: "/dev/key"} }

func TestTransportNamesTheKey(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	var events []Event
	a, err := New(t.Context(), named{key}, &UI{Notify: func(e Event) { events = append(events, e) }})
	require.NoError(t, err)
	defer a.Close()
	require.Equal(t, "/dev/key", a.Key().Path)
	register(t, a, nil)
	require.Equal(t, Event{Kind: EventTouch, Key: a.Key(), Touch: TouchToRegister}, events[0])
}

// A reset that the key does not speak of afterwards is one all the same.
func TestResetWithoutInfo(t *testing.T) {
	silent := false
	key := keyWithPIN(t, virtual.Config{})
	w := &wire{key: key, lie: func(request, response []byte) []byte {
		if silent && ctap2.Command(request[0]) == getInfo {
			return []byte{byte(ctap2.ErrOther)}
		}
		return response
	}}
	a := openWire(t, w, nil)
	silent = true
	require.ErrorIs(t, a.Reset(t.Context()), ctap2.ErrOther)
	silent = false
	require.NoError(t, a.SetPIN(t.Context(), []byte("5678")), "there is none any more")
}
