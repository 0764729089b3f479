package authenticator

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// AssertionOptions say what [Authenticator.GetAssertions] shall have signed. A key that does not know an extension that
// is asked for is an error, [ErrUnsupported].
type AssertionOptions struct {
	RPID             string
	ClientDataHash   []byte   // 32 bytes: see [webauthn.ClientDataHash]
	AllowList        [][]byte // IDs of credentials; empty means every resident key of the relying party
	UserVerification UserVerification
	AppID            string // if the RP ID has no match, use a credential that was made for this U2F AppID
	NoTouch          bool   // do not wait for a touch; the signature then says so, and most keys derive no secret

	// HMACSecretSalts asks for the secrets that belong to one or two salts of 32 bytes, from a credential that was made
	// with HMACSecret. They are different ones with and without user verification. To rotate a secret, ask for those of
	// the old salt and of a new one at once.
	HMACSecretSalts [][]byte

	CredBlob          bool // ask for the CredBlob that the credential was made with
	ThirdPartyPayment bool // ask whether the credential was made for it

	LargeBlobKey   bool   // ask for the key to the credential's large blob in the key's storage
	LargeBlobRead  bool   // ask for the credential's large blob (CTAP 2.3)
	LargeBlobWrite []byte // replace it (CTAP 2.3), compressed, if there is anything to write; with an allow list of one ID

	// For ceremonies of WebAuthn.
	saltsFor   func(credentialID []byte) [][]byte // salts that depend on the credential; nil means HMACSecretSalts
	arrayWrite []byte                             // with LargeBlobKey: to be written into the array as the large blob
}

// Assertion is a signature by one credential.
type Assertion struct {
	CredentialID      []byte
	User              *ctap2.User // of a resident key: its ID, and the names if the user was verified; else may be nil
	UserSelected      bool        // the user chose the account, among others, on the key itself
	AuthData          []byte      // as signed
	AuthenticatorData *ctap2.AuthenticatorData
	Signature         []byte // over AuthData and the client data hash: see [webauthn.VerifySignature]

	// What was asked for.
	HMACSecrets       [][]byte // of 32 bytes, one for each salt, secret
	CredBlob          []byte   // empty if the credential has none
	ThirdPartyPayment bool     // the credential may confirm payments that others than the RP initiate
	LargeBlobKey      []byte   // 32 bytes, secret; nil if the credential has none
	LargeBlob         []byte   // as it was written; nil if there is none
	LargeBlobWritten  bool     // false: the credential was not made for it, or the key has no room

	UnsignedExtensions []byte // extension outputs outside of the authenticator data, one CBOR item as the key sent it, or nil
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
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := opts.supportedBy(a.Info()); err != nil {
		return nil, err
	}
	if a.u2f != nil {
		return a.getAssertionsU2F(ctx, opts)
	}
	var all []*Assertion
	var err error
	for _, rpID := range a.likelyIdentities(ctx, opts) {
		all, err = a.getAssertionsFor(ctx, rpID, opts)
		if !errors.Is(err, ctap2.ErrNoCredentials) {
			break
		}
	}
	return all, err
}

// likelyIdentities returns for which of RP ID and AppID the key may have made a credential of the list. To try the wrong
// one could cost a touch, so it is asked silently first.
func (a *Authenticator) likelyIdentities(ctx context.Context, opts *AssertionOptions) []string {
	if opts.AppID == "" || len(opts.AllowList) == 0 {
		return []string{opts.RPID}
	}
	for _, rpID := range identities(opts.RPID, opts.AppID) {
		id, err := a.findAny(ctx, rpID, opts.AllowList)
		switch {
		case err != nil: // it does not say
			return identities(opts.RPID, opts.AppID)
		case id != nil:
			return []string{rpID}
		}
	}
	return []string{opts.RPID}
}

func (a *Authenticator) getAssertionsFor(
	ctx context.Context, rpID string, opts *AssertionOptions,
) (all []*Assertion, err error) {
	s, err := a.planSigning(rpID, opts)
	if err != nil {
		return nil, err
	}
	err = a.authorized(ctx, s.method, s.use, func(z authorization) error {
		err := s.allow.fitted(func() error {
			all, err = a.sign(ctx, s, z)
			return err
		})
		if err == nil && opts.arrayWrite != nil {
			err = a.writeBlobOf(ctx, all[0], opts.arrayWrite, z.token)
		}
		return err
	})
	return all, err
}

// signing is a request for assertions that the key can fulfil, and how the user is verified for it.
type signing struct {
	opts   *AssertionOptions
	req    *ctap2.GetAssertionRequest
	allow  credentialList
	method uvMethod
	use    use
}

// planSigning makes the request, from options that were checked. It sends nothing.
func (a *Authenticator) planSigning(rpID string, opts *AssertionOptions) (s *signing, err error) {
	s = &signing{opts: opts, req: opts.request(rpID, a.Info())}
	if s.allow, err = a.newCredentialList(opts.AllowList, s.req); err != nil {
		return nil, err
	}
	s.allow.required = true
	s.allow.single = opts.saltsFor != nil && len(opts.AllowList) > 1
	s.use = use{permissions: ctap2.PermissionGetAssertion, rpID: rpID}
	wish := opts.UserVerification
	if opts.arrayWrite != nil {
		s.use.permissions |= ctap2.PermissionLargeBlobWrite
		wish = max(wish, UVPreferred)
	}
	s.method = decideUV(a.Info(), uvQuestion{permissions: s.use.permissions, wish: wish, silent: opts.NoTouch})
	return s, nil
}

// sign has the key sign under an authorization.
func (a *Authenticator) sign(ctx context.Context, s *signing, z authorization) (all []*Assertion, err error) {
	if s.req.AllowList, err = a.narrow(ctx, s.allow, s.req.RPID, z); err != nil {
		return nil, err
	}
	s.opts = s.opts.withSaltsFor(s.req.AllowList)
	s.req.PINUVAuthParam, s.req.PINUVAuthProtocol = z.param(s.req.ClientDataHash)
	s.req.Options.UserVerification = z.uv
	check := assertionCheck{
		expectation: a.expected(s.req.RPID, !s.opts.NoTouch, z),
		opts:        s.opts,
		allow:       s.req.AllowList,
		credBlobMax: a.Info().MaxCredBlobLength,
	}
	if len(s.opts.HMACSecretSalts) == 0 {
		return a.walkAssertions(ctx, s.req, check)
	}
	err = a.withSecret(ctx, func(secret *ctap2.SharedSecret) error {
		check.secret = secret
		if s.req.Extensions.HMACSecret, err = hmacSecretInput(secret, s.opts.HMACSecretSalts); err != nil {
			return err
		}
		all, err = a.walkAssertions(ctx, s.req, check)
		return err
	})
	return all, err
}

// withSaltsFor returns the options with the salts for the credential that will sign. When it is not known which one will,
// because the key says nothing without a touch, there are none.
func (o *AssertionOptions) withSaltsFor(allow []ctap2.CredentialDescriptor) *AssertionOptions {
	if o.saltsFor == nil {
		return o
	}
	own := *o
	own.HMACSecretSalts = nil
	if len(allow) == 1 {
		own.HMACSecretSalts = o.saltsFor(allow[0].ID)
	}
	return &own
}

func (o *AssertionOptions) check() error {
	switch {
	case len(o.ClientDataHash) != hashSize:
		return fmt.Errorf("%w: client data hash of %d bytes", ErrInvalidOptions, len(o.ClientDataHash))
	case o.RPID == "":
		return fmt.Errorf("%w: no RP ID", ErrInvalidOptions)
	case o.LargeBlobKey && o.usesLargeBlob():
		return fmt.Errorf("%w: largeBlobKey and largeBlob together", ErrInvalidOptions)
	case o.LargeBlobRead && len(o.LargeBlobWrite) > 0:
		return fmt.Errorf("%w: a large blob to read and to write", ErrInvalidOptions)
	case len(o.LargeBlobWrite) > 0 && len(o.AllowList) != 1:
		return fmt.Errorf("%w: a large blob to write for %d credentials", ErrInvalidOptions, len(o.AllowList))
	case len(o.LargeBlobWrite) > ctap2.MaxLargeBlob:
		return fmt.Errorf("%w: a large blob of %d bytes", ErrInvalidOptions, len(o.LargeBlobWrite))
	}
	return checkSalts(o.HMACSecretSalts)
}

// usesLargeBlob is about the extension largeBlob, not largeBlobKey.
func (o *AssertionOptions) usesLargeBlob() bool { return o.LargeBlobRead || len(o.LargeBlobWrite) > 0 }

// supportedBy finds what the key cannot do.
func (o *AssertionOptions) supportedBy(info *ctap2.Info) error {
	return knowsExtensions(info,
		extensionWish{"hmac-secret", len(o.HMACSecretSalts) > 0},
		extensionWish{"credBlob", o.CredBlob},
		extensionWish{"thirdPartyPayment", o.ThirdPartyPayment},
		extensionWish{"largeBlobKey", o.LargeBlobKey},
		extensionWish{"largeBlob", o.usesLargeBlob()},
	)
}

func (o *AssertionOptions) request(rpID string, info *ctap2.Info) *ctap2.GetAssertionRequest {
	req := &ctap2.GetAssertionRequest{
		RPID:           rpID,
		ClientDataHash: o.ClientDataHash,
		Extensions: ctap2.GetAssertionExtensions{
			CredBlob:          o.CredBlob,
			LargeBlobKey:      o.LargeBlobKey,
			ThirdPartyPayment: o.ThirdPartyPayment,
			LargeBlob:         ctap2.LargeBlobInput{Read: o.LargeBlobRead},
		},
	}
	if len(o.LargeBlobWrite) > 0 {
		req.Extensions.LargeBlob.Write = ctap2.CompressLargeBlob(o.LargeBlobWrite)
		req.Extensions.LargeBlob.OriginalSize = uint64(len(o.LargeBlobWrite))
	}
	if isOn(info, "up") && o.NoTouch {
		req.Options.UserPresence = new(bool)
	}
	return req
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
