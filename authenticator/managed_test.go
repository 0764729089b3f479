package authenticator

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// passkey registers a resident credential for the relying party.
func passkey(t *testing.T, a *Authenticator, rpID string, user byte) *Credential {
	t.Helper()
	return register(t, a, func(o *CredentialOptions) {
		o.RP, o.User, o.ResidentKey = ctap2.RelyingParty{ID: rpID}, ctap2.User{ID: []byte{user}, Name: "jane"}, true
	})
}

// A key of each kind that manages credentials is asked for them, and checks what it is sent.
func TestCredentialsOfKeys(t *testing.T) {
	t.Parallel()
	for _, version := range []virtual.Version{virtual.CTAP21Pre, virtual.CTAP21, virtual.CTAP23} {
		for _, protocol := range []ctap2.PINProtocol{ctap2.PINProtocol1, ctap2.PINProtocol2} {
			if version == virtual.CTAP21Pre && protocol == ctap2.PINProtocol2 {
				continue
			}
			p, ui := answers(t, "1234", "1234", "1234", "1234", "1234")
			a, w := openKey(t, keyWithPIN(t, virtual.Config{
				Version: version, PINUVAuthProtocols: []ctap2.PINProtocol{protocol},
			}), ui)
			none, err := a.Credentials(t.Context())
			require.NoError(t, err)
			require.Empty(t, none.RelyingParties)
			first, second, third := passkey(t, a, "example.org", 1), passkey(t, a, "example.org", 2), passkey(t, a, longID, 3)
			require.Len(t, p.requests, 4)

			w.sent()
			list, err := a.Credentials(t.Context())
			require.NoError(t, err)
			want, asked := 1+2+3, 4
			if version != virtual.CTAP21Pre { // where one token is good for everything
				want, asked = 2+want, asked+1 // the token was replaced meanwhile: another is asked for
			}
			require.Len(t, w.sent(), want)
			require.Equal(t, 3, list.Existing)
			require.Len(t, list.RelyingParties, 2)
			byRP := map[string][]ResidentCredential{}
			for _, rp := range list.RelyingParties {
				byRP[string(rp.RPIDHash[:])] = rp.Credentials
			}
			require.Len(t, byRP[string(hash("example.org"))], 2)
			require.Equal(t, third.ID, byRP[string(hash(longID))][0].ID)
			require.Equal(t, third.AuthenticatorData.Credential.PublicKey, byRP[string(hash(longID))][0].PublicKey)

			if version != virtual.CTAP21Pre {
				require.NoError(t, a.UpdateUser(t.Context(), second.ID, ctap2.User{ID: []byte{2}, Name: "june"}))
			}
			require.NoError(t, a.DeleteCredential(t.Context(), first.ID))
			err = a.DeleteCredential(t.Context(), first.ID)
			require.Equal(t, KindNoMatch, KindOf(err), "%v", err)
			list, err = a.Credentials(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, list.Existing)
			require.Len(t, p.requests, asked, "no PIN for all that")
			for _, rp := range list.RelyingParties {
				if rp.RP.ID == "example.org" && version != virtual.CTAP21Pre {
					require.Equal(t, "june", rp.Credentials[0].User.Name)
				}
			}
		}
	}
}

// Another program's command makes the key forget where it was; then everything is listed anew, but not for ever.
func TestCredentialsAreListedAnew(t *testing.T) {
	t.Parallel()
	for disturbed, want := range map[int]error{1: nil, 2: ctap2.ErrNotAllowed} {
		_, ui := answers(t, "1234", "1234", "1234")
		a, w := openKey(t, keyWithPIN(t, virtual.Config{}), ui)
		passkey(t, a, "example.org", 1)
		passkey(t, a, "example.com", 2)
		times := 0
		w.forward = func(request []byte) []byte {
			next := []byte{byte(credentialManagement), 0xa1, 1, byte(ctap2.SubcommandEnumerateRPsGetNextRP)}
			if bytes.Equal(request, next) && times < disturbed {
				times++
				_, err := w.key.CBOR(t.Context(), []byte{byte(getInfo)}, nil)
				require.NoError(t, err)
			}
			return request
		}
		list, err := a.Credentials(t.Context())
		require.ErrorIs(t, err, want)
		require.Equal(t, disturbed, times)
		if err == nil {
			require.Len(t, list.RelyingParties, 2)
		}
	}
}

// The fingerprint reader does as well as the PIN.
func TestCredentialsByFingerprint(t *testing.T) {
	t.Parallel()
	p, ui := answers(t, "1234")
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{Finger: finger}), ui)
	_, err := a.EnrollFingerprint(t.Context(), nil)
	require.NoError(t, err)
	_, err = a.Credentials(t.Context())
	require.NoError(t, err)
	require.Len(t, p.requests, 1)
}

func TestPersistentTokenOfAKey(t *testing.T) {
	t.Parallel()
	_, ui := answers(t, "1234", "1234", "1234")
	key := keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})
	a, _ := openKey(t, key, ui)
	passkey(t, a, "example.org", 1)
	persistent, err := a.PersistentToken(t.Context())
	require.NoError(t, err)

	other, _ := openKey(t, key, nil)
	list, err := other.CredentialsReadOnly(t.Context(), persistent)
	require.NoError(t, err)
	require.Len(t, list.RelyingParties, 1)
	before, err := other.CredStoreState(t.Context(), persistent)
	require.NoError(t, err)
	passkey(t, a, "example.com", 2)
	after, err := other.CredStoreState(t.Context(), persistent)
	require.NoError(t, err)
	require.NotEqual(t, before, after)

	require.NoError(t, a.ChangePIN(t.Context(), []byte("1234"), []byte("5678")))
	_, err = other.CredentialsReadOnly(t.Context(), persistent)
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
}

func TestLargeBlobsOfKeys(t *testing.T) {
	t.Parallel()
	for _, pin := range []bool{false, true} {
		key, err := virtual.New(virtual.Config{MaxMessageSize: 1024})
		require.NoError(t, err)
		p, ui := answers(t)
		if pin {
			key = keyWithPIN(t, virtual.Config{MaxMessageSize: 1024})
			p, ui = answers(t, "1234", "1234")
		}
		a, _ := openKey(t, key, ui)
		blobs, err := a.LargeBlobs(t.Context())
		require.NoError(t, err)
		require.Zero(t, blobs.Len())
		size := a.largeBlobRoom() - 200
		require.Greater(t, size, 800)
		require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), noise(size)))
		require.ErrorIs(t, a.SetLargeBlob(t.Context(), blobKey(2), noise(size)), ctap2.ErrLargeBlobStorageFull)
		blobs, err = a.LargeBlobs(t.Context())
		require.NoError(t, err)
		got, found, err := blobs.Get(blobKey(1))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, noise(size), got)
		if pin {
			require.Len(t, p.requests, 1)
			removed, err := a.CollectLargeBlobs(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, removed)
			require.Len(t, p.requests, 2)
		}
		require.NoError(t, a.EraseLargeBlobs(t.Context()))
	}
}

// Who manages credentials and large blobs together is asked once.
func TestVerifyUserForSeveralThings(t *testing.T) {
	t.Parallel()
	p, ui := answers(t, "1234")
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{}), ui)
	require.NoError(t, a.VerifyUser(t.Context(), ctap2.PermissionCredentialManagement|ctap2.PermissionLargeBlobWrite))
	_, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.SetLargeBlob(t.Context(), blobKey(1), []byte("blob")))
	removed, err := a.CollectLargeBlobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	require.Len(t, p.requests, 1)

	unset, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	a, _ = openKey(t, unset, nil)
	require.ErrorIs(t, a.VerifyUser(t.Context(), ctap2.PermissionCredentialManagement), ErrUVNotConfigured)
}

func TestProgressOfLists(t *testing.T) {
	t.Parallel()
	_, ui := answers(t, "1234", "1234", "1234", "1234", "1234")
	var events []string
	ui.Notify = func(e Event) {
		if e.Kind == EventProgress {
			events = append(events, fmt.Sprintf("%v: %d of %d", e.Kind, e.Done, e.Total))
		}
	}
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{}), ui)
	_, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Empty(t, events, "there are none")
	passkey(t, a, "example.org", 1)
	passkey(t, a, "example.org", 2)
	passkey(t, a, "example.com", 3)
	_, err = a.Credentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"progress: 0 of 3", "progress: 1 of 3", "progress: 2 of 3", "progress: 3 of 3"}, events)
}
