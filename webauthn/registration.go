package webauthn

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// RegistrationResponse is what navigator.credentials.create returns: PublicKeyCredential with
// AuthenticatorAttestationResponse, WebAuthn Level 3 sections 5.1 and 5.2.1. Its JSON is what goes from client to server.
type RegistrationResponse struct {
	RawID             []byte // nil is not compared with the ID in AttestationObject
	ClientDataJSON    []byte
	AttestationObject []byte
	Transports        []string // as the client says; [VerifyRegistration] only passes them on

	AuthenticatorAttachment Attachment // as the client says
	ClientExtensionResults  ExtensionResults
}

// RegistrationOptions are what the relying party knows of a registration: mostly what it asked for.
type RegistrationOptions struct {
	Ceremony

	// PubKeyCredParams are the algorithms that were asked for. None stand for [cose.ES256] and [cose.RS256], as in
	// navigator.credentials.create.
	PubKeyCredParams []cose.Algorithm

	// Conditional is for requests with mediation "conditional", where nobody need have touched anything.
	Conditional bool

	// TrustAnchors, unless nil, returns the certificates that may stand at the end of the attestation's TrustPath; see
	// [Attestation.VerifyTrust]. It is called for attestations with certificates only. Where it is nil no path is
	// followed, and the result says so.
	TrustAnchors func(*Attestation) (*x509.CertPool, error)
	Time         time.Time // when certificates must be valid; zero means now

	// AcceptAttestation, unless nil, judges the attestation once all else about it is known. Nil accepts every one:
	// also none, a format that is not known, and certificates of whomever.
	AcceptAttestation func(*Attestation) error

	// IsRegistered, unless nil, reports whether the credential ID belongs to any account already.
	IsRegistered func(id []byte) (bool, error)
}

// Registration is the result of [VerifyRegistration].
type Registration struct {
	Credential  CredentialRecord // to be stored
	Attestation *Attestation

	ClientData        *ClientData
	AuthenticatorData *AuthenticatorData
}

// VerifyRegistration takes all the steps of WebAuthn Level 3, section 7.1, that come after the response. The error wraps
// the one [Step] that failed. The caller has still to make sure that nobody uses the challenge twice.
//
// An attestation statement of an unknown format is no error: the result has it, as [AttestationUnknown].
//
// Callbacks are called at most once, in the order of the steps, in the same goroutine; their errors are wrapped.
func VerifyRegistration(r *RegistrationResponse, o *RegistrationOptions) (*Registration, error) {
	v, err := verifyRegistration(r, o)
	if err != nil {
		return nil, inCeremony("registration", err)
	}
	return v, nil
}

func verifyRegistration(r *RegistrationResponse, o *RegistrationOptions) (*Registration, error) {
	v := new(Registration)
	var err error
	if v.ClientData, err = o.checkClientData(r.ClientDataJSON, TypeCreate); err != nil {
		return nil, err
	}
	object, err := parseAttestationObject(r.AttestationObject)
	if err != nil {
		return nil, StepAttestationObject.failed(err)
	}
	if v.AuthenticatorData, err = o.parseAuthenticatorData(object.AuthData); err != nil {
		return nil, err
	}
	if err := o.checkAlgorithm(v.AuthenticatorData.Credential.PublicKey); err != nil {
		return nil, err
	}
	if v.Attestation, err = o.verifyAttestation(object, v.AuthenticatorData, r.ClientDataJSON); err != nil {
		return nil, err
	}
	if err := o.checkCredentialID(r.RawID, v.AuthenticatorData.Credential.ID); err != nil {
		return nil, err
	}
	if err := o.checkExtensions(&r.ClientExtensionResults, v.AuthenticatorData); err != nil {
		return nil, err
	}
	v.Credential = newCredentialRecord(v.AuthenticatorData, r.Transports)
	return v, nil
}

// newCredentialRecord has what WebAuthn Level 3, section 7.1, tells to store.
func newCredentialRecord(d *AuthenticatorData, transports []string) CredentialRecord {
	return CredentialRecord{
		ID:             bytes.Clone(d.Credential.ID),
		PublicKey:      d.Credential.PublicKey,
		SignCount:      d.SignCount,
		UVInitialized:  d.Flags.Has(ctap2.FlagUV),
		Transports:     slices.Clone(transports),
		BackupEligible: d.Flags.Has(ctap2.FlagBE),
		BackupState:    d.Flags.Has(ctap2.FlagBS),
	}
}

func (o *RegistrationOptions) parseAuthenticatorData(authData []byte) (*AuthenticatorData, error) {
	d, err := ParseAuthenticatorData(authData)
	if err != nil {
		return nil, StepAuthenticatorData.failed(err)
	}
	if d.Credential == nil {
		return nil, StepAuthenticatorData.failed(errors.New("no credential"))
	}
	if !o.Conditional {
		if err := checkUserPresence(d); err != nil {
			return nil, err
		}
	}
	return d, o.checkAuthenticatorData(d, o.RPID)
}

// checkAlgorithm also refuses a key that nobody here could verify an assertion with.
func (o *RegistrationOptions) checkAlgorithm(key *cose.Key) error {
	if key == nil {
		return StepAlgorithm.failed(cose.ErrUnsupportedAlgorithm)
	}
	params := o.PubKeyCredParams
	if len(params) == 0 {
		params = []cose.Algorithm{cose.ES256, cose.RS256}
	}
	if !slices.Contains(params, key.Algorithm) {
		return StepAlgorithm.failedf("%v is not one of %v", key.Algorithm, params)
	}
	return nil
}

// verifyAttestation takes the steps that concern the attestation statement.
func (o *RegistrationOptions) verifyAttestation(
	object *AttestationObject, d *AuthenticatorData, clientDataJSON []byte,
) (*Attestation, error) {
	hash := ClientDataHash(clientDataJSON)
	a, err := object.verifyParsed(d, hash[:])
	switch {
	case errors.Is(err, ErrUnsupportedFormat):
		a = object.statement(d, nil, nil).unknown()
	case err != nil:
		return nil, StepAttestation.failed(err)
	}
	if err := o.assessTrust(a); err != nil {
		return nil, StepTrust.failed(err)
	}
	return a, nil
}

func (o *RegistrationOptions) assessTrust(a *Attestation) error {
	if o.TrustAnchors != nil && a.hasCertificates() {
		anchors, err := o.TrustAnchors(a)
		if err != nil {
			return err
		}
		if err := a.trust(anchors, o.Time); err != nil {
			return err
		}
	}
	if o.AcceptAttestation == nil {
		return nil
	}
	return o.AcceptAttestation(a)
}

// checkCredentialID leaves it to the parser that the ID has at most 1023 bytes.
func (o *RegistrationOptions) checkCredentialID(rawID, id []byte) error {
	if rawID != nil && !bytes.Equal(rawID, id) {
		return StepCredentialID.failed(errors.New("the client says another than the authenticator"))
	}
	if o.IsRegistered == nil {
		return nil
	}
	taken, err := o.IsRegistered(bytes.Clone(id))
	if err != nil {
		return StepCredentialID.failed(err)
	}
	if taken {
		return StepCredentialID.failed(fmt.Errorf("%x is registered already", id))
	}
	return nil
}
