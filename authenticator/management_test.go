package authenticator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

const (
	credentialManagement = ctap2.CommandCredentialManagement
	bioEnrollment        = ctap2.CommandBioEnrollment
	largeBlobs           = ctap2.CommandLargeBlobs
	config               = ctap2.CommandConfig
)

// finger is a user who lays down one and the same.
func finger(context.Context, virtual.Prompt) (virtual.Sample, error) {
	return virtual.Sample{Finger: "index"}, nil
}

// fake answers a command in the place of the software key. It returns members, nil for none, or a status.
type fake func(params []byte) any

// answering replaces the answers to some commands, and changes what the key says about itself.
func (w *wire) answering(t *testing.T, info func(*ctap2.Info), fakes map[ctap2.Command]fake) {
	w.lie = func(request, response []byte) []byte {
		cmd := ctap2.Command(request[0])
		if cmd == getInfo {
			return rewrite(t, response, info)
		}
		answer, ok := fakes[cmd]
		if !ok {
			return response
		}
		switch members := answer(request[1:]).(type) {
		case nil:
			return []byte{0}
		case ctap2.Status:
			return []byte{byte(members)}
		default:
			b, err := ctapcbor.Marshal(members)
			require.NoError(t, err)
			return append([]byte{0}, b...)
		}
	}
}

func option(names ...string) func(*ctap2.Info) {
	return func(info *ctap2.Info) {
		for _, name := range names {
			info.Options[name] = true
		}
	}
}

// Nobody is asked for a PIN, and nothing is sent, for what a key cannot do.
func TestManagementIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	t.Parallel()
	operations := map[string]func(a *Authenticator) error{
		"credentials":      func(a *Authenticator) error { _, err := a.Credentials(t.Context()); return err },
		"delete":           func(a *Authenticator) error { return a.DeleteCredential(t.Context(), []byte{1}) },
		"update":           func(a *Authenticator) error { return a.UpdateUser(t.Context(), []byte{1}, ctap2.User{ID: []byte{1}}) },
		"persistent token": func(a *Authenticator) error { _, err := a.PersistentToken(t.Context()); return err },
		"read-only": func(a *Authenticator) error {
			_, err := a.CredentialsReadOnly(t.Context(), make([]byte, 33))
			return err
		},
		"identifier":         func(a *Authenticator) error { _, err := a.Identifier(make([]byte, 33)); return err },
		"state":              func(a *Authenticator) error { _, err := a.CredStoreState(t.Context(), make([]byte, 33)); return err },
		"sensor":             func(a *Authenticator) error { _, err := a.FingerprintSensor(t.Context()); return err },
		"fingerprints":       func(a *Authenticator) error { _, err := a.Fingerprints(t.Context()); return err },
		"enrol":              func(a *Authenticator) error { _, err := a.EnrollFingerprint(t.Context(), nil); return err },
		"rename":             func(a *Authenticator) error { return a.RenameFingerprint(t.Context(), []byte{1}, "x") },
		"remove":             func(a *Authenticator) error { return a.RemoveFingerprint(t.Context(), []byte{1}) },
		"large blobs":        func(a *Authenticator) error { _, err := a.LargeBlobs(t.Context()); return err },
		"set blob":           func(a *Authenticator) error { return a.SetLargeBlob(t.Context(), make([]byte, 32), nil) },
		"delete blob":        func(a *Authenticator) error { return a.DeleteLargeBlob(t.Context(), make([]byte, 32)) },
		"collect blobs":      func(a *Authenticator) error { _, err := a.CollectLargeBlobs(t.Context()); return err },
		"erase blobs":        func(a *Authenticator) error { return a.EraseLargeBlobs(t.Context()) },
		"enterprise":         func(a *Authenticator) error { return a.EnableEnterpriseAttestation(t.Context()) },
		"always UV":          func(a *Authenticator) error { return a.ToggleAlwaysUV(t.Context()) },
		"minimum PIN length": func(a *Authenticator) error { return a.SetMinPINLength(t.Context(), &MinPINLengthOptions{}) },
		"long touch":         func(a *Authenticator) error { return a.EnableLongTouchForReset(t.Context()) },
		"vendor":             func(a *Authenticator) error { return a.VendorPrototype(t.Context(), 7, nil) },
	}
	for name, c := range map[string]virtual.Config{
		"CTAP 2.0": {Version: virtual.CTAP20, PIN: virtual.PINPolicy{Initial: []byte("1234")}},
		"U2F":      virtual.PresetU2F.Config(),
	} {
		key, err := virtual.New(c)
		require.NoError(t, err)
		_, ui := answers(t)
		w := &wire{key: key}
		var transport ctap2.Transport = w
		if c.U2FOnly {
			transport = key
		}
		a, err := New(t.Context(), transport, ui)
		require.NoError(t, err)
		t.Cleanup(func() { a.Close() })
		w.sent()
		for operation, run := range operations {
			err := run(a)
			require.ErrorIs(t, err, ErrUnsupported, "%s: %s", name, operation)
			require.Equal(t, KindUnsupported, KindOf(err))
			require.Empty(t, w.sent(), "%s: %s", name, operation)
		}
	}
}

// One PIN for all management of a kind. It is asked for again when the key has given out another token since.
func TestTheTokenIsKeptWhileTheKeyTakesIt(t *testing.T) {
	t.Parallel()
	key := keyWithPIN(t, virtual.Config{Finger: finger})
	p, ui := answers(t, "1234")
	a, w := openKey(t, key, ui)
	id, err := a.EnrollFingerprint(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, a.RenameFingerprint(t.Context(), id, "index"))
	w.sent()
	fingers, err := a.Fingerprints(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.TemplateInfo{{ID: id, FriendlyName: "index"}}, fingers)
	require.Equal(t, []ctap2.Command{bioEnrollment}, w.sent())
	require.Len(t, p.requests, 1)

	other, _ := openKey(t, key, &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) { return []byte("1234"), nil }})
	register(t, other, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	w.sent()
	require.NoError(t, a.RemoveFingerprint(t.Context(), id))
	require.Equal(t, []ctap2.Command{bioEnrollment, clientPIN, clientPIN, bioEnrollment, getInfo}, w.sent())
}

// What the key no longer takes is not sent, nor kept: it has given out another token, or has another PIN.
func TestTheKeptTokenIsForgottenWithItsEnd(t *testing.T) {
	t.Parallel()
	_, ui := answers(t, "1234", "1234", "4321", "4321")
	a, w := openKey(t, keyWithPIN(t, virtual.Config{Version: virtual.CTAP23}), ui)
	_, err := a.Credentials(t.Context())
	require.NoError(t, err)
	kept := a.kept.token
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, make([]byte, 32), kept.Secret(), "cleared")
	require.NoError(t, a.ChangePIN(t.Context(), []byte("1234"), []byte("4321")))

	_, err = a.Credentials(t.Context())
	require.NoError(t, err)
	kept = a.kept.token
	w.sent()
	_, err = a.PersistentToken(t.Context())
	require.NoError(t, err)
	_, err = a.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, credentialManagement}, w.sent(), "it is no other in this sense")
	require.NoError(t, a.ChangePIN(t.Context(), []byte("4321"), []byte("1234")))
	require.Equal(t, make([]byte, 32), kept.Secret(), "cleared")
}

// A token for one thing is not used for another, and none outlives its Authenticator.
func TestTheKeptTokenIsForItsPermissionsOnly(t *testing.T) {
	t.Parallel()
	p, ui := answers(t, "1234", "1234")
	a, w := openKey(t, keyWithPIN(t, virtual.Config{Finger: finger}), ui)
	_, err := a.Fingerprints(t.Context())
	require.NoError(t, err)
	kept := a.kept.token
	w.sent()
	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, config, getInfo}, w.sent())
	require.Len(t, p.requests, 2)
	require.Equal(t, make([]byte, 32), kept.Secret(), "cleared")
	kept = a.kept.token
	require.NotEqual(t, make([]byte, 32), kept.Secret())
	w.sent()
	require.NoError(t, a.ToggleAlwaysUV(t.Context()))
	require.Equal(t, []ctap2.Command{config, getInfo}, w.sent())
	require.NoError(t, a.Close())
	require.Equal(t, make([]byte, 32), kept.Secret(), "cleared")
}

// decodeParams decodes the parameters of a command with subcommands, and those of the subcommand.
func decodeParams[Request, Params any](t *testing.T, b []byte) (*Request, *Params) {
	t.Helper()
	var raw map[uint64]ctapcbor.RawMessage
	require.NoError(t, ctapcbor.Unmarshal(b, &raw))
	req, params := new(Request), new(Params)
	require.NoError(t, ctapcbor.Unmarshal(b, req))
	for _, key := range []uint64{2, 3} { // subCommandParams are the only map
		if len(raw[key]) > 0 && raw[key][0]>>5 == 5 {
			require.NoError(t, ctapcbor.Unmarshal(raw[key], params))
		}
	}
	return req, params
}

func TestKindsOfManagement(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]Kind{
		ctap2.ErrFPDatabaseFull: KindStoreFull, ctap2.ErrLargeBlobStorageFull: KindStoreFull,
		ctap2.ErrIntegrityFailure: KindProtocol, ctap2.ErrUnauthorizedPermission: KindUnsupported,
		ctap2.ErrPINPolicyViolation: KindPINPolicy, ctap2.ErrLargeBlobArray: KindProtocol, ctap2.ErrLargeBlob: KindProtocol,
	} {
		require.Equal(t, want, KindOf(err), "%v", err)
	}
}
