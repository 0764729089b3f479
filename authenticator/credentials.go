package authenticator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// ResidentCredentials is what a key stores.
type ResidentCredentials struct {
	Existing  int // how many credentials there are
	Remaining int // how many more the key has room for, at most

	RelyingParties []ResidentRP // in the key's order
}

// ResidentRP is a relying party with its credentials.
type ResidentRP struct {
	RP          ctap2.RelyingParty // as the key tells it: cut off, maybe within a character, if Truncated
	RPIDHash    [sha256.Size]byte  // of the whole ID
	Truncated   bool               // RP.ID is not the whole ID
	Credentials []ResidentCredential
}

// ResidentCredential is a credential that a key stores.
type ResidentCredential struct {
	ID                []byte
	User              ctap2.User // its names may be missing, or cut in the middle of a character
	PublicKey         *cose.Key  // nil if it is of a kind that package cose does not know
	CredProtect       uint       // 0: the key does not say
	LargeBlobKey      []byte     // 32 bytes, secret; nil if there is none
	ThirdPartyPayment bool
}

// maxResident is more credentials than any key holds.
const maxResident = 4096

// Credentials returns all resident credentials of the key. It asks for the PIN, or lets the key verify the user,
// unless a call that did so is not long past. A key without credentials gives an empty list. Keys that cannot list
// their credentials, all those from before CTAP 2.1 or its preview, give an error that wraps [ErrUnsupported].
func (a *Authenticator) Credentials(ctx context.Context) (*ResidentCredentials, error) {
	var list *ResidentCredentials
	err := a.run(ctx, "credentials", func(ctx context.Context) error {
		return a.manageCredentials(ctx, func(m *ctap2.CredentialManagement) (err error) {
			list, err = a.listCredentials(ctx, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// DeleteCredential deletes a resident credential. It asks as [Authenticator.Credentials] does. A key that does not
// hold the credential gives an error of [KindNoMatch]. The credential's large blob stays: see
// [Authenticator.CollectLargeBlobs].
func (a *Authenticator) DeleteCredential(ctx context.Context, id []byte) error {
	return a.run(ctx, "delete credential", func(ctx context.Context) error {
		if err := checkCredentialID(id); err != nil {
			return err
		}
		return a.manageCredentials(ctx, func(m *ctap2.CredentialManagement) error {
			return a.changesStore(func() error { return m.DeleteCredential(ctx, descriptor(id)) })
		})
	})
}

// UpdateUser replaces the user's names in a resident credential; a name that is empty is removed. The user's ID must
// be the one of the credential, which cannot change. It asks as [Authenticator.Credentials] does. Keys of the preview
// of CTAP 2.1 give an error that wraps [ErrUnsupported].
func (a *Authenticator) UpdateUser(ctx context.Context, id []byte, user ctap2.User) error {
	return a.run(ctx, "update user", func(ctx context.Context) error {
		if err := checkCredentialID(id); err != nil {
			return err
		}
		if len(user.ID) == 0 || len(user.ID) > maxUserID {
			return fmt.Errorf("%w: user ID of %d bytes", ErrInvalidOptions, len(user.ID))
		}
		if !isOn(a.Info(), "credMgmt") {
			return fmt.Errorf("%w: no updating of users", ErrUnsupported)
		}
		return a.manageCredentials(ctx, func(m *ctap2.CredentialManagement) error {
			return a.changesStore(func() error { return m.UpdateUser(ctx, descriptor(id), user) })
		})
	})
}

// maxCredentialID is the length in bytes of the longest credential ID, WebAuthn Level 3 section 4.
const maxCredentialID = 1023

func checkCredentialID(id []byte) error {
	if len(id) == 0 || len(id) > maxCredentialID {
		return fmt.Errorf("%w: credential ID of %d bytes", ErrInvalidOptions, len(id))
	}
	return nil
}

// manageCredentials runs a command with a token for it.
func (a *Authenticator) manageCredentials(
	ctx context.Context, command func(*ctap2.CredentialManagement) error,
) error {
	preview, err := a.offers("management of credentials", "credMgmt", "credentialMgmtPreview", false)
	if err != nil {
		return err
	}
	q := uvQuestion{permissions: ctap2.PermissionCredentialManagement, wish: UVRequired}
	return a.managed(ctx, q, func(token *ctap2.Token) error {
		return command(&ctap2.CredentialManagement{Client: a.client(TouchToVerify), Token: token, Preview: preview})
	})
}

// changesStore runs a command that changes the resident credentials. Most keys say nothing about them in getInfo.
func (a *Authenticator) changesStore(command func() error) error {
	info := a.Info()
	if info.RemainingDiscoverableCredentials == nil && info.EncCredStoreState == nil {
		return command()
	}
	a.stale = true
	return command()
}

// listCredentials lists all, and begins anew once if the key forgot where it was: another program has asked it for
// something meanwhile, or the token has grown old.
func (a *Authenticator) listCredentials(
	ctx context.Context, m *ctap2.CredentialManagement,
) (*ResidentCredentials, error) {
	list, err := listCredentialsOnce(ctx, m, a.progress)
	if errors.Is(err, ctap2.ErrNotAllowed) {
		return listCredentialsOnce(ctx, m, a.progress)
	}
	return list, err
}

// listCredentialsOnce asks for the number of credentials, then for each relying party, then for each credential: one
// command for each of them.
func listCredentialsOnce(
	ctx context.Context, m *ctap2.CredentialManagement, progress func(done, total int),
) (*ResidentCredentials, error) {
	existing, remaining, err := m.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	if existing > maxResident {
		return nil, fmt.Errorf("%w: %d credentials", ErrInvalidResponse, existing)
	}
	list := &ResidentCredentials{Existing: int(existing), Remaining: int(min(remaining, math.MaxInt32))}
	if existing == 0 {
		return list, nil
	}
	progress(0, list.Existing)
	if list.RelyingParties, err = listRPs(ctx, m); err != nil {
		return nil, err
	}
	done := 0
	for i := range list.RelyingParties {
		rp := &list.RelyingParties[i]
		listed := func(n int) { progress(done+n, list.Existing) }
		if rp.Credentials, err = listCredentialsOf(ctx, m, rp.RPIDHash, maxResident-done, listed); err != nil {
			return nil, err
		}
		done += len(rp.Credentials)
	}
	return list, nil
}

// listRPs returns the relying parties without their credentials.
func listRPs(ctx context.Context, m *ctap2.CredentialManagement) ([]ResidentRP, error) {
	first, err := m.EnumerateRPsBegin(ctx)
	if errors.Is(err, ctap2.ErrNoCredentials) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	answers, err := enumerate(ctx, first, *first.TotalRPs, maxResident, m.EnumerateRPsNext, func(int) {})
	if err != nil {
		return nil, err
	}
	seen := make(map[[sha256.Size]byte]bool)
	rps := make([]ResidentRP, len(answers))
	for i, r := range answers {
		hash := [sha256.Size]byte(r.RPIDHash)
		if seen[hash] {
			return nil, fmt.Errorf("%w: the same relying party twice", ErrInvalidResponse)
		}
		seen[hash] = true
		rps[i] = ResidentRP{RP: *r.RP, RPIDHash: hash, Truncated: sha256.Sum256([]byte(r.RP.ID)) != hash}
	}
	return rps, nil
}

// listCredentialsOf returns the credentials of one relying party, not more than room, and tells how many it has.
func listCredentialsOf(
	ctx context.Context, m *ctap2.CredentialManagement, rpIDHash [sha256.Size]byte, room int, listed func(int),
) ([]ResidentCredential, error) {
	first, err := m.EnumerateCredentialsBegin(ctx, rpIDHash)
	if errors.Is(err, ctap2.ErrNoCredentials) { // another program deleted the last one
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	answers, err := enumerate(ctx, first, *first.TotalCredentials, room, m.EnumerateCredentialsNext, listed)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	credentials := make([]ResidentCredential, len(answers))
	for i, r := range answers {
		if seen[string(r.CredentialID.ID)] {
			return nil, fmt.Errorf("%w: the same credential twice", ErrInvalidResponse)
		}
		seen[string(r.CredentialID.ID)] = true
		credentials[i] = residentCredential(r)
	}
	return credentials, nil
}

func residentCredential(r *ctap2.CredentialManagementResponse) ResidentCredential {
	c := ResidentCredential{
		ID:                r.CredentialID.ID,
		User:              *r.User,
		CredProtect:       r.CredProtect,
		LargeBlobKey:      r.LargeBlobKey,
		ThirdPartyPayment: r.ThirdPartyPayment,
	}
	// A public key of no use must not keep a credential from being seen and deleted.
	if key, err := cose.ParseKey(r.PublicKey); err == nil {
		c.PublicKey = key
	}
	return c
}

// enumerate returns the first answer and as many after it as the key counted, which must not be more than room, and
// tells after each how many it has.
func enumerate[T any](
	ctx context.Context, first T, total uint64, room int, next func(context.Context) (T, error), got func(int),
) ([]T, error) {
	if total == 0 {
		return nil, nil
	}
	if total > uint64(room) {
		return nil, fmt.Errorf("%w: %d more of what there can be %d of", ErrInvalidResponse, total, room)
	}
	answers := []T{first}
	got(1)
	for range total - 1 {
		answer, err := next(ctx)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
		got(len(answers))
	}
	return answers, nil
}
