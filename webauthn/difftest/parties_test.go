// Package difftest_test compares keyfob's relying party with others: github.com/go-webauthn/webauthn and Debian's
// fido2-tools. They must come to the same verdict, or differ for a reason that is listed here.
package difftest_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/keyfob-go/keyfob/cose"
	_ "github.com/keyfob-go/keyfob/cose/extra/ed448"
	_ "github.com/keyfob-go/keyfob/cose/extra/es256k"
	_ "github.com/keyfob-go/keyfob/cose/extra/mldsa"
	"github.com/keyfob-go/keyfob/webauthn"
)

// A ceremony is a registration and the first assertion after it, and what the relying party asked for.
type ceremony struct {
	name   string
	format string         // on the wire
	alg    cose.Algorithm // of the credential

	createChallenge []byte
	registration    webauthn.RegistrationResponse

	getChallenge []byte
	assertion    webauthn.AuthenticationResponse

	allowCrossOrigin bool
}

const (
	rpID      = "example.org"
	origin    = "https://example.org"
	topOrigin = "https://example.com"
)

func (c *ceremony) expected(challenge []byte) webauthn.Ceremony {
	return webauthn.Ceremony{
		Challenge: challenge, RPID: rpID, Origins: []string{origin},
		AllowCrossOrigin: c.allowCrossOrigin, TopOrigins: []string{topOrigin},
	}
}

// oursRegistration is keyfob's verdict.
func oursRegistration(c *ceremony) (*webauthn.Registration, error) {
	return webauthn.VerifyRegistration(&c.registration, &webauthn.RegistrationOptions{
		Ceremony:          c.expected(c.createChallenge),
		PubKeyCredParams:  []cose.Algorithm{c.alg},
		AcceptAttestation: acceptAttestation,
	})
}

// acceptAttestation makes keyfob as strict as go-webauthn is by itself.
func acceptAttestation(a *webauthn.Attestation) error {
	switch a.Format {
	case webauthn.FormatAndroidKey, webauthn.FormatApple, "android-safetynet":
		return a.VerifyTrust(trusted, time.Time{})
	}
	if a.Type == webauthn.AttestationUnknown {
		return errors.New("unknown format")
	}
	for _, part := range a.Parts {
		if err := acceptAttestation(part); err != nil {
			return err
		}
	}
	return nil
}

func oursAssertion(c *ceremony, record *webauthn.CredentialRecord) error {
	_, err := webauthn.VerifyAssertion(&c.assertion, record, &webauthn.AssertionOptions{Ceremony: c.expected(c.getChallenge)})
	return err
}

// go-webauthn trusts the certificates of Google and Apple for three formats, and has no way to trust others.
//
//go:linkname androidRoots github.com/go-webauthn/webauthn/protocol.attAndroidKeyHardwareRootsCertPool
var androidRoots *x509.CertPool

//go:linkname appleRoots github.com/go-webauthn/webauthn/protocol.attAppleHardwareRootsCertPool
var appleRoots *x509.CertPool

//go:linkname safetyNetRoots github.com/go-webauthn/webauthn/protocol.attStatementAndroidSafetyNetRootsCertPool
var safetyNetRoots *x509.CertPool

// trusted are the roots of the test authority and of the W3C's vectors.
var trusted = x509.NewCertPool()

// trustEverywhere makes everybody trust a root. No ceremony may be verified meanwhile.
func trustEverywhere(roots ...*x509.Certificate) {
	safetyNetRoots = trusted
	for _, root := range roots {
		androidRoots.AddCert(root)
		appleRoots.AddCert(root)
		trusted.AddCert(root)
	}
}

// theirPolicy accepts Android keys that software vouches for, as keyfob does and says.
var theirPolicy = protocol.AttestationPolicy{
	AndroidKey: protocol.AndroidKeyPolicy{AuthorizationScope: protocol.AndroidKeyAuthorizationScopeUnion},
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func theirCredential(rawID []byte, response map[string]string) []byte {
	body, err := json.Marshal(map[string]any{
		"id": b64(rawID), "rawId": b64(rawID), "type": "public-key", "response": response,
	})
	if err != nil {
		panic(err) // strings only
	}
	return body
}

// theirsRegistration is go-webauthn's verdict, and the credential's key as it would store it.
func theirsRegistration(c *ceremony) (publicKey []byte, err error) {
	defer recovered(&err)
	parsed, err := protocol.ParseCredentialCreationResponseBytes(theirCredential(c.registration.RawID, map[string]string{
		"clientDataJSON":    b64(c.registration.ClientDataJSON),
		"attestationObject": b64(c.registration.AttestationObject),
	}))
	if err != nil {
		return nil, explain(err)
	}
	params := []protocol.CredentialParameter{{
		Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(c.alg),
	}}
	_, err = parsed.Verify(b64(c.createChallenge), rpID, []string{origin}, nil, []string{topOrigin},
		protocol.TopOriginExplicitVerificationMode, c.allowCrossOrigin, false, true, nil, params, theirPolicy,
		protocol.SignaturePolicy{})
	if err != nil {
		return nil, explain(err)
	}
	flags := parsed.Response.AttestationObject.AuthData.Flags // their package webauthn checks this, before it stores
	if flags.HasBackupState() && !flags.HasBackupEligible() {
		return nil, errors.New("backed up but not eligible")
	}
	return parsed.Response.AttestationObject.AuthData.AttData.CredentialPublicKey, nil
}

func theirsAssertion(c *ceremony, record *webauthn.CredentialRecord, publicKey []byte) (err error) {
	defer recovered(&err)
	parsed, err := protocol.ParseCredentialRequestResponseBytes(theirCredential(c.assertion.RawID, map[string]string{
		"clientDataJSON":    b64(c.assertion.ClientDataJSON),
		"authenticatorData": b64(c.assertion.AuthenticatorData),
		"signature":         b64(c.assertion.Signature),
	}))
	if err != nil {
		return explain(err)
	}
	err = parsed.Verify(b64(c.getChallenge), rpID, "", []string{origin}, nil, []string{topOrigin},
		protocol.TopOriginExplicitVerificationMode, c.allowCrossOrigin, false, true, publicKey, protocol.SignaturePolicy{})
	if err != nil {
		return explain(err)
	}
	flags := parsed.Response.AuthenticatorData.Flags // their package webauthn checks these
	if flags.HasBackupEligible() != record.BackupEligible || flags.HasBackupState() && !flags.HasBackupEligible() {
		return errors.New("backup flags")
	}
	if string(parsed.RawID) != string(record.ID) {
		return errors.New("another credential")
	}
	return nil
}

// recovered makes an error of a panic, for a differential test is no place to end at one of somebody else's.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}

func explain(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %s: %s: %v", e.Type, e.Details, e.DevInfo, e.Err)
	}
	return err
}
