package virtual

import (
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The formats of other makers' authenticators, for those who test a relying party: WebAuthn Level 3, sections 8.3 to 8.9.
// The certificates are of an authority that lives as long as the key: see [Authenticator.AttestationRoot]. The formats want
// certain algorithms: fido-u2f ES256, and tpm and android-key none of the Edwards curves.
const (
	AttestationTPM        Attestation = iota + AttestationNone + 1 // format tpm
	AttestationAndroidKey                                          // format android-key
	AttestationApple                                               // format apple
	AttestationFIDOU2F                                             // format fido-u2f, over CTAP2 too
	AttestationSafetyNet                                           // format android-safetynet
	AttestationCompound                                            // format compound: packed and fido-u2f
)

// makers are the names of the formats in package attest.
var makers = map[Attestation]string{
	AttestationTPM:        "tpm",
	AttestationAndroidKey: "android-key",
	AttestationApple:      "apple",
	AttestationFIDOU2F:    "fido-u2f",
	AttestationSafetyNet:  "android-safetynet",
	AttestationCompound:   "compound",
}

// prepareAuthority makes the authority that the format needs, if it does.
func (a *Authenticator) prepareAuthority() (err error) {
	if _, ok := makers[a.config.Attestation]; ok {
		a.authority, err = attest.NewAuthority()
	}
	return err
}

// attestForMakers sets the statement of the response for its format and authenticator data.
func (a *Authenticator) attestForMakers(resp *ctap2.MakeCredentialResponse, c *credential, clientDataHash []byte) error {
	key, err := c.signer()
	if err != nil {
		return err
	}
	statement, err := a.authority.Statement(resp.Format, &attest.Registration{
		AuthData:       resp.AuthData,
		ClientDataHash: clientDataHash,
		Algorithm:      c.Algorithm,
		Key:            key,
	})
	if err != nil {
		return fmt.Errorf("attestation: %w", err)
	}
	resp.AttStmt, err = ctapcbor.Marshal(statement)
	return err
}
