package webauthn

import (
	"bytes"
	"errors"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// AuthenticationResponse is what navigator.credentials.get returns: PublicKeyCredential with
// AuthenticatorAssertionResponse, WebAuthn Level 3 sections 5.1 and 5.2.2. Its JSON is what goes from client to server.
type AuthenticationResponse struct {
	RawID             []byte // the credential's ID
	ClientDataJSON    []byte
	AuthenticatorData []byte // as signed
	Signature         []byte
	UserHandle        []byte // empty when the authenticator did not say

	AuthenticatorAttachment Attachment // as the client says
	ClientExtensionResults  ExtensionResults
}

// AssertionOptions are what the relying party knows of an authentication: mostly what it asked for.
type AssertionOptions struct {
	Ceremony

	// AllowCredentials are the IDs of the credentials that were asked for. Empty allows any, as it does in the request.
	AllowCredentials [][]byte

	// UserHandle is that of the account that the credential record belongs to: user.id at its registration.
	UserHandle []byte

	// RequireUserHandle is for ceremonies that began without knowing the user: then the account is the one that the
	// response names, so it must name one.
	RequireUserHandle bool

	// AppID is what the request had in the extension appid: a credential of U2F may be for this URL instead of the
	// RP ID, if the client says so.
	AppID string

	// AllowSignCountRegression accepts a signature counter that has not grown, which may be the sign of a copied key, and
	// reports it in the result. Without it that is an error. Counters that are always zero are not counted.
	AllowSignCountRegression bool
}

// Assertion is the result of [VerifyAssertion].
type Assertion struct {
	// Credential is the record with what has changed, to be stored: SignCount, which never goes back, and BackupState.
	// UVInitialized stays as it is: after a look at the flags it is for the caller to set, who should have
	// recognized the user by something else as well (WebAuthn Level 3, section 7.2, last step).
	Credential CredentialRecord

	SignCountRegressed bool // only with AllowSignCountRegression

	ClientData        *ClientData
	AuthenticatorData *AuthenticatorData
}

// VerifyAssertion takes all the steps of WebAuthn Level 3, section 7.2, that come after the response. The credential is
// the stored record with the response's RawID, which the caller looked up, and is not changed. The error wraps the one
// [Step] that failed. The caller has still to make sure that nobody uses the challenge twice.
//
// CheckExtensions, if any, is called in the same goroutine, after all else was found to be right.
func VerifyAssertion(
	r *AuthenticationResponse, credential *CredentialRecord, o *AssertionOptions,
) (*Assertion, error) {
	v, err := verifyAssertion(r, credential, o)
	if err != nil {
		return nil, inCeremony("assertion", err)
	}
	return v, nil
}

func verifyAssertion(r *AuthenticationResponse, c *CredentialRecord, o *AssertionOptions) (*Assertion, error) {
	if err := o.checkCredential(r, c); err != nil {
		return nil, err
	}
	v := &Assertion{Credential: *c}
	var err error
	if v.ClientData, err = o.checkClientData(r.ClientDataJSON, TypeGet); err != nil {
		return nil, err
	}
	if v.AuthenticatorData, err = o.parseAuthenticatorData(r); err != nil {
		return nil, err
	}
	if v.AuthenticatorData.Flags.Has(ctap2.FlagBE) != c.BackupEligible {
		return nil, StepBackup.failedf("eligible before: %t, now: %t", c.BackupEligible, !c.BackupEligible)
	}
	hash := ClientDataHash(r.ClientDataJSON)
	if err := verifySignature(c.PublicKey, r.AuthenticatorData, hash[:], r.Signature); err != nil {
		return nil, StepSignature.failed(err)
	}
	if err := v.count(o.AllowSignCountRegression); err != nil {
		return nil, err
	}
	if err := o.checkExtensions(&r.ClientExtensionResults, v.AuthenticatorData); err != nil {
		return nil, err
	}
	v.Credential.BackupState = v.AuthenticatorData.Flags.Has(ctap2.FlagBS)
	return v, nil
}

// checkCredential checks whose credential it is.
func (o *AssertionOptions) checkCredential(r *AuthenticationResponse, c *CredentialRecord) error {
	isID := func(id []byte) bool { return bytes.Equal(id, r.RawID) }
	switch {
	case len(o.AllowCredentials) > 0 && !slices.ContainsFunc(o.AllowCredentials, isID):
		return StepCredential.failed(errors.New("not one that was asked for"))
	case len(c.ID) == 0 || !isID(c.ID):
		return StepCredential.failed(errors.New("not the one of the record"))
	case len(r.UserHandle) == 0 && o.RequireUserHandle:
		return StepUserHandle.failed(errors.New("missing"))
	case len(r.UserHandle) > 0 && !bytes.Equal(r.UserHandle, o.UserHandle):
		return StepUserHandle.failed(errors.New("not that of the account"))
	}
	return nil
}

func (o *AssertionOptions) parseAuthenticatorData(r *AuthenticationResponse) (*AuthenticatorData, error) {
	d, err := ParseAuthenticatorData(r.AuthenticatorData)
	if err != nil {
		return nil, StepAuthenticatorData.failed(err)
	}
	if d.Credential != nil { // WebAuthn Level 3, section 6.1: the flag AT must not be set
		return nil, StepAuthenticatorData.failed(errors.New("a new credential in an assertion"))
	}
	if err := checkUserPresence(d); err != nil {
		return nil, err
	}
	return d, o.checkAuthenticatorData(d, o.rpID(r))
}

// rpID is the RP ID, or the AppID where the client says that it used that: WebAuthn Level 3, section 10.1.1.
func (o *AssertionOptions) rpID(r *AuthenticationResponse) string {
	if used := r.ClientExtensionResults.AppID; o.AppID != "" && used != nil && *used {
		return o.AppID
	}
	return o.RPID
}

// count checks the signature counter: WebAuthn Level 3, section 6.1.1.
func (v *Assertion) count(allowRegression bool) error {
	before, now := v.Credential.SignCount, v.AuthenticatorData.SignCount
	if now > before || now == 0 && before == 0 {
		v.Credential.SignCount = now
		return nil
	}
	if !allowRegression {
		return StepSignCount.failedf("%d after %d: the key may have been copied", now, before)
	}
	v.SignCountRegressed = true
	return nil
}
