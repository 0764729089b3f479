package authenticator

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// store answers credentialManagement from a list, as a key does that keeps a cursor for each enumeration.
type store struct {
	t     *testing.T
	rps   []storedRP
	rp    int // cursors
	cred  int
	creds []*ctap2.CredentialManagementResponse

	lie func(sub ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any // nil tells the truth, which r is
}

type storedRP struct {
	id, told string // told is the ID as the key tells it
	creds    []*ctap2.CredentialManagementResponse
}

func (s *store) answer(b []byte) any {
	req, params := decodeParams[ctap2.CredentialManagementRequest, ctap2.CredentialManagementParams](s.t, b)
	resp := s.tell(req.Subcommand, params)
	if s.lie == nil {
		return resp
	}
	r, ok := resp.(*ctap2.CredentialManagementResponse)
	if lie := s.lie(req.Subcommand, r); ok || lie != any(r) {
		return lie
	}
	return resp
}

func (s *store) tell(sub ctap2.Subcommand, params *ctap2.CredentialManagementParams) any {
	switch sub {
	case ctap2.SubcommandGetCredsMetadata:
		n := uint64(0)
		for _, rp := range s.rps {
			n += uint64(len(rp.creds))
		}
		return &ctap2.CredentialManagementResponse{ExistingResidentCredentials: &n, MaxPossibleRemainingResidentCredentials: ptr(uint64(23))}
	case ctap2.SubcommandEnumerateRPsBegin:
		s.rp = 0
		return s.nextRP(ptr(uint64(len(s.rps))))
	case ctap2.SubcommandEnumerateRPsGetNextRP:
		return s.nextRP(nil)
	case ctap2.SubcommandEnumerateCredentialsBegin:
		s.cred, s.creds = 0, nil
		for _, rp := range s.rps {
			if hash := sha256.Sum256([]byte(rp.id)); bytes.Equal(hash[:], params.RPIDHash) {
				s.creds = rp.creds
			}
		}
		return s.nextCredential(ptr(uint64(len(s.creds))))
	case ctap2.SubcommandEnumerateCredentialsGetNextCredential:
		return s.nextCredential(nil)
	}
	return ctap2.ErrInvalidSubcommand
}

func (s *store) nextRP(total *uint64) any {
	if s.rp >= len(s.rps) {
		return ctap2.ErrNoCredentials
	}
	rp := s.rps[s.rp]
	s.rp++
	hash := sha256.Sum256([]byte(rp.id))
	return &ctap2.CredentialManagementResponse{RP: &ctap2.RelyingParty{ID: rp.told}, RPIDHash: hash[:], TotalRPs: total}
}

func (s *store) nextCredential(total *uint64) any {
	if s.cred >= len(s.creds) {
		return ctap2.ErrNoCredentials
	}
	c := *s.creds[s.cred]
	s.cred++
	c.TotalCredentials = total
	return &c
}

func ptr[T any](v T) *T { return &v }

// stored is a credential of the given ID.
func stored(t *testing.T, id byte) *ctap2.CredentialManagementResponse {
	t.Helper()
	a, _ := open(t, virtual.Config{}, nil)
	made := register(t, a, nil)
	return &ctap2.CredentialManagementResponse{
		User:         &ctap2.User{ID: []byte{id}, Name: fmt.Sprint("user ", id)},
		CredentialID: &ctap2.CredentialDescriptor{ID: []byte{id}, Type: ctap2.PublicKeyType},
		PublicKey:    made.AuthenticatorData.Credential.RawPublicKey,
		CredProtect:  2,
	}
}

// manager is a key with the PIN 1234 whose credentials are those of the store.
func manager(t *testing.T, s *store, options ...string) (*Authenticator, *wire, *answering) {
	t.Helper()
	if options == nil {
		options = []string{"credMgmt"}
	}
	p, ui := answers(t, "1234")
	w := &wire{key: keyWithPIN(t, virtual.Config{Version: virtual.CTAP23})}
	w.answering(t, func(info *ctap2.Info) {
		delete(info.Options, "credMgmt")
		option(options...)(info)
	}, map[ctap2.Command]fake{credentialManagement: s.answer, ctap2.CommandCredentialManagementPreview: s.answer})
	return openWire(t, w, ui), w, p
}

const longID = "a-relying-party-with-an-id-that-is-longer-than-32-bytes.example.org"

// twoRPs is a store with two relying parties, the second of which is told as a real key would, and three credentials.
func twoRPs(t *testing.T) *store {
	third := stored(t, 3)
	third.LargeBlobKey, third.ThirdPartyPayment = bytes.Repeat([]byte{3}, 32), true
	third.PublicKey = []byte{0xa0} // of no kind that anybody knows
	return &store{t: t, rps: []storedRP{
		{"example.org", "example.org", []*ctap2.CredentialManagementResponse{stored(t, 1), stored(t, 2)}},
		{longID, "…ger-than-32-bytes.example.org", []*ctap2.CredentialManagementResponse{third}},
	}}
}

// Listing N credentials of M relying parties takes 1 + M + N commands after the token, in one operation.
func TestCredentialsAreListedInAsManyCommands(t *testing.T) {
	t.Parallel()
	a, w, p := manager(t, twoRPs(t))
	w.sent()
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	const m, n = 2, 3
	want := []ctap2.Command{clientPIN, clientPIN}
	for range 1 + m + n {
		want = append(want, credentialManagement)
	}
	require.Equal(t, want, w.sent())
	require.Len(t, p.requests, 1)

	require.Equal(t, 3, list.Existing)
	require.Equal(t, 23, list.Remaining)
	require.Len(t, list.RelyingParties, m)
	first, second := list.RelyingParties[0], list.RelyingParties[1]
	require.Equal(t, ctap2.RelyingParty{ID: "example.org"}, first.RP)
	require.False(t, first.Truncated)
	require.Equal(t, hash("example.org"), first.RPIDHash[:])
	require.Len(t, first.Credentials, 2)
	require.Equal(t, []byte{2}, first.Credentials[1].ID)
	require.Equal(t, ctap2.User{ID: []byte{2}, Name: "user 2"}, first.Credentials[1].User)
	require.Equal(t, cose.ES256, first.Credentials[1].PublicKey.Algorithm)
	require.IsType(t, &ecdsa.PublicKey{}, first.Credentials[1].PublicKey.Public)
	require.EqualValues(t, 2, first.Credentials[1].CredProtect)
	require.Nil(t, first.Credentials[1].LargeBlobKey)
	require.True(t, second.Truncated)
	require.Equal(t, hash(longID), second.RPIDHash[:])
	require.Equal(t, bytes.Repeat([]byte{3}, 32), second.Credentials[0].LargeBlobKey)
	require.True(t, second.Credentials[0].ThirdPartyPayment)
	require.Nil(t, second.Credentials[0].PublicKey)

	_, err = a.Credentials(t.Context())
	require.NoError(t, err)
	require.Len(t, w.sent(), 1+m+n, "the token is still good")
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(ctap2.Subcommand, *ctap2.CredentialManagementResponse) any{
		"total of zero": func(sub ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any {
			if sub == ctap2.SubcommandGetCredsMetadata {
				r.ExistingResidentCredentials = ptr(uint64(1)) // deleted since, by another program
				return r
			}
			return map[int]int{5: 0}
		},
		"status": func(sub ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any {
			if sub == ctap2.SubcommandGetCredsMetadata {
				r.ExistingResidentCredentials = ptr(uint64(1))
				return r
			}
			return ctap2.ErrNoCredentials
		},
	} {
		a, _, _ := manager(t, &store{t: t, lie: lie})
		list, err := a.Credentials(t.Context())
		require.NoError(t, err, name)
		require.Empty(t, list.RelyingParties, name)
		require.Equal(t, 23, list.Remaining)
	}
	a, w, _ := manager(t, &store{t: t})
	w.sent()
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Empty(t, list.RelyingParties)
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, credentialManagement}, w.sent(), "why ask for none?")
}

// A relying party whose last credential went away meanwhile has none.
func TestCredentialsThatVanish(t *testing.T) {
	t.Parallel()
	s := twoRPs(t)
	s.lie = func(sub ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any {
		if sub == ctap2.SubcommandEnumerateCredentialsBegin {
			return ctap2.ErrNoCredentials
		}
		return r
	}
	a, _, _ := manager(t, s)
	list, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.Len(t, list.RelyingParties, 2)
	require.Empty(t, list.RelyingParties[0].Credentials)
}

func TestStoresThatLie(t *testing.T) {
	t.Parallel()
	const huge = uint64(1) << 32
	type response = ctap2.CredentialManagementResponse
	for name, tc := range map[string]struct {
		sub  ctap2.Subcommand
		lie  func(*response) any
		err  error
		most int // commands
	}{
		"2^32 credentials": {ctap2.SubcommandGetCredsMetadata, func(r *response) any {
			r.ExistingResidentCredentials = ptr(huge)
			return r
		}, ErrInvalidResponse, 1},
		"2^32 relying parties": {ctap2.SubcommandEnumerateRPsBegin, func(r *response) any {
			r.TotalRPs = ptr(huge)
			return r
		}, ErrInvalidResponse, 2},
		"2^64-1 credentials of one": {ctap2.SubcommandEnumerateCredentialsBegin, func(r *response) any {
			r.TotalCredentials = ptr(uint64(1<<64 - 1))
			return r
		}, ErrInvalidResponse, 4},
		"fewer relying parties than counted": {ctap2.SubcommandEnumerateRPsBegin, func(r *response) any {
			r.TotalRPs = ptr(uint64(5))
			return r
		}, ctap2.ErrNoCredentials, 4},
		"a relying party twice": {ctap2.SubcommandEnumerateRPsGetNextRP, func(r *response) any {
			r.RPIDHash = hash("example.org")
			return r
		}, ErrInvalidResponse, 3},
		"a credential twice": {ctap2.SubcommandEnumerateCredentialsGetNextCredential, func(r *response) any {
			r.CredentialID.ID = []byte{1}
			return r
		}, ErrInvalidResponse, 5},
		"a short hash": {ctap2.SubcommandEnumerateRPsBegin, func(r *response) any {
			r.RPIDHash = r.RPIDHash[:31]
			return r
		}, ctap2.ErrInvalidResponse, 2},
		"no credential": {ctap2.SubcommandEnumerateCredentialsBegin, func(r *response) any {
			r.CredentialID = nil
			return r
		}, ctap2.ErrInvalidResponse, 4},
		"nothing": {ctap2.SubcommandEnumerateRPsGetNextRP, func(*response) any {
			return map[int]int{}
		}, ctap2.ErrInvalidResponse, 3},
	} {
		s := twoRPs(t)
		s.lie = func(sub ctap2.Subcommand, r *response) any {
			if sub == tc.sub && r != nil {
				return tc.lie(r)
			}
			return r
		}
		a, w, _ := manager(t, s)
		w.sent()
		list, err := a.Credentials(t.Context())
		require.ErrorIs(t, err, tc.err, name)
		require.Nil(t, list, name)
		require.LessOrEqual(t, len(w.sent()), 2+tc.most, name)
	}
}

// A key that has another credential for every question is left after as many as there can be.
func TestEndlessStores(t *testing.T) {
	t.Parallel()
	s, told := twoRPs(t), 0
	for i := range 9 {
		id := fmt.Sprint("rp ", i)
		s.rps = append(s.rps, storedRP{id, id, s.rps[0].creds})
	}
	s.lie = func(_ ctap2.Subcommand, r *ctap2.CredentialManagementResponse) any {
		if r != nil && r.CredentialID != nil {
			told++
			s.cred = 0 // it never ends
			r.CredentialID = &ctap2.CredentialDescriptor{ID: fmt.Append(nil, told), Type: ctap2.PublicKeyType}
		}
		if r != nil && r.TotalCredentials != nil {
			r.TotalCredentials = ptr(uint64(maxResident / 8))
		}
		return r
	}
	a, _, _ := manager(t, s)
	_, err := a.Credentials(t.Context())
	require.ErrorIs(t, err, ErrInvalidResponse)
	require.Equal(t, maxResident+1, told)
}

func TestCredentialsOfThePreview(t *testing.T) {
	t.Parallel()
	s := twoRPs(t)
	a, w, p := manager(t, s, "credentialMgmtPreview", "largeBlobs")
	w.sent()
	_, err := a.Credentials(t.Context())
	require.NoError(t, err)
	require.NotContains(t, w.sent(), credentialManagement)
	require.Len(t, p.requests, 1)
	require.ErrorIs(t, a.UpdateUser(t.Context(), []byte{1}, ctap2.User{ID: []byte{1}}), ErrUnsupported)
	_, err = a.CollectLargeBlobs(t.Context())
	require.ErrorIs(t, err, ErrUnsupported, "no key of a large blob would be in the list")
	require.Empty(t, w.sent())
}

func TestCredentialIDsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	a, w, _ := manager(t, &store{t: t})
	w.sent()
	for _, id := range [][]byte{nil, {}, make([]byte, 1024)} {
		require.ErrorIs(t, a.DeleteCredential(t.Context(), id), ErrInvalidOptions)
		require.ErrorIs(t, a.UpdateUser(t.Context(), id, ctap2.User{ID: []byte{1}}), ErrInvalidOptions)
	}
	require.ErrorIs(t, a.UpdateUser(t.Context(), []byte{1}, ctap2.User{}), ErrInvalidOptions)
	require.ErrorIs(t, a.UpdateUser(t.Context(), []byte{1}, ctap2.User{ID: make([]byte, 65)}), ErrInvalidOptions)
	require.Empty(t, w.sent())
}
