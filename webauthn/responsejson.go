package webauthn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// UnmarshalJSON decodes a RegistrationResponseJSON, WebAuthn Level 3, section 5.1, by the rules that
// [CreationOptions.UnmarshalJSON] has. The members authenticatorData, publicKey and publicKeyAlgorithm are ignored: they
// repeat, unsigned, what the attestation object says. Nothing else is verified: see [VerifyRegistration].
func (r *RegistrationResponse) UnmarshalJSON(b []byte) error {
	o := readObject(b)
	response := o.response("clientDataJSON", "attestationObject")
	parsed := RegistrationResponse{
		RawID:                   o.credentialID(),
		ClientDataJSON:          response.bytes("clientDataJSON"),
		AttestationObject:       response.bytes("attestationObject"),
		Transports:              response.texts("transports"),
		AuthenticatorAttachment: oneOf(o, "authenticatorAttachment", Platform, CrossPlatform),
		ClientExtensionResults:  o.extensionResults(),
	}
	if *o.err != nil {
		return fmt.Errorf("webauthn: registration response: %w", *o.err)
	}
	*r = parsed
	return nil
}

// UnmarshalJSON decodes an AuthenticationResponseJSON, WebAuthn Level 3, section 5.1, by the rules that
// [CreationOptions.UnmarshalJSON] has. Nothing is verified: see [VerifyAssertion].
func (r *AuthenticationResponse) UnmarshalJSON(b []byte) error {
	o := readObject(b)
	response := o.response("clientDataJSON", "authenticatorData", "signature")
	parsed := AuthenticationResponse{
		RawID:                   o.credentialID(),
		ClientDataJSON:          response.bytes("clientDataJSON"),
		AuthenticatorData:       response.bytes("authenticatorData"),
		Signature:               response.bytes("signature"),
		UserHandle:              response.bytes("userHandle"),
		AuthenticatorAttachment: oneOf(o, "authenticatorAttachment", Platform, CrossPlatform),
		ClientExtensionResults:  o.extensionResults(),
	}
	if *o.err != nil {
		return fmt.Errorf("webauthn: authentication response: %w", *o.err)
	}
	*r = parsed
	return nil
}

// response returns the member of that name, with members of its own.
func (o *jsonObject) response(required ...string) *jsonObject {
	o.require("response")
	response, _ := o.object("response")
	response.require(required...)
	return response
}

// credentialID also sees to it that nobody takes the credential for another by looking at the other member.
func (o *jsonObject) credentialID() []byte {
	o.require("id", "rawId", "type")
	if typ := o.text("type"); typ != ctap2.PublicKeyType {
		o.fail("type", fmt.Errorf("%.40q, want %q", typ, ctap2.PublicKeyType))
	}
	rawID := o.bytes("rawId")
	if n := len(rawID); n < 1 || n > maxCredentialID {
		o.fail("rawId", fmt.Errorf("%d bytes, want 1 to %d", n, maxCredentialID))
	}
	if !bytes.Equal(o.bytes("id"), rawID) {
		o.fail("id", errors.New("not that of rawId"))
	}
	return rawID
}

func (o *jsonObject) extensionResults() ExtensionResults {
	results, _ := o.object("clientExtensionResults")
	return readResults(results)
}

// MarshalJSON encodes the response as a RegistrationResponseJSON, for a client to send. It takes the members
// authenticatorData, publicKey and publicKeyAlgorithm from the attestation object, which must be well formed. There is no
// publicKey for algorithms that package cose does not know.
func (r RegistrationResponse) MarshalJSON() ([]byte, error) {
	response, err := r.response()
	if err != nil {
		return nil, fmt.Errorf("webauthn: registration response: %w", err)
	}
	return json.Marshal(credentialJSON{
		ID: r.RawID, RawID: r.RawID, Type: ctap2.PublicKeyType, Response: response,
		AuthenticatorAttachment: r.AuthenticatorAttachment, ClientExtensionResults: r.ClientExtensionResults,
	})
}

func (r *RegistrationResponse) response() (*attestationResponseJSON, error) {
	object, err := parseAttestationObject(r.AttestationObject)
	if err != nil {
		return nil, fmt.Errorf("attestation object: %w", err)
	}
	data, err := ParseAuthenticatorData(object.AuthData)
	if err != nil {
		return nil, err
	}
	if data.Credential == nil || !bytes.Equal(r.RawID, data.Credential.ID) {
		return nil, errors.New("the attestation object is of another credential")
	}
	response := &attestationResponseJSON{
		ClientDataJSON: r.ClientDataJSON, AuthenticatorData: object.AuthData, AttestationObject: r.AttestationObject,
		Transports: append([]string{}, r.Transports...), // must not be null
	}
	response.PublicKeyAlgorithm, response.PublicKey, err = publicKey(data.Credential)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// publicKey returns no key for algorithms that are not known.
func publicKey(c *ctap2.AttestedCredential) (alg cose.Algorithm, der []byte, err error) {
	if c.PublicKey != nil {
		der, err = c.PublicKey.MarshalPKIX()
		return c.PublicKey.Algorithm, der, err
	}
	var key struct {
		Algorithm cose.Algorithm `cbor:"3,keyasint"`
	}
	if err := ctapcbor.Unmarshal(c.RawPublicKey, &key); err != nil {
		return 0, nil, fmt.Errorf("public key: %w", err)
	}
	return key.Algorithm, nil, nil
}

// MarshalJSON encodes the response as an AuthenticationResponseJSON, for a client to send.
func (r AuthenticationResponse) MarshalJSON() ([]byte, error) {
	if len(r.RawID) == 0 {
		return nil, errors.New("webauthn: authentication response: no credential ID")
	}
	return json.Marshal(credentialJSON{
		ID: r.RawID, RawID: r.RawID, Type: ctap2.PublicKeyType,
		Response:                &assertionResponseJSON{r.ClientDataJSON, r.AuthenticatorData, r.Signature, r.UserHandle},
		AuthenticatorAttachment: r.AuthenticatorAttachment, ClientExtensionResults: r.ClientExtensionResults,
	})
}

type credentialJSON struct {
	ID                      base64url        `json:"id"`
	RawID                   base64url        `json:"rawId"`
	Type                    string           `json:"type"`
	Response                any              `json:"response"`
	AuthenticatorAttachment Attachment       `json:"authenticatorAttachment,omitempty"`
	ClientExtensionResults  ExtensionResults `json:"clientExtensionResults"`
}

type attestationResponseJSON struct {
	ClientDataJSON     base64url      `json:"clientDataJSON"`
	AuthenticatorData  base64url      `json:"authenticatorData"`
	Transports         []string       `json:"transports"`
	PublicKey          base64url      `json:"publicKey,omitempty"`
	PublicKeyAlgorithm cose.Algorithm `json:"publicKeyAlgorithm"`
	AttestationObject  base64url      `json:"attestationObject"`
}

type assertionResponseJSON struct {
	ClientDataJSON    base64url `json:"clientDataJSON"`
	AuthenticatorData base64url `json:"authenticatorData"`
	Signature         base64url `json:"signature"`
	UserHandle        base64url `json:"userHandle,omitempty"`
}
