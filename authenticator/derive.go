package authenticator

import (
	"bytes"
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
}

// SecretCredential is a credential that was made with hmac-secret, and what to derive from it.
type SecretCredential struct {
	ID    []byte
	Salts [][]byte // one or two of 32 bytes
	// UserVerification changes the secrets: a credential has others for verified users. Encryption should therefore keep
	// with the credential which of UVDiscouraged and UVRequired it was, and UVPreferred is refused.
	UserVerification UserVerification
}

// Secrets are derived from one credential of one key.
type Secrets struct {
	Key          hid.Info
	CredentialID []byte
	Secrets      [][]byte // of 32 bytes, one for each salt, to be kept secret
}

// Derive gets secrets for encryption (hmac-secret, CTAP 2.3, section 12.7) from the key that holds one of the
// credentials, after a touch, and its PIN if the options or the key want it. The same options give the same secrets on
// the same key. Keys without any of the credentials are told apart without a touch or a PIN, where the user need not be
// verified; they blink nevertheless and explain themselves.
func (c *Client) Derive(ctx context.Context, opts *DeriveOptions) (*Secrets, error) {
	if err := opts.check(); err != nil {
		return nil, failedIn("derive", err)
	}
	secrets, err := conduct(ctx, c, func(ctx context.Context, p *player[*Secrets]) (*Secrets, error) {
		return deriveOn(ctx, p.device, opts)
	})
	if err != nil {
		return nil, failedIn("derive", err)
	}
	return secrets, nil
}

func (o *DeriveOptions) check() error {
	switch {
	case o.RPID == "":
		return fmt.Errorf("%w: no RP ID", ErrInvalidOptions)
	case len(o.Credentials) == 0:
		return fmt.Errorf("%w: no credentials", ErrInvalidOptions)
	}
	for _, credential := range o.Credentials {
		if err := credential.check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *SecretCredential) check() error {
	switch {
	case len(c.Salts) == 0:
		return fmt.Errorf("%w: no salt", ErrInvalidOptions)
	case c.UserVerification == UVPreferred:
		return fmt.Errorf("%w: preferred user verification would give one secret today and another tomorrow", ErrInvalidOptions)
	}
	return checkSalts(c.Salts)
}

func deriveOn(ctx context.Context, a *Authenticator, opts *DeriveOptions) (*Secrets, error) {
	if !a.Info().HasExtension("hmac-secret") {
		return nil, fmt.Errorf("%w: hmac-secret", ErrUnsupported)
	}
	candidates, err := a.candidates(ctx, opts)
	if err != nil {
		return nil, err
	}
	assertion, err := a.assertionBy(ctx, opts.RPID, candidates)
	if err == nil && assertion.HMACSecrets == nil { // now it is known by which
		assertion, err = a.assertionBy(ctx, opts.RPID, withID(candidates, assertion.CredentialID))
	}
	if err != nil {
		return nil, err
	}
	return &Secrets{Key: a.Key(), CredentialID: assertion.CredentialID, Secrets: assertion.HMACSecrets}, nil
}

// withID returns the credential with the ID, which is one of the list.
func withID(credentials []SecretCredential, id []byte) []SecretCredential {
	i := slices.IndexFunc(credentials, func(c SecretCredential) bool { return bytes.Equal(c.ID, id) })
	return credentials[i : i+1]
}

// assertionBy has one of the credentials sign, with its secrets unless the key does not tell them apart without a touch,
// or the user is verified for the sake of others.
func (a *Authenticator) assertionBy(ctx context.Context, rpID string, candidates []SecretCredential) (*Assertion, error) {
	hash := make([]byte, hashSize)
	rand.Read(hash) // nobody will verify the signature
	o := &AssertionOptions{RPID: rpID, ClientDataHash: hash}
	for _, credential := range candidates {
		o.AllowList = append(o.AllowList, credential.ID)
		o.UserVerification = max(o.UserVerification, credential.UserVerification)
	}
	o.saltsFor = func(id []byte) [][]byte {
		if c := withID(candidates, id)[0]; c.UserVerification == o.UserVerification {
			return c.Salts
		}
		return nil
	}
	assertions, err := a.GetAssertions(ctx, o)
	if err != nil {
		return nil, err
	}
	return assertions[0], nil
}

// candidates returns the credential that the key holds. On a key that says nothing without a touch it may be any, and it
// may be any of those for which the user will be verified, since some show themselves to nobody else (credProtect).
func (a *Authenticator) candidates(ctx context.Context, opts *DeriveOptions) ([]SecretCredential, error) {
	var ids [][]byte
	var verified []SecretCredential
	for _, credential := range opts.Credentials {
		ids = append(ids, credential.ID)
		if credential.UserVerification == UVRequired {
			verified = append(verified, credential)
		}
	}
	found, err := a.Holds(ctx, opts.RPID, ids)
	switch {
	case err == nil:
		return withID(opts.Credentials, found), nil
	case refusesSilence(err):
		return opts.Credentials, nil
	case verified != nil && isAny(err, ctap2.ErrNoCredentials):
		return verified, nil
	}
	return nil, err
}

// Holds returns the first credential of the list that the key holds, and costs neither a touch nor a PIN. Without one the
// error wraps ctap2.ErrNoCredentials; the key may nevertheless hold one that it shows to verified users only (credProtect
// level 3). Some keys say nothing without a touch, or a PIN, which is another error.
func (a *Authenticator) Holds(ctx context.Context, rpID string, credentialIDs [][]byte) (id []byte, err error) {
	err = a.run(ctx, "holds", func(ctx context.Context) error {
		if rpID == "" || len(credentialIDs) == 0 {
			return fmt.Errorf("%w: no RP ID or no credentials", ErrInvalidOptions)
		}
		if a.u2f != nil {
			id, err = a.findU2F(ctx, rpID, credentialIDs)
		} else {
			id, err = a.findAny(ctx, rpID, credentialIDs)
		}
		if id == nil && err == nil {
			err = ctap2.ErrNoCredentials
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return id, nil
}

// findAny is find for a list of any length.
func (a *Authenticator) findAny(ctx context.Context, rpID string, ids [][]byte) (id []byte, err error) {
	list, err := a.newCredentialList(ids, &ctap2.GetAssertionRequest{RPID: rpID, ClientDataHash: make([]byte, hashSize)})
	if err != nil {
		return nil, err
	}
	err = list.fitted(func() error {
		for _, batch := range list.batches {
			if id, err = a.find(ctx, batch, rpID, authorization{}); id != nil || err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// Location is where a credential is.
type Location struct {
	Key          hid.Info
	CredentialID []byte
}

// Locate returns which of the keys that are plugged in now hold one of the credentials, in no particular order. It costs
// neither a touch nor a PIN: see [Authenticator.Holds]. Keys that cannot be asked are left out.
func (c *Client) Locate(ctx context.Context, rpID string, credentialIDs [][]byte) ([]Location, error) {
	if rpID == "" || len(credentialIDs) == 0 {
		return nil, fmt.Errorf("authenticator: locate: %w: no RP ID or no credentials", ErrInvalidOptions)
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	present, events, err := c.watch(watching)
	if err != nil {
		return nil, failedIn("locate", err)
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
	if ctx.Err() != nil {
		return nil, wrap(ctx, "locate", context.Cause(ctx))
	}
	return all, nil
}

func (c *Client) holds(ctx context.Context, key hid.Info, rpID string, credentialIDs [][]byte) ([]byte, error) {
	a, err := c.open(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Holds(ctx, rpID, credentialIDs)
}
