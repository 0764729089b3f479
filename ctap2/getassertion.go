package ctap2

import (
	"context"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// GetAssertionRequest holds the parameters of authenticatorGetAssertion (section 6.2).
type GetAssertionRequest struct {
	RPID              string                 `cbor:"1,keyasint"`
	ClientDataHash    []byte                 `cbor:"2,keyasint"` // 32 bytes
	AllowList         []CredentialDescriptor `cbor:"3,keyasint,omitempty"`
	Extensions        GetAssertionExtensions `cbor:"4,keyasint,omitempty"`
	Options           GetAssertionOptions    `cbor:"5,keyasint,omitempty"`
	PINUVAuthParam    []byte                 `cbor:"6,keyasint,omitzero"`
	PINUVAuthProtocol PINProtocol            `cbor:"7,keyasint,omitempty"`
}

// GetAssertionOptions are the options of an assertion.
type GetAssertionOptions struct {
	UserPresence     *bool `cbor:"up,omitempty"` // nil means true
	UserVerification bool  `cbor:"uv,omitempty"` // by the authenticator itself; never together with PINUVAuthParam
}

// GetAssertionResponse is the answer to authenticatorGetAssertion and authenticatorGetNextAssertion.
type GetAssertionResponse struct {
	Credential               *CredentialDescriptor `cbor:"1,keyasint,omitempty"` // may be nil if the allow list had one entry (CTAP 2.0)
	AuthData                 []byte                `cbor:"2,keyasint"`           // as signed; see [ParseAuthenticatorData]
	Signature                []byte                `cbor:"3,keyasint"`
	User                     *User                 `cbor:"4,keyasint,omitempty"` // only its ID unless the user was verified
	NumberOfCredentials      uint64                `cbor:"5,keyasint,omitempty"` // 0 means 1; untrusted: may be any number
	UserSelected             bool                  `cbor:"6,keyasint,omitempty"`
	LargeBlobKey             []byte                `cbor:"7,keyasint,omitempty"` // 32 bytes
	UnsignedExtensionOutputs ctapcbor.RawMessage   `cbor:"8,keyasint,omitempty"` // one map
}

// GetAssertion asks for a signature by one of the authenticator's credentials for the relying party. The authenticator
// waits for a touch unless the request says that it need not.
func (c *Client) GetAssertion(ctx context.Context, req *GetAssertionRequest) (*GetAssertionResponse, error) {
	return c.assertion(ctx, CommandGetAssertion, req)
}

// GetNextAssertion returns the next of the assertions that the last GetAssertion counted (section 6.3). Nothing else may
// be sent in between, and no more than 30 seconds may pass.
func (c *Client) GetNextAssertion(ctx context.Context) (*GetAssertionResponse, error) {
	return c.assertion(ctx, CommandGetNextAssertion, nil)
}

func (c *Client) assertion(ctx context.Context, cmd Command, req any) (*GetAssertionResponse, error) {
	resp := new(GetAssertionResponse)
	if err := c.call(ctx, cmd, req, resp); err != nil {
		return nil, err
	}
	if len(resp.AuthData) == 0 {
		return nil, missing(cmd, "authData")
	}
	if len(resp.Signature) == 0 {
		return nil, missing(cmd, "signature")
	}
	return resp, nil
}
