// Package webauthn has the data structures of Web Authentication Level 3 that a client makes and a relying party
// checks: options, client data, authenticator data, attestation objects, the signatures over them, and the JSON that
// goes between client and server.
//
// A client gets [CreationOptions] or [RequestOptions] as JSON, finds out by an [OriginPolicy] whether the origin may use
// the RP ID, hashes its [ClientData] and has an authenticator sign the hash:
//
//	var options webauthn.RequestOptions
//	err := json.Unmarshal(fromServer, &options)
//	...
//	origin, rpID, err := new(webauthn.OriginPolicy).Resolve(ctx, "https://login.example.org", options.RPID)
//	...
//	clientData := webauthn.ClientData{Type: webauthn.TypeGet, Challenge: options.Challenge, Origin: origin}
//	clientDataJSON := clientData.JSON()
//	hash := webauthn.ClientDataHash(clientDataJSON)
//
// What it answers, a [RegistrationResponse] or an [AuthenticationResponse], becomes JSON again by json.Marshal.
//
// A relying party checks what came back with [VerifyRegistration] and [VerifyAssertion], which do all that the
// specification asks of it: challenge, origin, RP ID, flags, attestation, signature, counter. An error says by a
// [Step] what was wrong.
//
//	var response webauthn.RegistrationResponse
//	err := json.Unmarshal(fromClient, &response)
//	...
//	expected := webauthn.Ceremony{Challenge: challenge, RPID: "example.org", Origins: []string{"https://example.org"}}
//	registered, err := webauthn.VerifyRegistration(&response, &webauthn.RegistrationOptions{Ceremony: expected})
//	...
//	options := &webauthn.AssertionOptions{Ceremony: expected}
//	assertion, err := webauthn.VerifyAssertion(response, &registered.Credential, options)
//
// Whoever needs a part of that has [ParseClientData], [ParseAuthenticatorData], [ParseAttestationObject],
// [AttestationObject.Verify] with [Attestation.VerifyTrust], and [VerifySignature]. These check cryptography and form
// only.
//
// Everything parsed here may come from an attacker: malformed input gives an error, and duplicate members, trailing
// bytes and members of a wrong type are malformed.
package webauthn

import (
	"crypto/sha256"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// AuthenticatorData is what an authenticator says about itself and a credential, and signs. WebAuthn Level 3, section
// 6.1.
type AuthenticatorData = ctap2.AuthenticatorData

// ParseAuthenticatorData is [ctap2.ParseAuthenticatorData].
func ParseAuthenticatorData(b []byte) (*AuthenticatorData, error) {
	return ctap2.ParseAuthenticatorData(b)
}

// VerifySignature returns nil if and only if sig is the signature of an assertion by key. It covers authData as the
// authenticator returned it, and the [ClientDataHash] of 32 bytes: WebAuthn Level 3, section 7.2. The error wraps
// [cose.ErrVerification] when the signature is wrong, and [cose.ErrUnsupportedAlgorithm] when key is nil, as package
// ctap2 leaves it for a credential of an unknown algorithm.
func VerifySignature(key *cose.Key, authData, clientDataHash, sig []byte) error {
	if err := verifySignature(key, authData, clientDataHash, sig); err != nil {
		return fmt.Errorf("webauthn: %w", err)
	}
	return nil
}

func verifySignature(key *cose.Key, authData, clientDataHash, sig []byte) error {
	if key == nil {
		return cose.ErrUnsupportedAlgorithm
	}
	message, err := signedMessage(authData, clientDataHash)
	if err != nil {
		return err
	}
	return key.Verify(message, sig)
}

// signedMessage joins what assertions and most attestations sign. A hash of another length would move the border
// between its parts.
func signedMessage(authData, clientDataHash []byte) ([]byte, error) {
	if len(clientDataHash) != sha256.Size {
		return nil, fmt.Errorf("client data hash of %d bytes, want %d", len(clientDataHash), sha256.Size)
	}
	message := make([]byte, 0, len(authData)+len(clientDataHash))
	return append(append(message, authData...), clientDataHash...), nil
}
