package authenticator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Authenticate has a credential of the key that the user chooses sign, as navigator.credentials.get does (WebAuthn Level 3,
// section 5.1.4), for a server's options and the origin that they came from. Without allowCredentials the user may have to
// choose an account: UI.ChooseAccount. The result is what the server expects. Extensions that the key does not have are
// left out. [AdviceOn] tells the name of the error that a browser would have thrown.
func (c *Client) Authenticate(
	ctx context.Context, origin string, o *webauthn.RequestOptions,
) (*webauthn.AuthenticationResponse, error) {
	resp, err := c.authenticate(ctx, origin, o)
	if err != nil {
		return nil, failedIn("authenticate", err)
	}
	return resp, nil
}

func (c *Client) authenticate(
	ctx context.Context, origin string, o *webauthn.RequestOptions,
) (*webauthn.AuthenticationResponse, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	s := signIn{RequestOptions: o}
	var err error
	if s.scene, err = c.scene(ctx, webauthn.TypeGet, origin, o.RPID, o.Challenge); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout(o.Timeout))
	defer cancel()
	return conduct(ctx, c, func(ctx context.Context, p *player[*webauthn.AuthenticationResponse]) (*webauthn.AuthenticationResponse, error) {
		return signInOn(ctx, p, &s)
	})
}

// signIn is a request for a signature, whatever key will make it.
type signIn struct {
	*webauthn.RequestOptions
	scene
}

// signInOn signs on one key.
func signInOn[T any](ctx context.Context, p *player[T], s *signIn) (*webauthn.AuthenticationResponse, error) {
	opts := s.optionsFor(p.device.Info())
	all, err := p.device.GetAssertions(ctx, opts)
	if err != nil {
		return nil, err
	}
	assertion := all[0]                               // of several that an allow list matches, any will do
	if len(all) > 1 && len(s.AllowCredentials) == 0 { // else the user may have chosen on the key itself
		if assertion, err = p.chooseAccount(ctx, s.rpID, all); err != nil {
			return nil, err
		}
	}
	blob, err := s.largeBlob(ctx, p.device, opts, assertion)
	if err != nil {
		return nil, err
	}
	return s.response(assertion, opts, blob), nil
}

// optionsFor returns what to ask of a key.
func (s *signIn) optionsFor(info *ctap2.Info) *AssertionOptions {
	x := &s.Extensions
	opts := &AssertionOptions{
		RPID:             s.rpID,
		ClientDataHash:   s.hash(),
		AllowList:        ids(s.AllowCredentials),
		UserVerification: userVerification(s.UserVerification),
		AppID:            x.AppID,
	}
	if info.HasExtension("hmac-secret") {
		s.addSecrets(opts)
	}
	opts.CredBlob = x.GetCredBlob && info.HasExtension("credBlob")
	opts.ThirdPartyPayment = isPayment(x.Payment) && info.HasExtension("thirdPartyPayment")
	if x.LargeBlob != nil {
		s.addLargeBlob(opts, info)
	}
	return opts
}

func (s *signIn) addSecrets(opts *AssertionOptions) {
	x := &s.Extensions
	switch {
	case x.HMACGetSecret != nil:
		opts.HMACSecretSalts = [][]byte{x.HMACGetSecret.Salt1}
		if x.HMACGetSecret.Salt2 != nil {
			opts.HMACSecretSalts = append(opts.HMACSecretSalts, x.HMACGetSecret.Salt2)
		}
	case x.PRF == nil:
		return
	case len(x.PRF.EvalByCredential) > 0:
		opts.saltsFor = s.saltsFor
		opts.UserVerification = UVRequired
	case x.PRF.Eval != nil:
		opts.HMACSecretSalts = prfSalts(x.PRF.Eval)
		opts.UserVerification = UVRequired // WebAuthn Level 3, section 10.1.4
	}
}

// saltsFor returns the salts for one of the credentials that are allowed.
func (s *signIn) saltsFor(credentialID []byte) [][]byte {
	if inputs, ok := s.Extensions.PRF.EvalByCredential[string(credentialID)]; ok {
		return prfSalts(&inputs)
	}
	return prfSalts(s.Extensions.PRF.Eval)
}

// addLargeBlob asks for the large blob in the way of the key: by CTAP 2.3's extension, or for the key to the array of
// CTAP 2.1.
func (s *signIn) addLargeBlob(opts *AssertionOptions, info *ctap2.Info) {
	blob := s.Extensions.LargeBlob
	switch {
	case info.HasExtension("largeBlob"):
		opts.LargeBlobRead, opts.LargeBlobWrite = blob.Read, blob.Write
	case hasLargeBlobKeys(info):
		opts.LargeBlobKey = blob.Read || blob.Write != nil
		opts.arrayWrite = blob.Write
	}
}

// largeBlob returns the large blob that the options want read.
func (s *signIn) largeBlob(ctx context.Context, a *Authenticator, opts *AssertionOptions, from *Assertion) ([]byte, error) {
	if !opts.LargeBlobKey || !s.Extensions.LargeBlob.Read || from.LargeBlobKey == nil {
		return from.LargeBlob, nil
	}
	blobs, err := a.LargeBlobs(ctx)
	if errors.Is(err, ctap2.ErrLargeBlobArray) { // damaged: there is nothing to read
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	blob, _, err := blobs.Get(from.LargeBlobKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	return blob, nil
}

func (s *signIn) response(from *Assertion, opts *AssertionOptions, blob []byte) *webauthn.AuthenticationResponse {
	resp := &webauthn.AuthenticationResponse{
		RawID:                   from.CredentialID,
		ClientDataJSON:          s.clientDataJSON,
		AuthenticatorData:       from.AuthData,
		Signature:               from.Signature,
		AuthenticatorAttachment: webauthn.CrossPlatform,
		ClientExtensionResults:  s.results(from, opts, blob),
	}
	if from.User != nil {
		resp.UserHandle = from.User.ID
	}
	return resp
}

// results answers the extensions that were asked for.
func (s *signIn) results(from *Assertion, opts *AssertionOptions, blob []byte) (results webauthn.ExtensionResults) {
	x := &s.Extensions
	if x.AppID != "" {
		results.AppID = new(from.AuthenticatorData.RPIDHash == sha256.Sum256([]byte(x.AppID)))
	}
	switch {
	case x.HMACGetSecret != nil && from.HMACSecrets != nil:
		results.HMACGetSecret = &webauthn.HMACSecrets{Output1: from.HMACSecrets[0]}
		if len(from.HMACSecrets) > 1 {
			results.HMACGetSecret.Output2 = from.HMACSecrets[1]
		}
	case x.PRF != nil:
		results.PRF = &webauthn.PRFResults{Results: prfValues(from.HMACSecrets)}
	}
	if opts.CredBlob {
		results.GetCredBlob = from.CredBlob
	}
	if x.LargeBlob != nil {
		results.LargeBlob = &webauthn.LargeBlobResults{Blob: blob}
		if x.LargeBlob.Write != nil {
			results.LargeBlob.Written = &from.LargeBlobWritten
		}
	}
	return results
}

// chooseAccount asks the user of the key, who has touched it, which account to use.
func (p *player[T]) chooseAccount(ctx context.Context, rpID string, all []*Assertion) (*Assertion, error) {
	ask := p.c.client.ui().ChooseAccount
	if ask == nil {
		return all[0], nil
	}
	p.waiting = true // for a touch, and it came
	if err := p.become(ctx); err != nil {
		return nil, err
	}
	req := &AccountRequest{Key: p.key, RPID: rpID}
	for _, a := range all {
		req.Accounts = append(req.Accounts, *a.User)
	}
	n, err := ask(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case n < 0 || n >= len(all):
		return nil, fmt.Errorf("%w: there is no account %d", ErrInvalidOptions, n)
	}
	return all[n], nil
}
