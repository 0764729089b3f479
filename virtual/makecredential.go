package virtual

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

const (
	paramEnterpriseAttestation key = 0x0a

	maxUserIDSize   = 64 // bytes
	maxUserNameSize = 64 // bytes; longer names are cut
)

var isMakeCredential = isRecord(
	required(key(0x01), isHash),
	required(key(0x02), isRecord(
		required("id", isText),
		optional("name", isText),
	)),
	required(key(0x03), isRecord(
		required("id", isBytesOf(1, maxUserIDSize)),
		optional("name", isText),
		optional("displayName", isText),
	)),
	required(key(0x04), isListOf(isRecord(
		required("alg", isInteger),
		required("type", isText),
	))),
	optional(key(0x05), isListOf(isDescriptor)),
	optional(key(0x06), isRecord(
		optional(extensionCredProtect, isCredProtect),
		optional(extensionHMACSecret, isBool),
	)),
	optional(key(0x07), isOptions),
	optional(key(0x08), isBytes),
	optional(key(0x09), isUnsigned),
	optional(paramEnterpriseAttestation, isUnsigned),
	optional(key(0x0b), isListOf(isText)),
)

func isCredProtect(v any) error {
	level, ok := v.(uint64)
	if !ok {
		return ctap2.ErrCBORUnexpectedType
	}
	if level < ctap2.CredProtectUVOptional || level > ctap2.CredProtectUVRequired {
		return ctap2.ErrInvalidOption
	}
	return nil
}

// makeCredential is authenticatorMakeCredential. The order of its steps, which decides about the status of a
// request with several faults, is that of section 6.1.2.
func (a *Authenticator) makeCredential(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.MakeCredentialRequest)
	sent, err := decode(params, isMakeCredential, req)
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
	if sent.has(paramEnterpriseAttestation) {
		return 0, ctap2.ErrInvalidParameter // not enterprise attestation capable
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
	return a.state.find(d.ID, sha256.Sum256([]byte(rpID)))
}

func (a *Authenticator) create(
	ctx context.Context, c *call, req *ctap2.MakeCredentialRequest, alg cose.Algorithm, user evidence,
) (*ctap2.MakeCredentialResponse, error) {
	signer, err := a.newSigner(ctx, c, alg)
	if err != nil {
		return nil, err
	}
	cred, err := a.newCredential(req, alg, signer)
	if err != nil {
		return nil, err
	}
	resp := new(ctap2.MakeCredentialResponse)
	resp.AuthData, err = a.creationData(cred, signer.Public(), req.Extensions, user)
	if err != nil {
		return nil, err
	}
	if err := a.attest(resp, cred, req.ClientDataHash); err != nil {
		return nil, err
	}
	// Last, so that a failure leaves nothing behind.
	if cred.isStored() {
		err = a.storeCredential(cred)
	}
	return resp, err
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
		CredProtect:  req.Extensions.CredProtect,
	}
	if cred.Discoverable {
		cred.User = req.User
		cred.User.Name = cutText(req.User.Name, maxUserNameSize)
		cred.User.DisplayName = cutText(req.User.DisplayName, maxUserNameSize)
	}
	if !cred.isStored() {
		cred.ID = a.state.seal(cred, sha256.Sum256([]byte(cred.RPID)))
		return cred, nil
	}
	cred.ID = make([]byte, storedIDSize)
	rand.Read(cred.ID)
	return cred, nil
}

// cutText returns the longest beginning of s that has so many bytes at most and ends with a whole character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := 0
	for i := range s {
		if i > limit {
			break
		}
		end = i
	}
	return s[:end]
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
	cred *credential, public crypto.PublicKey, in ctap2.MakeCredentialExtensions, user evidence,
) ([]byte, error) {
	publicKey, err := cose.NewKey(cred.Algorithm, public)
	if err != nil {
		return nil, err
	}
	data := a.authData(cred.RPID, user)
	data.Flags |= ctap2.FlagAT
	data.Credential = &ctap2.AttestedCredential{AAGUID: a.config.AAGUID, ID: cred.ID, PublicKey: publicKey}
	out := ctap2.MakeCredentialOutputs{CredProtect: in.CredProtect, HMACSecret: in.HMACSecret}
	if err := addExtensions(data, out, in.CredProtect != 0 || in.HMACSecret); err != nil {
		return nil, err
	}
	return data.Marshal()
}

func (a *Authenticator) authData(rpID string, user evidence) *ctap2.AuthenticatorData {
	data := &ctap2.AuthenticatorData{RPIDHash: sha256.Sum256([]byte(rpID)), SignCount: a.state.SignCount}
	if user.present {
		data.Flags |= ctap2.FlagUP
	}
	if user.verified {
		data.Flags |= ctap2.FlagUV
	}
	return data
}

func addExtensions(data *ctap2.AuthenticatorData, outputs any, any bool) (err error) {
	if any {
		data.Flags |= ctap2.FlagED
		data.Extensions, err = ctapcbor.Marshal(outputs)
	}
	return err
}
