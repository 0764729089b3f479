package virtual

import (
	"crypto/sha256"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// authData begins the authenticator data of a registration or an assertion.
func (a *Authenticator) authData(rpID string, user evidence) *ctap2.AuthenticatorData {
	data := &ctap2.AuthenticatorData{RPIDHash: sha256.Sum256([]byte(rpID)), SignCount: a.state.SignCount}
	if user.present {
		data.Flags |= ctap2.FlagUP
	}
	if user.verified {
		data.Flags |= ctap2.FlagUV
	}
	data.Flags &^= a.config.Faults.ClearFlags
	return data
}

// attestData puts the credential itself into the data.
func (a *Authenticator) attestData(data *ctap2.AuthenticatorData, cred *credential) error {
	publicKey, err := cred.publicKey()
	if err != nil {
		return err
	}
	data.Flags |= ctap2.FlagAT
	data.Credential = &ctap2.AttestedCredential{AAGUID: a.config.AAGUID, ID: cred.ID, PublicKey: publicKey}
	return nil
}

// marshalData ends the data with what the extensions answer.
func (a *Authenticator) marshalData(data *ctap2.AuthenticatorData, out outputs) (b []byte, err error) {
	if id := a.config.Faults.ExtraExtension; id != "" {
		out[id] = true
	}
	if len(out) > 0 {
		data.Flags |= ctap2.FlagED
		if data.Extensions, err = ctapcbor.Marshal(out); err != nil {
			return nil, err
		}
	}
	return data.Marshal()
}

func (c *credential) publicKey() (*cose.Key, error) {
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	return cose.NewKey(c.Algorithm, signer.Public())
}
