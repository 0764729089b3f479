package virtual

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// tokenFor gets a token for the permissions with the right PIN. That of a key before CTAP 2.1 is good for everything.
func tokenFor(t testing.TB, client *ctap2.Client, permissions ctap2.Permission, rpID string) *ctap2.Token {
	t.Helper()
	if client.Transport.(*Authenticator).config.Version < CTAP21 {
		token, err := client.PINToken(t.Context(), agree(t, client, 1), pin)
		require.NoError(t, err)
		return token
	}
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, permissions, rpID)
	require.NoError(t, err)
	return token
}

const manage = ctap2.PermissionCredentialManagement

// manager returns what manages the credentials of a key whose PIN is set.
func manager(t testing.TB, client *ctap2.Client) *ctap2.CredentialManagement {
	t.Helper()
	return &ctap2.CredentialManagement{Client: client, Token: tokenFor(t, client, manage, "")}
}

// populate makes a passkey for each of the relying parties, with users 1, 2, 3, ...
func populate(t testing.TB, client *ctap2.Client, rpIDs ...string) []*ctap2.AuthenticatorData {
	t.Helper()
	var made []*ctap2.AuthenticatorData
	for i, rpID := range rpIDs {
		req := newRequest()
		req.RP = ctap2.RelyingParty{ID: rpID, Name: "The " + rpID}
		req.User = ctap2.User{ID: []byte{byte(i + 1)}, Name: fmt.Sprint("user ", i+1), DisplayName: "Somebody"}
		req.Options.ResidentKey = true
		req.Extensions.CredProtect = ctap2.CredProtectUVOptionalWithID
		made = append(made, register(t, client, withToken(req, tokenFor(t, client, defaultPermissions, rpID))))
	}
	return made
}

// isEnd reports whether an enumeration has come to its end.
func isEnd(err error) bool { return errors.Is(err, ctap2.ErrNotAllowed) }

// listRPs returns the IDs of all relying parties.
func listRPs(t testing.TB, m *ctap2.CredentialManagement) (ids []string) {
	t.Helper()
	resp, err := m.EnumerateRPsBegin(t.Context())
	require.NoError(t, err)
	total := *resp.TotalRPs
	for err == nil {
		require.Equal(t, "The "+resp.RP.ID, resp.RP.Name)
		ids = append(ids, resp.RP.ID)
		resp, err = m.EnumerateRPsNext(t.Context())
	}
	require.True(t, isEnd(err), err)
	require.EqualValues(t, total, len(ids))
	return ids
}

// listCredentials returns all passkeys of a relying party.
func listCredentials(
	t testing.TB, m *ctap2.CredentialManagement, rpID string,
) (list []*ctap2.CredentialManagementResponse) {
	t.Helper()
	resp, err := m.EnumerateCredentialsBegin(t.Context(), sha256.Sum256([]byte(rpID)))
	require.NoError(t, err)
	total := *resp.TotalCredentials
	for err == nil {
		list = append(list, resp)
		resp, err = m.EnumerateCredentialsNext(t.Context())
	}
	require.True(t, isEnd(err), err)
	require.EqualValues(t, total, len(list))
	return list
}

func TestCredentialManagementLists(t *testing.T) {
	t.Parallel()
	for _, version := range []Version{CTAP21Pre, CTAP21, CTAP23} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			_, client := newKey(t, Config{Version: version, Capacity: 10, PIN: PINPolicy{Initial: pin}})
			made := populate(t, client, "a.example", "b.example", "a.example")
			sealed := withToken(newRequest(), tokenFor(t, client, defaultPermissions, testRP.ID))
			register(t, client, sealed) // no passkey, so not to be seen
			m := manager(t, client)
			m.Preview = version == CTAP21Pre
			existing, remaining, err := m.Metadata(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 3, existing)
			require.EqualValues(t, 7, remaining)
			require.Equal(t, []string{"a.example", "b.example"}, listRPs(t, m))
			for i, c := range listCredentials(t, m, "a.example") {
				want := made[2*i].Credential
				require.Equal(t, want.ID, c.CredentialID.ID)
				require.Equal(t, fmt.Sprint("user ", 2*i+1), c.User.Name)
				require.Equal(t, "Somebody", c.User.DisplayName)
				require.EqualValues(t, ctap2.CredProtectUVOptionalWithID, c.CredProtect)
				public, err := cose.ParseKey(c.PublicKey)
				require.NoError(t, err)
				require.Equal(t, want.PublicKey.Public, public.Public)
			}
			require.Len(t, listCredentials(t, m, "b.example"), 1)
		})
	}
}

func TestCredentialManagementOfAnEmptyKey(t *testing.T) {
	t.Parallel()
	for _, faults := range []Faults{{}, {EmptyLists: true}} {
		_, client := newKeyWithPIN(t, Config{Faults: faults})
		m := manager(t, client)
		resp, err := m.EnumerateRPsBegin(t.Context())
		if faults.EmptyLists {
			require.NoError(t, err)
			require.Zero(t, *resp.TotalRPs)
		} else {
			require.ErrorIs(t, err, ctap2.ErrNoCredentials)
		}
		_, err = m.EnumerateCredentialsBegin(t.Context(), sha256.Sum256([]byte("a.example")))
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
		_, err = m.EnumerateRPsNext(t.Context())
		require.ErrorIs(t, err, ctap2.ErrNotAllowed)
	}
}

func TestCredentialManagementDeletes(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{Capacity: 2})
	made := populate(t, client, "a.example", "b.example")
	m := manager(t, client)
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.NoError(t, m.DeleteCredential(t.Context(), id))
	require.ErrorIs(t, m.DeleteCredential(t.Context(), id), ctap2.ErrNoCredentials)
	require.Equal(t, []string{"b.example"}, listRPs(t, m))
	require.Equal(t, 1, key.Credentials())
	populate(t, client, "c.example") // there is room again
}

func TestCredentialManagementUpdatesUser(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	made := populate(t, client, "a.example")
	m := manager(t, client)
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.NoError(t, m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}, Name: "renamed"}))
	list := listCredentials(t, m, "a.example")
	require.Equal(t, &ctap2.User{ID: []byte{1}, Name: "renamed"}, list[0].User)
	require.Equal(t, id.ID, list[0].CredentialID.ID)

	err := m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{2}, Name: "somebody else"})
	require.ErrorIs(t, err, ctap2.ErrInvalidParameter)
	err = m.UpdateUser(t.Context(), ctap2.CredentialDescriptor{ID: []byte{9}}, ctap2.User{ID: []byte{1}})
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
}

func TestCredentialManagementPreviewUpdatesNobody(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP21Pre, PIN: PINPolicy{Initial: pin}})
	made := populate(t, client, "a.example")
	m := manager(t, client)
	m.Preview = true
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.ErrorIs(t, m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}}), ctap2.ErrInvalidSubcommand)
	require.NoError(t, m.DeleteCredential(t.Context(), id))
}

// A key with both commands gives them the same abilities: libfido2 up to 1.12 knows no other than the preview's.
func TestCredentialManagementPreviewOfALaterKey(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{Preview: true})
	made := populate(t, client, "a.example")
	m := manager(t, client)
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	for _, m.Preview = range []bool{false, true} {
		require.Equal(t, []string{"a.example"}, listRPs(t, m))
		name := fmt.Sprint("renamed ", m.Preview)
		require.NoError(t, m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}, Name: name}))
		require.Equal(t, name, listCredentials(t, m, "a.example")[0].User.Name)
	}
}

// Whatever the platform does in between, the list is over.
func TestCredentialManagementForgetsTheList(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile func(t *testing.T, key *Authenticator, m *ctap2.CredentialManagement)
		want      ctap2.Status
	}{
		"nothing":     {func(*testing.T, *Authenticator, *ctap2.CredentialManagement) {}, 0},
		"almost 30 s": {func(*testing.T, *Authenticator, *ctap2.CredentialManagement) { time.Sleep(walkTimeout - 1) }, 0},
		"30 s": {
			func(*testing.T, *Authenticator, *ctap2.CredentialManagement) { time.Sleep(walkTimeout) },
			ctap2.ErrNotAllowed,
		},
		"another command": {func(t *testing.T, _ *Authenticator, m *ctap2.CredentialManagement) {
			_, err := m.Client.GetInfo(t.Context())
			require.NoError(t, err)
		}, ctap2.ErrNotAllowed},
		"another subcommand": {func(t *testing.T, _ *Authenticator, m *ctap2.CredentialManagement) {
			_, _, err := m.Metadata(t.Context())
			require.NoError(t, err)
		}, ctap2.ErrNotAllowed},
		"the next of another list": {func(t *testing.T, _ *Authenticator, m *ctap2.CredentialManagement) {
			_, err := m.EnumerateCredentialsNext(t.Context())
			require.ErrorIs(t, err, ctap2.ErrNotAllowed)
		}, ctap2.ErrNotAllowed},
		"a power cycle": {
			func(_ *testing.T, key *Authenticator, _ *ctap2.CredentialManagement) { key.PowerCycle() },
			ctap2.ErrNotAllowed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key, client := newKeyWithPIN(t, Config{})
				populate(t, client, "a.example", "b.example")
				m := manager(t, client)
				_, err := m.EnumerateRPsBegin(t.Context())
				require.NoError(t, err)
				tt.meanwhile(t, key, m)
				_, err = m.EnumerateRPsNext(t.Context())
				requireStatus(t, tt.want, err)
			})
		})
	}
}

// Section 6: a list is for the token that asked for it.
func TestCredentialManagementForgetsTheListOfAnOldToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := newKeyWithPIN(t, Config{})
		populate(t, client, "a.example", "b.example", "c.example")
		m := manager(t, client)
		time.Sleep(tokenFirstUse - 1)
		_, _, err := m.Metadata(t.Context())
		require.NoError(t, err)
		time.Sleep(tokenLifetime - tokenFirstUse)
		_, err = m.EnumerateRPsBegin(t.Context())
		require.NoError(t, err)
		_, err = m.EnumerateRPsNext(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Nanosecond)
		_, err = m.EnumerateRPsNext(t.Context())
		require.ErrorIs(t, err, ctap2.ErrNotAllowed)
	})
}

func TestCredentialManagementBindsTheToken(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{})
	made := populate(t, client, "a.example", "b.example")
	m := &ctap2.CredentialManagement{Client: client, Token: tokenFor(t, client, manage, "a.example")}
	_, _, err := m.Metadata(t.Context())
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid, "is about all relying parties")
	_, err = m.EnumerateRPsBegin(t.Context())
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid, "is about all relying parties")
	_, err = m.EnumerateCredentialsBegin(t.Context(), sha256.Sum256([]byte("b.example")))
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	other := ctap2.CredentialDescriptor{ID: made[1].Credential.ID, Type: ctap2.PublicKeyType}
	require.ErrorIs(t, m.DeleteCredential(t.Context(), other), ctap2.ErrPINAuthInvalid)
	require.ErrorIs(t, m.UpdateUser(t.Context(), other, ctap2.User{ID: []byte{2}}), ctap2.ErrPINAuthInvalid)
	nobody := ctap2.CredentialDescriptor{ID: []byte{1}, Type: ctap2.PublicKeyType}
	require.ErrorIs(t, m.DeleteCredential(t.Context(), nobody), ctap2.ErrPINAuthInvalid, "or it would tell others apart")

	require.Len(t, listCredentials(t, m, "a.example"), 1)
	own := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.NoError(t, m.UpdateUser(t.Context(), own, ctap2.User{ID: []byte{1}}))
	require.NoError(t, m.DeleteCredential(t.Context(), own))
}

func TestCredentialManagementWithPersistentTokenOnlyReads(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{Version: CTAP23})
	made := populate(t, client, "a.example")
	m := &ctap2.CredentialManagement{
		Client: client, Token: tokenFor(t, client, ctap2.PermissionPersistentReadOnly, ""),
	}
	key.PowerCycle()
	_, _, err := m.Metadata(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a.example"}, listRPs(t, m))
	require.Len(t, listCredentials(t, m, "a.example"), 1)
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.ErrorIs(t, m.DeleteCredential(t.Context(), id), ctap2.ErrPINAuthInvalid)
	require.ErrorIs(t, m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}}), ctap2.ErrPINAuthInvalid)
}

// sendManagement sends a subcommand of any form; the parameters are authenticated as they are.
func sendManagement(
	t testing.TB, key *Authenticator, token *ctap2.Token, sub ctap2.Subcommand, params any, change func(req map[int]any),
) ctap2.Status {
	t.Helper()
	message, req := []byte{byte(sub)}, map[int]any{1: sub}
	if params != nil {
		encoded, err := ctapcbor.Marshal(params)
		require.NoError(t, err)
		req[2], message = params, append(message, encoded...)
	}
	if token != nil {
		req[3], req[4] = token.Protocol(), token.Authenticate(message)
	}
	change(req)
	return send(t, key, ctap2.CommandCredentialManagement, req)
}

func TestCredentialManagementRefuses(t *testing.T) {
	t.Parallel()
	type m = map[int]any
	const (
		metadata    = ctap2.SubcommandGetCredsMetadata
		rps         = ctap2.SubcommandEnumerateRPsBegin
		credentials = ctap2.SubcommandEnumerateCredentialsBegin
		remove      = ctap2.SubcommandDeleteCredential
		update      = ctap2.SubcommandUpdateUserInformation
	)
	hash := make([]byte, 32)
	id := map[string]any{"id": []byte{1}, "type": "public-key"}
	user := map[string]any{"id": []byte{1}}
	drop := func(keys ...int) func(m) {
		return func(req m) {
			for _, k := range keys {
				delete(req, k)
			}
		}
	}
	set := func(k int, v any) func(m) { return func(req m) { req[k] = v } }
	for name, tt := range map[string]struct {
		sub    ctap2.Subcommand
		params any
		change func(m)
		want   ctap2.Status
	}{
		"no subcommand":             {metadata, nil, drop(1), ctap2.ErrMissingParameter},
		"subcommand of a bad type":  {metadata, nil, set(1, "1"), ctap2.ErrCBORUnexpectedType},
		"unknown subcommand":        {0x09, nil, drop(), ctap2.ErrInvalidSubcommand},
		"subcommand 0":              {0, nil, drop(), ctap2.ErrInvalidSubcommand},
		"metadata without token":    {metadata, nil, drop(3, 4), ctap2.ErrPUATRequired},
		"RPs without token":         {rps, nil, drop(3, 4), ctap2.ErrPUATRequired},
		"credentials without token": {credentials, m{1: hash}, drop(3, 4), ctap2.ErrPUATRequired},
		"delete without token":      {remove, m{2: id}, drop(3, 4), ctap2.ErrPUATRequired},
		"update without token":      {update, m{2: id, 3: user}, drop(3, 4), ctap2.ErrPUATRequired},
		"token before parameters":   {remove, nil, drop(3, 4), ctap2.ErrPUATRequired},
		"no protocol":               {metadata, nil, drop(3), ctap2.ErrMissingParameter},
		"unknown protocol":          {metadata, nil, set(3, 9), ctap2.ErrInvalidParameter},
		"protocol of a bad type":    {metadata, nil, set(3, "2"), ctap2.ErrCBORUnexpectedType},
		"another protocol's MAC":    {metadata, nil, set(3, 1), ctap2.ErrPINAuthInvalid},
		"wrong MAC":                 {metadata, nil, set(4, make([]byte, 32)), ctap2.ErrPINAuthInvalid},
		"empty MAC":                 {metadata, nil, set(4, []byte{}), ctap2.ErrPINAuthInvalid},
		"MAC of a bad type":         {metadata, nil, set(4, "MAC"), ctap2.ErrCBORUnexpectedType},
		"MAC of another subcommand": {metadata, nil, set(1, rps), ctap2.ErrPINAuthInvalid},
		"MAC of other parameters":   {credentials, m{1: hash}, set(2, m{1: testHash}), ctap2.ErrPINAuthInvalid},
		"parameters of a bad type":  {metadata, nil, set(2, "x"), ctap2.ErrCBORUnexpectedType},
		"credentials of nobody":     {credentials, nil, drop(), ctap2.ErrMissingParameter},
		"credentials, other params": {credentials, m{2: id}, drop(), ctap2.ErrMissingParameter},
		"short RP ID hash":          {credentials, m{1: hash[1:]}, drop(), ctap2.ErrInvalidLength},
		"RP ID instead of its hash": {credentials, m{1: "example.org"}, drop(), ctap2.ErrCBORUnexpectedType},
		"unknown relying party":     {credentials, m{1: hash}, drop(), ctap2.ErrNoCredentials},
		"delete nothing":            {remove, nil, drop(), ctap2.ErrMissingParameter},
		"delete unknown":            {remove, m{2: id}, drop(), ctap2.ErrNoCredentials},
		"delete bare ID":            {remove, m{2: []byte{1}}, drop(), ctap2.ErrCBORUnexpectedType},
		"delete without type":       {remove, m{2: map[string]any{"id": []byte{1}}}, drop(), ctap2.ErrMissingParameter},
		"update nobody":             {update, m{2: id}, drop(), ctap2.ErrMissingParameter},
		"update nothing":            {update, m{3: user}, drop(), ctap2.ErrMissingParameter},
		"update unknown":            {update, m{2: id, 3: user}, drop(), ctap2.ErrNoCredentials},
		"update without user ID":    {update, m{2: id, 3: map[string]any{}}, drop(), ctap2.ErrMissingParameter},
		"update, name no text": {
			update, m{2: id, 3: map[string]any{"id": []byte{1}, "name": 1}}, drop(), ctap2.ErrCBORUnexpectedType,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKeyWithPIN(t, Config{})
			token := tokenFor(t, client, manage, "")
			require.Equal(t, tt.want, sendManagement(t, key, token, tt.sub, tt.params, tt.change))
		})
	}
}

func TestCredentialManagementWantsItsPermission(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{})
	token := tokenFor(t, client, defaultPermissions|ctap2.PermissionLargeBlobWrite, testRP.ID)
	for sub, params := range map[ctap2.Subcommand]any{
		ctap2.SubcommandGetCredsMetadata:          nil,
		ctap2.SubcommandEnumerateRPsBegin:         nil,
		ctap2.SubcommandEnumerateCredentialsBegin: map[int]any{1: make([]byte, 32)},
		ctap2.SubcommandDeleteCredential:          map[int]any{2: map[string]any{"id": []byte{1}, "type": "public-key"}},
	} {
		status := sendManagement(t, key, token, sub, params, func(map[int]any) {})
		require.Equal(t, ctap2.ErrPINAuthInvalid, status, "%d", sub)
	}
}

func TestCredentialManagementIsForKeysThatHaveIt(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{Version: CTAP20}, {Version: CTAP21Pre}, {Without: []string{"credMgmt"}}} {
		key, _ := newKey(t, c)
		require.Equal(t, ctap2.ErrInvalidCommand, send(t, key, ctap2.CommandCredentialManagement, map[int]any{1: 1}))
	}
	key, _ := newKey(t, Config{})
	require.Equal(t, ctap2.ErrInvalidCommand, send(t, key, ctap2.CommandCredentialManagementPreview, map[int]any{1: 1}))
}

func TestCredentialManagementCutsRPIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"example.org":                          "example.org",
		strings.Repeat("a", 32):                strings.Repeat("a", 32),
		strings.Repeat("a", 33):                "…" + strings.Repeat("a", 29),
		"ssh:" + strings.Repeat("a", 29):       "ssh:…" + strings.Repeat("a", 25),
		"https://a-very-long-name.example.org": "https:…y-long-name.example.org",
		strings.Repeat("s", 40) + ":x":         strings.Repeat("s", 32),
		strings.Repeat("s", 29) + ":xyz":       strings.Repeat("s", 29) + ":", // no room for the rest
	} {
		require.Equal(t, want, cutRPID(id), id)
		require.LessOrEqual(t, len(cutRPID(id)), maxRPIDSize)
	}
	const long = "a-name-of-more-than-32-bytes.example.org"
	_, client := newKeyWithPIN(t, Config{CutRPIDs: true})
	populate(t, client, long)
	m := manager(t, client)
	resp, err := m.EnumerateRPsBegin(t.Context())
	require.NoError(t, err)
	require.Equal(t, "…"+long[len(long)-29:], resp.RP.ID)
	require.Equal(t, sha256.Sum256([]byte(long)), [32]byte(resp.RPIDHash))
	require.Len(t, listCredentials(t, m, long), 1)
}

// Credentials that are stored without being passkeys take up room, but nobody gets to see them.
func TestNoWrappingStoresEverything(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{NoWrapping: true, Capacity: 3})
	var ids [][]byte
	for range 2 { // of the same user, and yet two
		ids = append(ids, register(t, client, newRequest()).Credential.ID)
	}
	populate(t, client, testRP.ID)
	require.Equal(t, 3, key.Credentials())
	_, err := client.MakeCredential(t.Context(), newRequest())
	require.ErrorIs(t, err, ctap2.ErrKeyStoreFull)

	m := manager(t, client)
	existing, remaining, err := m.Metadata(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, existing)
	require.Zero(t, remaining)
	require.Len(t, listCredentials(t, m, testRP.ID), 1)
	hidden := ctap2.CredentialDescriptor{ID: ids[0], Type: ctap2.PublicKeyType}
	require.ErrorIs(t, m.DeleteCredential(t.Context(), hidden), ctap2.ErrNoCredentials)
	for _, id := range ids {
		resp, err := client.GetAssertion(t.Context(), ask(id))
		require.NoError(t, err)
		require.Nil(t, resp.User)
	}
	require.NoError(t, client.Reset(t.Context()))
	_, err = client.GetAssertion(t.Context(), ask(ids[0]))
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
}

func TestKeyWithoutPasskeys(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Without: []string{"rk"}})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	rk, _ := info.Option("rk")
	require.False(t, rk)
	require.Equal(t, []string{"credProtect", "hmac-secret", "minPinLength"}, info.Extensions)
	req := newRequest()
	register(t, client, req)
	req.Options.ResidentKey = true
	_, err = client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrUnsupportedOption)
}

// The same ID opens for its own relying party only, however recently it was used.
func TestRecentCredentialStaysWithItsRelyingParty(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{})
	made := register(t, client, newRequest())
	for range 2 {
		resp, err := client.GetAssertion(t.Context(), ask(made.Credential.ID))
		require.NoError(t, err)
		checkAssertion(t, resp, made.Credential.PublicKey)
		other := ask(made.Credential.ID)
		other.RPID = "example.com"
		_, err = client.GetAssertion(t.Context(), other)
		require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	}
	require.NoError(t, client.Reset(t.Context()))
	_, err := client.GetAssertion(t.Context(), ask(made.Credential.ID))
	require.ErrorIs(t, err, ctap2.ErrNoCredentials)
	require.Zero(t, key.Credentials())
}

func TestAKeyOfThousands(t *testing.T) {
	t.Parallel()
	const many = 2000
	_, client := newKey(t, Config{Capacity: many, NoU2F: true, Attestation: AttestationNone})
	req := newRequest()
	req.Options.ResidentKey = true
	for i := range many {
		req.User.ID = []byte{byte(i >> 8), byte(i), 0}
		register(t, client, req)
	}
	req.User.ID = []byte{1}
	_, err := client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrKeyStoreFull)
	resp, err := client.GetAssertion(t.Context(), ask())
	require.NoError(t, err)
	require.EqualValues(t, many, resp.NumberOfCredentials)
}

// Who keeps a copy of the list learns from encCredStoreState that it is old: after each change, and only then.
func TestEachChangeMakesAnotherCredStoreState(t *testing.T) {
	t.Parallel()
	key, client := newKeyWithPIN(t, Config{Version: CTAP23})
	seen := map[string]string{string(key.state.credStoreState()): "a new key"}
	changed := func(by string) {
		t.Helper()
		now := string(key.state.credStoreState())
		require.Empty(t, seen[now], by)
		seen[now] = by
	}
	made := populate(t, client, "a.example")
	changed("another credential")
	m := manager(t, client)
	id := ctap2.CredentialDescriptor{ID: made[0].Credential.ID, Type: ctap2.PublicKeyType}
	require.NoError(t, m.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}, Name: "renamed"}))
	changed("another name")
	before := key.state.credStoreState()
	require.Len(t, listCredentials(t, m, "a.example"), 1)
	get := ask(id.ID)
	get.RPID = "a.example"
	_, err := client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	require.Equal(t, before, key.state.credStoreState())
	require.NoError(t, manager(t, client).DeleteCredential(t.Context(), id))
	changed("one credential less")
}
