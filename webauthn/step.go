package webauthn

import "fmt"

// A Step is a step of [VerifyRegistration] or [VerifyAssertion], and the error that it failed: whatever error they
// return wraps exactly one.
//
//	switch {
//	case errors.Is(err, webauthn.StepSignCount): // warn the user of a copied key
//	case errors.Is(err, webauthn.StepUserVerification): // ask again, with a PIN
//	...
//
// One type with a value for each step, instead of an error variable for each, because most callers only log the step,
// and those who count failures by step can: errors.As finds the Step.
type Step int

// The steps of WebAuthn Level 3, sections 7.1 and 7.2, in the order in which they are taken.
const (
	// StepCredential: the credential is one that was asked for and belongs to the user.
	StepCredential Step = iota + 1
	// StepUserHandle: the user handle is that of the account, and is there when the user was not known before.
	StepUserHandle
	// StepClientData: the client data is JSON with what it must have.
	StepClientData
	// StepType: the client data is for this kind of ceremony.
	StepType
	// StepChallenge: the challenge is the one that was sent.
	StepChallenge
	// StepOrigin: the origin is one that is expected.
	StepOrigin
	// StepCrossOrigin: no frame of another origin asked, unless that is allowed.
	StepCrossOrigin
	// StepTopOrigin: the page around such a frame is one that is expected.
	StepTopOrigin
	// StepAttestationObject: the attestation object is CBOR with what it must have.
	StepAttestationObject
	// StepAuthenticatorData: the authenticator data is well formed, its credential ID has 1 to 1023 bytes, and it has a
	// credential if and only if that is new.
	StepAuthenticatorData
	// StepRPIDHash: the authenticator data is for this relying party.
	StepRPIDHash
	// StepUserPresence: the user was there.
	StepUserPresence
	// StepUserVerification: the authenticator recognized the user, where that is required.
	StepUserVerification
	// StepBackup: what cannot be backed up is not, and whether it can has not changed.
	StepBackup
	// StepAlgorithm: the new key is for an algorithm that was asked for, and that package cose knows.
	StepAlgorithm
	// StepAttestation: the attestation statement verifies, by [AttestationObject.Verify].
	StepAttestation
	// StepTrust: the certificates lead to a trust anchor, and the relying party accepts what they say.
	StepTrust
	// StepCredentialID: client and authenticator agree on the ID, and it is not registered yet.
	StepCredentialID
	// StepSignature: the signature is that of the credential's key.
	StepSignature
	// StepSignCount: the signature counter has grown.
	StepSignCount
	// StepExtensions: the outputs of the extensions are as expected.
	StepExtensions
)

var stepNames = [...]string{
	StepCredential:        "credential",
	StepUserHandle:        "user handle",
	StepClientData:        "client data",
	StepType:              "type",
	StepChallenge:         "challenge",
	StepOrigin:            "origin",
	StepCrossOrigin:       "cross origin",
	StepTopOrigin:         "top origin",
	StepAttestationObject: "attestation object",
	StepAuthenticatorData: "authenticator data",
	StepRPIDHash:          "RP ID hash",
	StepUserPresence:      "user presence",
	StepUserVerification:  "user verification",
	StepBackup:            "backup",
	StepAlgorithm:         "algorithm",
	StepAttestation:       "attestation",
	StepTrust:             "trust",
	StepCredentialID:      "credential ID",
	StepSignature:         "signature",
	StepSignCount:         "signature counter",
	StepExtensions:        "extensions",
}

// Error returns the name of the step, as in "RP ID hash".
func (s Step) Error() string {
	if s < 1 || int(s) >= len(stepNames) {
		return fmt.Sprintf("step %d", int(s))
	}
	return stepNames[s]
}

// failed joins a step with what was wrong.
func (s Step) failed(err error) error { return fmt.Errorf("%w: %w", s, err) }

func (s Step) failedf(format string, args ...any) error { return s.failed(fmt.Errorf(format, args...)) }
