package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// AssertionOptions say what [Authenticator.GetAssertions] shall have signed.
type AssertionOptions struct {
	RPID             string
	ClientDataHash   []byte   // 32 bytes: see [webauthn.ClientDataHash]
	AllowList        [][]byte // IDs of credentials; empty means every resident key of the relying party
	UserVerification UserVerification
	AppID            string // if the RP ID has no match, use a credential that was made for this U2F AppID
	NoTouch          bool   // do not wait for a touch; the signature then says so, and most keys derive no secret

	// HMACSecretSalts asks for the secrets that belong to one or two salts of 32 bytes, from a credential that was made
	// with HMACSecret. They are different ones with and without user verification.
	HMACSecretSalts [][]byte
}

// Assertion is a signature by one credential.
type Assertion struct {
	CredentialID      []byte
	User              *ctap2.User // of a resident key: its ID, and the names if the user was verified; else may be nil
	AuthData          []byte      // as signed
	AuthenticatorData *ctap2.AuthenticatorData
	Signature         []byte   // over AuthData and the client data hash: see [webauthn.VerifySignature]
	HMACSecrets       [][]byte // of 32 bytes, one for each salt, secret
}

// maxAssertions is more than any key holds for one relying party.
const maxAssertions = 1024

// GetAssertions has a credential of the allow list sign, or every resident key of the relying party, newest first. It
// checks everything but the signatures, for which the public keys are needed. A key without a match gives an error that
// wraps ctap2.ErrNoCredentials, most after a touch.
func (a *Authenticator) GetAssertions(ctx context.Context, opts *AssertionOptions) (all []*Assertion, err error) {
	err = a.run(ctx, "get assertions", func(ctx context.Context) error {
		all, err = a.getAssertions(ctx, opts)
		return err
	})
	return all, err
}

func (a *Authenticator) getAssertions(ctx context.Context, opts *AssertionOptions) ([]*Assertion, error) {
	if err := opts.check(a.Info()); err != nil {
		return nil, err
	}
	if a.u2f != nil {
		return a.getAssertionsU2F(ctx, opts)
	}
	all, err := a.getAssertionsFor(ctx, opts.RPID, opts)
	if opts.AppID != "" && errors.Is(err, ctap2.ErrNoCredentials) {
		return a.getAssertionsFor(ctx, opts.AppID, opts)
	}
	return all, err
}

func (a *Authenticator) getAssertionsFor(ctx context.Context, rpID string, opts *AssertionOptions) (all []*Assertion, err error) {
	req := opts.request(rpID, a.Info())
	allow, err := a.newCredentialList(opts.AllowList, req)
	if err != nil {
		return nil, err
	}
	allow.required = true
	u := use{permissions: ctap2.PermissionGetAssertion, rpID: rpID}
	method := decideUV(a.Info(), uvQuestion{
		permissions: u.permissions, wish: opts.UserVerification, silent: opts.NoTouch,
	})
	err = a.authorized(ctx, method, u, func(z authorization) error {
		if req.AllowList, err = a.narrow(ctx, allow, rpID, z); err != nil {
			return err
		}
		all, err = a.getAssertionsWith(ctx, req, opts, z)
		return err
	})
	return all, err
}

func (o *AssertionOptions) check(info *ctap2.Info) error {
	switch {
	case len(o.ClientDataHash) != hashSize:
		return fmt.Errorf("%w: client data hash of %d bytes", ErrInvalidOptions, len(o.ClientDataHash))
	case o.RPID == "":
		return fmt.Errorf("%w: no RP ID", ErrInvalidOptions)
	case len(o.HMACSecretSalts) > 2:
		return fmt.Errorf("%w: %d salts", ErrInvalidOptions, len(o.HMACSecretSalts))
	case len(o.HMACSecretSalts) > 0 && !info.HasExtension("hmac-secret"):
		return fmt.Errorf("%w: hmac-secret", ErrUnsupported)
	}
	for _, salt := range o.HMACSecretSalts {
		if len(salt) != saltSize {
			return fmt.Errorf("%w: salt of %d bytes", ErrInvalidOptions, len(salt))
		}
	}
	return nil
}

func (o *AssertionOptions) request(rpID string, info *ctap2.Info) *ctap2.GetAssertionRequest {
	req := &ctap2.GetAssertionRequest{RPID: rpID, ClientDataHash: o.ClientDataHash}
	if up, _ := info.Option("up"); up && o.NoTouch {
		req.Options.UserPresence = new(bool)
	}
	return req
}

func (a *Authenticator) getAssertionsWith(
	ctx context.Context, req *ctap2.GetAssertionRequest, opts *AssertionOptions, z authorization,
) ([]*Assertion, error) {
	req.PINUVAuthParam, req.PINUVAuthProtocol = z.param(req.ClientDataHash)
	req.Options.UserVerification = z.uv
	check := assertionCheck{
		expectation: a.expected(req.RPID, !opts.NoTouch, z),
		allow:       req.AllowList,
		salts:       len(opts.HMACSecretSalts),
	}
	if check.salts == 0 {
		return a.walkAssertions(ctx, req, check)
	}
	kept := a.agreement.secret != nil
	all, err := a.deriveSecrets(ctx, req, opts, check)
	if kept && errors.Is(err, ctap2.ErrPINAuthInvalid) { // the key has another key pair meanwhile: see agreement
		return a.deriveSecrets(ctx, req, opts, check)
	}
	return all, err
}

// deriveSecrets is walkAssertions with hmac-secret. A secret that did not work is forgotten.
func (a *Authenticator) deriveSecrets(
	ctx context.Context, req *ctap2.GetAssertionRequest, opts *AssertionOptions, check assertionCheck,
) (all []*Assertion, err error) {
	if check.secret, err = a.keptSecret(ctx); err != nil {
		return nil, err
	}
	salts := bytes.Join(opts.HMACSecretSalts, nil)
	defer clear(salts)
	if req.Extensions.HMACSecret, err = ctap2.NewHMACSecretInput(check.secret, salts); err != nil {
		return nil, err
	}
	if all, err = a.walkAssertions(ctx, req, check); err != nil {
		a.agreement.forget()
	}
	return all, err
}

// walkAssertions fetches all assertions. The key keeps a cursor, so nothing else may be sent meanwhile.
func (a *Authenticator) walkAssertions(
	ctx context.Context, req *ctap2.GetAssertionRequest, check assertionCheck,
) (all []*Assertion, err error) {
	client := a.client(TouchToAuthenticate)
	resp, err := client.GetAssertion(ctx, req)
	if err != nil {
		return nil, err
	}
	count := max(1, resp.NumberOfCredentials)
	if count > maxAssertions {
		return nil, fmt.Errorf("%w: %d credentials", ErrInvalidResponse, count)
	}
	for {
		assertion, err := check.assertion(resp)
		if err != nil {
			return nil, err
		}
		all = append(all, assertion)
		if uint64(len(all)) == count {
			return all, nil
		}
		if resp, err = client.GetNextAssertion(ctx); err != nil {
			return nil, err
		}
	}
}

// assertionCheck is what each of the assertions that answer one request is held against.
type assertionCheck struct {
	expectation
	allow  []ctap2.CredentialDescriptor
	secret *ctap2.SharedSecret // nil unless secrets were asked for
	salts  int
}

func (c assertionCheck) assertion(resp *ctap2.GetAssertionResponse) (*Assertion, error) {
	data, err := c.check(resp.AuthData)
	if err != nil {
		return nil, err
	}
	id, err := c.credentialID(resp.Credential)
	if err != nil {
		return nil, err
	}
	if len(c.allow) == 0 && (resp.User == nil || len(resp.User.ID) == 0) {
		return nil, fmt.Errorf("%w: a resident key without a user", ErrInvalidResponse)
	}
	if resp.User != nil && len(resp.User.ID) > maxUserID {
		return nil, fmt.Errorf("%w: user ID of %d bytes", ErrInvalidResponse, len(resp.User.ID))
	}
	secrets, err := c.secrets(data)
	if err != nil {
		return nil, err
	}
	return &Assertion{
		CredentialID:      id,
		User:              resp.User,
		AuthData:          resp.AuthData,
		AuthenticatorData: data,
		Signature:         resp.Signature,
		HMACSecrets:       secrets,
	}, nil
}

// credentialID returns which credential signed. A CTAP 2.0 key may leave that out if there was but one to choose from.
func (c assertionCheck) credentialID(got *ctap2.CredentialDescriptor) ([]byte, error) {
	if got == nil && len(c.allow) == 1 {
		return c.allow[0].ID, nil
	}
	if got == nil || len(got.ID) == 0 {
		return nil, fmt.Errorf("%w: no credential in it", ErrInvalidResponse)
	}
	if len(c.allow) > 0 && !lists(c.allow, got.ID) {
		return nil, fmt.Errorf("%w: a credential that was not allowed", ErrInvalidResponse)
	}
	return got.ID, nil
}

// secrets decrypts the output of hmac-secret.
func (c assertionCheck) secrets(data *ctap2.AuthenticatorData) ([][]byte, error) {
	if c.secret == nil {
		return nil, nil
	}
	var outputs ctap2.GetAssertionOutputs
	if err := decodeExtensions(data, &outputs); err != nil {
		return nil, err
	}
	plain, err := c.secret.Decrypt(outputs.HMACSecret)
	if err != nil || len(plain) != c.salts*saltSize {
		clear(plain)
		return nil, fmt.Errorf("%w: hmac-secret missing or of the wrong size", ErrInvalidResponse)
	}
	secrets := make([][]byte, c.salts)
	for i := range secrets {
		secrets[i] = plain[i*saltSize : (i+1)*saltSize : (i+1)*saltSize]
	}
	return secrets, nil
}
