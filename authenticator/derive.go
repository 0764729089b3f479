package authenticator

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// DeriveOptions say which secrets [Client.Derive] gets.
type DeriveOptions struct {
	RPID        string
	Credentials []SecretCredential // any of them will do; at least one
	// UserVerification changes the secrets: a credential has others for verified users. Encryption should therefore keep
	// with the credential which of UVDiscouraged and UVRequired it was, and UVPreferred is refused.
	UserVerification UserVerification
}

// SecretCredential is a credential that was made with hmac-secret, and what to derive from it.
type SecretCredential struct {
	ID    []byte
	Salts [][]byte // one or two of 32 bytes
}

// Secrets are derived from one credential of one key.
type Secrets struct {
	Key          hid.Info
	CredentialID []byte
	Secrets      [][]byte // of 32 bytes, one for each salt, to be kept secret
}

// Derive gets secrets for encryption (hmac-secret, CTAP 2.3, section 12.7) from the key that holds one of the
// credentials, after a touch, and its PIN if the options or the key want it. The same options give the same secrets on
// the same key. Keys without any of the credentials are told apart without a touch or a PIN; they blink nevertheless and
// explain themselves.
func (c *Client) Derive(ctx context.Context, opts *DeriveOptions) (*Secrets, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("authenticator: derive: %w", err)
	}
	secrets, err := conduct(ctx, c, func(ctx context.Context, p *player[*Secrets]) (*Secrets, error) {
		return deriveOn(ctx, p.device, opts)
	})
	if err != nil {
		return nil, fmt.Errorf("authenticator: derive: %w", err)
	}
	return secrets, nil
}

func (o *DeriveOptions) check() error {
	switch {
	case o.RPID == "":
		return fmt.Errorf("%w: no RP ID", ErrInvalidOptions)
	case len(o.Credentials) == 0:
		return fmt.Errorf("%w: no credentials", ErrInvalidOptions)
	case o.UserVerification == UVPreferred:
		return fmt.Errorf("%w: preferred user verification would give one secret today and another tomorrow", ErrInvalidOptions)
	}
	for _, credential := range o.Credentials {
		if len(credential.Salts) == 0 {
			return fmt.Errorf("%w: no salt", ErrInvalidOptions)
		}
	}
	return nil
}

func deriveOn(ctx context.Context, a *Authenticator, opts *DeriveOptions) (*Secrets, error) {
	credential, err := a.pick(ctx, opts)
	if err != nil {
		return nil, err
	}
	hash := make([]byte, hashSize)
	rand.Read(hash) // nobody will verify the signature
	assertions, err := a.GetAssertions(ctx, &AssertionOptions{
		RPID:             opts.RPID,
		ClientDataHash:   hash,
		AllowList:        [][]byte{credential.ID},
		UserVerification: opts.UserVerification,
		HMACSecretSalts:  credential.Salts,
	})
	if err != nil {
		return nil, err
	}
	return &Secrets{Key: a.Key(), CredentialID: credential.ID, Secrets: assertions[0].HMACSecrets}, nil
}

// pick chooses the credential that the key holds. One that shows itself to verified users only (credProtect) is not found
// this way, so if there is but one to choose from, and the user will be verified, it may be there.
func (a *Authenticator) pick(ctx context.Context, opts *DeriveOptions) (SecretCredential, error) {
	ids := make([][]byte, len(opts.Credentials))
	for i, credential := range opts.Credentials {
		ids[i] = credential.ID
	}
	found, err := a.Holds(ctx, opts.RPID, ids)
	switch {
	case err == nil:
		i := slices.IndexFunc(opts.Credentials, func(c SecretCredential) bool { return string(c.ID) == string(found) })
		return opts.Credentials[i], nil
	case len(ids) == 1 && opts.UserVerification == UVRequired && isAny(err, ctap2.ErrNoCredentials):
		return opts.Credentials[0], nil
	}
	return SecretCredential{}, err
}

// Holds returns the first credential of the list that the key holds, and costs neither a touch nor a PIN. Without one the
// error wraps ctap2.ErrNoCredentials; the key may nevertheless hold one that it shows to verified users only (credProtect
// level 3). Some keys say nothing without a touch, which is another error.
func (a *Authenticator) Holds(ctx context.Context, rpID string, credentialIDs [][]byte) ([]byte, error) {
	if len(credentialIDs) == 0 {
		return nil, fmt.Errorf("authenticator: holds: %w: no credentials", ErrInvalidOptions)
	}
	assertions, err := a.GetAssertions(ctx, &AssertionOptions{
		RPID:           rpID,
		ClientDataHash: make([]byte, hashSize),
		AllowList:      credentialIDs,
		NoTouch:        true,
	})
	if err != nil {
		return nil, err
	}
	return assertions[0].CredentialID, nil
}

// Location is where a credential is.
type Location struct {
	Key          hid.Info
	CredentialID []byte
}

// Locate returns which of the keys that are plugged in now hold one of the credentials, in no particular order. It costs
// neither a touch nor a PIN: see [Authenticator.Holds]. Keys that cannot be asked are left out.
func (c *Client) Locate(ctx context.Context, rpID string, credentialIDs [][]byte) ([]Location, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	present, events, err := c.watch(watching)
	if err != nil {
		return nil, fmt.Errorf("authenticator: locate: %w", err)
	}
	var (
		asked sync.WaitGroup
		mu    sync.Mutex // guards all
		all   []Location
	)
	for _, key := range present {
		asked.Go(func() {
			id, err := c.holds(ctx, key, rpID, credentialIDs)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				all = append(all, Location{key, id})
			}
		})
	}
	asked.Wait()
	cancel()
	for range events { // until nothing of the watch is left
	}
	return all, context.Cause(ctx)
}

func (c *Client) holds(ctx context.Context, key hid.Info, rpID string, credentialIDs [][]byte) ([]byte, error) {
	a, err := c.open(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Holds(ctx, rpID, credentialIDs)
}
