package ctap2

import (
	"bytes"
	"context"
	"maps"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The subcommands of authenticatorConfig (section 6.11).
const (
	SubcommandEnableEnterpriseAttestation Subcommand = 0x01
	SubcommandToggleAlwaysUV              Subcommand = 0x02
	SubcommandSetMinPINLength             Subcommand = 0x03
	SubcommandEnableLongTouchForReset     Subcommand = 0x04 // CTAP 2.3
	SubcommandVendorPrototype             Subcommand = 0xff
)

// ConfigRequest holds the parameters of authenticatorConfig. The methods of [AuthenticatorConfig] fill it in.
type ConfigRequest struct {
	Subcommand        Subcommand          `cbor:"1,keyasint"`
	Params            ctapcbor.RawMessage `cbor:"2,keyasint,omitempty"` // one map, as authenticated
	PINUVAuthProtocol PINProtocol         `cbor:"3,keyasint,omitempty"`
	PINUVAuthParam    []byte              `cbor:"4,keyasint,omitempty"`
}

// SetMinPINLengthParams is what setMinPINLength changes. A zero member leaves things as they are.
type SetMinPINLengthParams struct {
	NewMinPINLength     uint     `cbor:"1,keyasint,omitempty"` // Unicode code points; it can only grow
	RPIDs               []string `cbor:"2,keyasint,omitempty"` // minPinLengthRPIDs: who may know, instead of those before
	ForceChangePIN      bool     `cbor:"3,keyasint,omitempty"`
	PINComplexityPolicy bool     `cbor:"4,keyasint,omitempty"` // CTAP 2.2; cannot be undone
}

// AuthenticatorConfig sends authenticatorConfig, to change the settings of an authenticator. Each method sends one
// command.
type AuthenticatorConfig struct {
	Client *Client
	Token  *Token // with PermissionAuthenticatorConfig; nil if nothing protects the authenticator
}

// EnableEnterpriseAttestation lets the authenticator identify itself to the relying parties that it was made for. It
// holds until a reset.
func (c *AuthenticatorConfig) EnableEnterpriseAttestation(ctx context.Context) error {
	return c.authenticated(ctx, SubcommandEnableEnterpriseAttestation, nil)
}

// ToggleAlwaysUV makes the authenticator verify the user always, or no longer.
func (c *AuthenticatorConfig) ToggleAlwaysUV(ctx context.Context) error {
	return c.authenticated(ctx, SubcommandToggleAlwaysUV, nil)
}

// SetMinPINLength changes what PINs the authenticator takes and who may know.
func (c *AuthenticatorConfig) SetMinPINLength(ctx context.Context, params SetMinPINLengthParams) error {
	return c.authenticated(ctx, SubcommandSetMinPINLength, params)
}

// EnableLongTouchForReset makes the authenticator want a touch of several seconds before it resets itself (CTAP 2.3).
func (c *AuthenticatorConfig) EnableLongTouchForReset(ctx context.Context) error {
	return c.authenticated(ctx, SubcommandEnableLongTouchForReset, nil)
}

// VendorPrototype sends a vendor's command by its vendorCommandId. What else it takes has keys of its own, but not 1.
func (c *AuthenticatorConfig) VendorPrototype(ctx context.Context, command uint64, params map[uint64]any) error {
	all := make(map[uint64]any, len(params)+1)
	maps.Copy(all, params)
	all[1] = command
	return c.authenticated(ctx, SubcommandVendorPrototype, all)
}

// authenticated sends a subcommand with the token's MAC over it and its parameters, which are nil if there are none.
func (c *AuthenticatorConfig) authenticated(ctx context.Context, sub Subcommand, params any) error {
	req := &ConfigRequest{Subcommand: sub}
	if params != nil {
		var err error
		if req.Params, err = ctapcbor.Marshal(params); err != nil {
			return err
		}
	}
	message := append(bytes.Repeat([]byte{0xff}, 32), byte(CommandConfig), byte(sub))
	req.PINUVAuthParam, req.PINUVAuthProtocol = c.Token.param(append(message, req.Params...))
	return c.Client.call(ctx, CommandConfig, req, nil)
}
