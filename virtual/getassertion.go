package virtual

import (
	"context"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	paramAssertionExtensions key = 0x04
	paramGetAssertionOptions key = 0x05
)

var isGetAssertion = isRecord(
	required(key(0x01), isText),
	required(key(0x02), isHash),
	optional(key(0x03), isListOf(isDescriptor)),
	optional(paramAssertionExtensions, isAssertionExtensions),
	optional(paramGetAssertionOptions, isOptions),
	optional(key(0x06), isBytes),
	optional(key(0x07), isUnsigned),
)

// walk is an assertion that the platform has not yet seen all answers of, section 6.3.
type walk struct {
	*assertion
	rest []*credential
	last time.Time // when the platform saw the last answer
	era  int       // a power cycle or reset ends it
}

const walkTimeout = 30 * time.Second

// assertion is a request that the user has agreed to.
type assertion struct {
	rpID           string
	clientDataHash []byte
	user           evidence
	named          int // entries of the allow list
	extensions     ctap2.GetAssertionExtensions
	secrets        *secrets // nil without hmac-secret
}

// getAssertion is authenticatorGetAssertion, in the order of section 6.2.2.
func (a *Authenticator) getAssertion(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.GetAssertionRequest)
	sent, err := a.decodeExtended(params, paramAssertionExtensions, isGetAssertion, req)
	if err != nil {
		return nil, err
	}
	wantTouch := req.Options.UserPresence == nil || *req.Options.UserPresence
	auth := &authorization{
		rpID:           req.RPID,
		clientDataHash: req.ClientDataHash,
		param:          req.PINUVAuthParam,
		protocol:       req.PINUVAuthProtocol,
		permission:     ctap2.PermissionGetAssertion,
		uv:             req.Options.UserVerification,
		required:       a.alwaysUV() && (wantTouch || a.config.Faults.AlwaysUVInSilence),
	}
	if err := a.begin(ctx, c, auth); err != nil {
		return nil, err
	}
	if err := a.checkGetAssertion(req, sent, auth, wantTouch); err != nil {
		return nil, err
	}
	user, err := a.authorize(ctx, c, auth)
	if err != nil {
		return nil, err
	}
	found := a.applicable(req, user)
	if len(found) == 0 {
		return nil, a.errNoneFound(req)
	}
	if user, err = a.consent(ctx, c, req.RPID, wantTouch, user); err != nil {
		return nil, err
	}
	secrets, err := a.openSalts(req.Extensions.HMACSecret)
	if err != nil {
		return nil, err
	}
	if len(req.AllowList) > 0 {
		found = found[:1] // the rest is of no use to the platform
	}
	as := &assertion{req.RPID, req.ClientDataHash, user, len(req.AllowList), req.Extensions, secrets}
	return a.firstAssertion(ctx, c, as, found)
}

func (a *Authenticator) errNoneFound(req *ctap2.GetAssertionRequest) error {
	if a.config.Faults.InvalidCredential && len(req.AllowList) > 0 {
		return ctap2.ErrInvalidCredential
	}
	return ctap2.ErrNoCredentials
}

// consent waits for the touch that the platform wants, unless it came with the verification. Without one the
// assertion says that there was none.
func (a *Authenticator) consent(
	ctx context.Context, c *call, rpID string, wantTouch bool, user evidence,
) (evidence, error) {
	if !wantTouch {
		user.present = false
		return user, nil
	}
	if !user.present {
		if err := a.touch(ctx, c, rpID); err != nil {
			return evidence{}, err
		}
	}
	user.present = true
	a.spendToken()
	return user, nil
}

func (a *Authenticator) checkGetAssertion(
	req *ctap2.GetAssertionRequest, sent message, auth *authorization, wantTouch bool,
) error {
	if err := a.checkUV(auth); err != nil {
		return err
	}
	if sent.hasIn(paramGetAssertionOptions, "rk") {
		return ctap2.ErrUnsupportedOption
	}
	if req.Extensions.HMACSecret != nil && !wantTouch {
		return ctap2.ErrUnsupportedOption // section 12.7
	}
	if a.config.Faults.RefuseSilent && !wantTouch {
		return ctap2.ErrUPRequired
	}
	if err := a.insist(auth); err != nil {
		return err
	}
	return a.checkList(req.AllowList)
}

// applicable returns the credentials that the platform may use, the newest first where it named none.
func (a *Authenticator) applicable(req *ctap2.GetAssertionRequest, user evidence) []*credential {
	var found []*credential
	if len(req.AllowList) == 0 {
		found = a.state.discover(req.RPID)
	}
	for _, d := range req.AllowList {
		if held := a.lookUp(d, req.RPID); held != nil {
			found = append(found, held)
		}
	}
	visible := found[:0]
	for _, held := range found {
		if !held.protected(user.verified, len(req.AllowList) > 0) {
			visible = append(visible, held)
		}
	}
	return visible
}

// firstAssertion signs with the first of the credentials, or the one that the user chooses, and remembers the others.
func (a *Authenticator) firstAssertion(
	ctx context.Context, c *call, as *assertion, found []*credential,
) (*ctap2.GetAssertionResponse, error) {
	if a.choosesAccount(as, found) {
		return a.chosenAssertion(ctx, c, as, found)
	}
	resp, err := a.assert(as, found[0])
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		resp.NumberOfCredentials = uint64(len(found))
		c.session.walk = &walk{as, found[1:], time.Now(), a.era}
	}
	return resp, nil
}

// getNextAssertion is authenticatorGetNextAssertion, section 6.3.
func (a *Authenticator) getNextAssertion(_ context.Context, c *call, _ []byte) (any, error) {
	w := c.session.walk
	if w == nil || len(w.rest) == 0 || w.era != a.era || time.Since(w.last) >= walkTimeout {
		c.session.walk = nil
		return nil, ctap2.ErrNotAllowed
	}
	resp, err := a.assert(w.assertion, w.rest[0])
	if err != nil {
		return nil, err
	}
	w.rest, w.last = w.rest[1:], time.Now()
	return resp, nil
}

// assert signs with one credential.
func (a *Authenticator) assert(as *assertion, cred *credential) (*ctap2.GetAssertionResponse, error) {
	if err := a.update(func(s *state) { s.SignCount++ }); err != nil {
		return nil, err
	}
	authData, err := a.assertionData(as, cred)
	if err != nil {
		return nil, err
	}
	blob, err := a.useOwnBlob(as, cred)
	if err != nil {
		return nil, err
	}
	resp := &ctap2.GetAssertionResponse{
		Credential:               &ctap2.CredentialDescriptor{ID: cred.ID, Type: ctap2.PublicKeyType},
		AuthData:                 authData,
		User:                     a.userFor(cred, as.user),
		UnsignedExtensionOutputs: blob,
	}
	if as.extensions.LargeBlobKey {
		resp.LargeBlobKey = cred.LargeBlobKey
	}
	if resp.Signature, err = cred.sign(slices.Concat(authData, as.clientDataHash)); err != nil {
		return nil, err
	}
	a.config.Faults.spoilAssertion(resp, as.named)
	return resp, nil
}

// assertionData returns the authenticator data of an assertion.
func (a *Authenticator) assertionData(as *assertion, cred *credential) ([]byte, error) {
	out, err := a.assertionOutputs(as, cred)
	if err != nil {
		return nil, err
	}
	data := a.authData(as.rpID, as.user)
	if a.config.Faults.AttestAssertions {
		if err := a.attestData(data, cred); err != nil {
			return nil, err
		}
	}
	return a.marshalData(data, out)
}

// userFor returns what the platform may learn of the credential's user: no names unless the user was verified,
// section 6.2.2 step 12.
func (a *Authenticator) userFor(c *credential, user evidence) *ctap2.User {
	if !c.Discoverable {
		return nil
	}
	if !user.verified {
		return &ctap2.User{ID: c.User.ID}
	}
	return a.userOf(c)
}
