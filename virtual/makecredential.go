package virtual

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	paramCreationExtensions    key = 0x06
	paramEnterpriseAttestation key = 0x0a
)

const maxUserIDSize = 64 // bytes

var isUser = isRecord(
	required("id", isBytesOf(1, maxUserIDSize)),
	optional("name", isText),
	optional("displayName", isText),
)

var isMakeCredential = isRecord(
	required(key(0x01), isHash),
	required(key(0x02), isRecord(
		required("id", isText),
		optional("name", isText),
	)),
	required(key(0x03), isUser),
	required(key(0x04), isListOf(isRecord(
		required("alg", isInteger),
		required("type", isText),
	))),
	optional(key(0x05), isListOf(isDescriptor)),
	optional(paramCreationExtensions, isCreationExtensions),
	optional(key(0x07), isOptions),
	optional(key(0x08), isBytes),
	optional(key(0x09), isUnsigned),
	optional(paramEnterpriseAttestation, isUnsigned),
	optional(key(0x0b), isListOf(isText)),
)

// makeCredential is authenticatorMakeCredential. The order of its steps, which decides about the status of a
// request with several faults, is that of section 6.1.2.
func (a *Authenticator) makeCredential(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.MakeCredentialRequest)
	sent, err := a.decodeExtended(params, paramCreationExtensions, isMakeCredential, req)
	if err != nil {
		return nil, err
	}
	auth := &authorization{
		rpID:           req.RP.ID,
		clientDataHash: req.ClientDataHash,
		param:          req.PINUVAuthParam,
		protocol:       req.PINUVAuthProtocol,
		permission:     ctap2.PermissionMakeCredential,
		uv:             req.Options.UserVerification,
		required:       a.creationNeedsUV(req.Options.ResidentKey),
	}
	if err := a.begin(ctx, c, auth); err != nil {
		return nil, err
	}
	alg, err := a.checkMakeCredential(req, sent, auth)
	if err != nil {
		return nil, err
	}
	user, err := a.authorize(ctx, c, auth)
	if err != nil {
		return nil, err
	}
	if err := a.checkExcluded(ctx, c, req, user); err != nil {
		return nil, err
	}
	if !user.present {
		if err := a.touch(ctx, c, auth.rpID); err != nil {
			return nil, err
		}
		user.present = true
	}
	a.spendToken()
	return a.create(ctx, c, req, alg, user)
}

// creationNeedsUV is the matrix of section 6.1.2, steps 6 to 10.
func (a *Authenticator) creationNeedsUV(resident bool) bool {
	return a.alwaysUV() || a.isProtected() && (resident || a.makeCredUVRequired())
}

// checkMakeCredential refuses what the key can't do, and returns the algorithm of the new credential.
func (a *Authenticator) checkMakeCredential(
	req *ctap2.MakeCredentialRequest, sent message, auth *authorization,
) (cose.Algorithm, error) {
	alg, ok := a.chooseAlgorithm(req.PubKeyCredParams)
	if !ok {
		return 0, ctap2.ErrUnsupportedAlgorithm
	}
	if err := a.checkUV(auth); err != nil {
		return 0, err
	}
	if up := req.Options.UserPresence; up != nil && !*up {
		return 0, ctap2.ErrInvalidOption
	}
	if req.User.DisplayName == "" && a.config.Faults.RefuseEmptyDisplayName {
		return 0, ctap2.ErrMissingParameter
	}
	if req.Options.ResidentKey && !a.has(optionRK) {
		return 0, ctap2.ErrUnsupportedOption
	}
	if err := a.insist(auth); err != nil {
		return 0, err
	}
	if sent.has(paramEnterpriseAttestation) {
		if err := a.checkEnterpriseAttestation(req.EnterpriseAttestation); err != nil {
			return 0, err
		}
	}
	return alg, a.checkList(req.ExcludeList)
}

// chooseAlgorithm returns the first of the relying party's that the key has.
func (a *Authenticator) chooseAlgorithm(params []ctap2.CredentialParameter) (cose.Algorithm, bool) {
	for _, p := range params {
		if p.Type == ctap2.PublicKeyType && slices.Contains(a.config.Algorithms, p.Algorithm) {
			return p.Algorithm, true
		}
	}
	return 0, false
}

// checkList refuses a list that breaks the limits which getInfo has announced.
func (a *Authenticator) checkList(list []ctap2.CredentialDescriptor) error {
	if len(list) > a.config.MaxCredentialCountInList {
		return ctap2.ErrLimitExceeded
	}
	for _, d := range list {
		if len(d.ID) > a.config.MaxCredentialIDLength {
			return ctap2.ErrLimitExceeded
		}
	}
	return nil
}

// checkExcluded fails when the key holds a credential of the exclude list, section 6.1.2 step 12. It costs a touch,
// so that nobody learns that without the user, and a credential that wants verification stays unseen without it.
func (a *Authenticator) checkExcluded(
	ctx context.Context, c *call, req *ctap2.MakeCredentialRequest, user evidence,
) error {
	for _, d := range req.ExcludeList {
		held := a.lookUp(d, req.RP.ID)
		if held == nil || held.protected(user.verified, true) {
			continue
		}
		if !user.present {
			if err := a.touch(ctx, c, req.RP.ID); statusOf(err) == ctap2.ErrKeepaliveCancel {
				return err
			}
		}
		return ctap2.ErrCredentialExcluded
	}
	return nil
}

func (a *Authenticator) lookUp(d ctap2.CredentialDescriptor, rpID string) *credential {
	if d.Type != ctap2.PublicKeyType {
		return nil
	}
	held := a.state.find(d.ID, sha256.Sum256([]byte(rpID)))
	if held != nil && held.U2F && a.config.Faults.IgnoreU2F {
		return nil
	}
	return held
}

// create makes the credential that the user has agreed to.
func (a *Authenticator) create(
	ctx context.Context, c *call, req *ctap2.MakeCredentialRequest, alg cose.Algorithm, user evidence,
) (*ctap2.MakeCredentialResponse, error) {
	if err := a.checkCreationExtensions(req); err != nil {
		return nil, err
	}
	signer, err := a.newSigner(ctx, c, alg)
	if err != nil {
		return nil, err
	}
	cred, err := a.newCredential(req, alg, signer)
	if err != nil {
		return nil, err
	}
	resp, err := a.describe(cred, req, user)
	if err != nil {
		return nil, err
	}
	// Last, so that a failure leaves nothing behind.
	if a.stores(cred) {
		err = a.storeCredential(cred)
	}
	return resp, err
}

// describe returns what the platform learns of a new credential.
func (a *Authenticator) describe(
	cred *credential, req *ctap2.MakeCredentialRequest, user evidence,
) (*ctap2.MakeCredentialResponse, error) {
	resp := &ctap2.MakeCredentialResponse{LargeBlobKey: cred.LargeBlobKey}
	var err error
	if resp.AuthData, err = a.creationData(cred, req, user); err != nil {
		return nil, err
	}
	if req.Extensions.LargeBlob.Support != "" {
		resp.UnsignedExtensionOutputs, err = ownBlobOutput(outputs{"supported": cred.OwnBlob})
		if err != nil {
			return nil, err
		}
	}
	return resp, a.attest(resp, cred, req)
}

func (a *Authenticator) newSigner(
	ctx context.Context, c *call, alg cose.Algorithm,
) (signer crypto.Signer, err error) {
	if alg != cose.RS256 {
		return newSigner(alg)
	}
	a.working(c, func() { signer, err = newSigner(alg) })
	if ctx.Err() != nil {
		return nil, ctap2.ErrKeepaliveCancel
	}
	return signer, err
}

func (a *Authenticator) newCredential(
	req *ctap2.MakeCredentialRequest, alg cose.Algorithm, signer crypto.Signer,
) (*credential, error) {
	private, err := marshalSigner(signer)
	if err != nil {
		return nil, err
	}
	cred := &credential{
		RPID:         req.RP.ID,
		Discoverable: req.Options.ResidentKey,
		Algorithm:    alg,
		PrivateKey:   private,
		key:          signer,
	}
	if cred.Discoverable {
		cred.RPName, cred.User = req.RP.Name, req.User
	}
	a.extend(cred, &req.Extensions)
	if !a.stores(cred) {
		cred.ID = a.state.seal(cred, sha256.Sum256([]byte(cred.RPID)))
		return cred, nil
	}
	cred.ID = make([]byte, storedIDSize)
	rand.Read(cred.ID)
	return cred, nil
}

// stores reports whether the credential takes up room in the key. What does not lives in its ID.
func (a *Authenticator) stores(c *credential) bool {
	return c.Discoverable || c.Algorithm == cose.RS256 || a.config.NoWrapping
}

func (a *Authenticator) storeCredential(cred *credential) error {
	full := false
	err := a.update(func(s *state) { full = !s.store(cred, a.config.Capacity) })
	if full {
		return ctap2.ErrKeyStoreFull
	}
	return err
}

// creationData returns the authenticator data of a new credential.
func (a *Authenticator) creationData(
	cred *credential, req *ctap2.MakeCredentialRequest, user evidence,
) ([]byte, error) {
	out, err := a.creationOutputs(cred, req, user)
	if err != nil {
		return nil, err
	}
	data := a.authData(cred.RPID, user)
	if err := a.attestData(data, cred); err != nil {
		return nil, err
	}
	return a.marshalData(data, out)
}
