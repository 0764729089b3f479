package ctap2

import (
	"context"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// MakeCredentialRequest holds the parameters of authenticatorMakeCredential (section 6.1).
type MakeCredentialRequest struct {
	ClientDataHash               []byte                   `cbor:"1,keyasint"` // 32 bytes
	RP                           RelyingParty             `cbor:"2,keyasint"`
	User                         User                     `cbor:"3,keyasint"`
	PubKeyCredParams             []CredentialParameter    `cbor:"4,keyasint"` // best first
	ExcludeList                  []CredentialDescriptor   `cbor:"5,keyasint,omitempty"`
	Extensions                   MakeCredentialExtensions `cbor:"6,keyasint,omitempty"`
	Options                      MakeCredentialOptions    `cbor:"7,keyasint,omitempty"`
	PINUVAuthParam               []byte                   `cbor:"8,keyasint,omitzero"` // empty but not nil: select by touch
	PINUVAuthProtocol            PINProtocol              `cbor:"9,keyasint,omitempty"`
	EnterpriseAttestation        uint                     `cbor:"10,keyasint,omitempty"` // 1 vendor-facilitated, 2 platform-managed
	AttestationFormatsPreference []string                 `cbor:"11,keyasint,omitempty"`
}

// MakeCredentialOptions are the options of a new credential.
type MakeCredentialOptions struct {
	ResidentKey      bool  `cbor:"rk,omitempty"`
	UserPresence     *bool `cbor:"up,omitempty"` // nil or true: anything else is an error of the protocol
	UserVerification bool  `cbor:"uv,omitempty"` // by the authenticator itself; never together with PINUVAuthParam
}

// MakeCredentialResponse is the answer to authenticatorMakeCredential.
type MakeCredentialResponse struct {
	Format                   string              `cbor:"1,keyasint"`
	AuthData                 []byte              `cbor:"2,keyasint"`           // as signed; see [ParseAuthenticatorData]
	AttStmt                  ctapcbor.RawMessage `cbor:"3,keyasint,omitempty"` // one map, nil if left out (CTAP 2.2)
	EnterpriseAttestation    bool                `cbor:"4,keyasint,omitempty"`
	LargeBlobKey             []byte              `cbor:"5,keyasint,omitempty"` // 32 bytes
	UnsignedExtensionOutputs ctapcbor.RawMessage `cbor:"6,keyasint,omitempty"` // one map
}

// MakeCredential creates a credential. The authenticator waits for a touch.
func (c *Client) MakeCredential(ctx context.Context, req *MakeCredentialRequest) (*MakeCredentialResponse, error) {
	resp := new(MakeCredentialResponse)
	if err := c.call(ctx, CommandMakeCredential, req, resp); err != nil {
		return nil, err
	}
	if resp.Format == "" {
		return nil, missing(CommandMakeCredential, "fmt")
	}
	if len(resp.AuthData) == 0 {
		return nil, missing(CommandMakeCredential, "authData")
	}
	return resp, nil
}
