package authenticator

import (
	"context"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// EnableEnterpriseAttestation lets the key identify itself to the relying parties that it was made for, until it is
// reset. It asks for the PIN, or lets the key verify the user, unless a call that did so is not long past or the key
// has neither. Keys that cannot do that give an error that wraps [ErrUnsupported], as do the other methods that
// change settings.
func (a *Authenticator) EnableEnterpriseAttestation(ctx context.Context) error {
	return a.run(ctx, "enable enterprise attestation", func(ctx context.Context) error {
		enabled, supported := a.Info().Option("ep")
		if !supported {
			return fmt.Errorf("%w: no enterprise attestation", ErrUnsupported)
		}
		if enabled {
			return nil
		}
		return a.configure(ctx, ctap2.SubcommandEnableEnterpriseAttestation, func(c *ctap2.AuthenticatorConfig) error {
			return c.EnableEnterpriseAttestation(ctx)
		})
	})
}

// ToggleAlwaysUV makes the key verify the user always, or no longer: the option alwaysUv of [Authenticator.Info] says
// which. It asks as [Authenticator.EnableEnterpriseAttestation] does. Some keys cannot be made to stop.
func (a *Authenticator) ToggleAlwaysUV(ctx context.Context) error {
	return a.run(ctx, "toggle always UV", func(ctx context.Context) error {
		if _, supported := a.Info().Option("alwaysUv"); !supported {
			return fmt.Errorf("%w: no alwaysUv", ErrUnsupported)
		}
		return a.configure(ctx, ctap2.SubcommandToggleAlwaysUV, func(c *ctap2.AuthenticatorConfig) error {
			return c.ToggleAlwaysUV(ctx)
		})
	})
}

// MinPINLengthOptions is what [Authenticator.SetMinPINLength] changes. A zero member leaves things as they are.
type MinPINLengthOptions struct {
	MinPINLength        int      // in characters; it can only grow until the key is reset
	RPIDs               []string // who may ask for the length (extension minPinLength), instead of those before
	ForcePINChange      bool     // the next use of the PIN wants a new one
	PINComplexityPolicy bool     // refuse simple PINs (CTAP 2.2), until the key is reset
}

// SetMinPINLength changes what PINs the key takes. A PIN that is too short for a new length must be changed before it
// is next used. It asks as [Authenticator.EnableEnterpriseAttestation] does.
func (a *Authenticator) SetMinPINLength(ctx context.Context, o *MinPINLengthOptions) error {
	return a.run(ctx, "set the minimum PIN length", func(ctx context.Context) error {
		if err := a.checkMinPINLength(o); err != nil {
			return err
		}
		params := ctap2.SetMinPINLengthParams{
			NewMinPINLength:     uint(o.MinPINLength),
			RPIDs:               o.RPIDs,
			ForceChangePIN:      o.ForcePINChange,
			PINComplexityPolicy: o.PINComplexityPolicy,
		}
		return a.configure(ctx, ctap2.SubcommandSetMinPINLength, func(c *ctap2.AuthenticatorConfig) error {
			return c.SetMinPINLength(ctx, params)
		})
	})
}

// checkMinPINLength finds what the key would refuse.
func (a *Authenticator) checkMinPINLength(o *MinPINLengthOptions) error {
	info := a.Info()
	switch {
	case !isOn(info, "setMinPINLength"):
		return fmt.Errorf("%w: no setting of the minimum PIN length", ErrUnsupported)
	case o.MinPINLength < 0 || uint64(o.MinPINLength) > info.MaxPINLength:
		return fmt.Errorf("%w: minimum PIN length of %d, at most %d", ErrInvalidOptions, o.MinPINLength, info.MaxPINLength)
	case o.MinPINLength > 0 && uint64(o.MinPINLength) < info.MinPINLength:
		return fmt.Errorf("%w: the minimum length is %d and can only grow", ctap2.ErrPINPolicyViolation, info.MinPINLength)
	case uint64(len(o.RPIDs)) > info.MaxRPIDsForSetMinPINLength:
		return fmt.Errorf("%w: it stores %d RP IDs", ErrUnsupported, info.MaxRPIDsForSetMinPINLength)
	case o.ForcePINChange && !isOn(info, "clientPin"):
		return ctap2.ErrPINNotSet
	case o.PINComplexityPolicy && info.PINComplexityPolicy == nil:
		return fmt.Errorf("%w: no PIN complexity policy", ErrUnsupported)
	}
	return nil
}

// EnableLongTouchForReset makes the key want a touch of several seconds before it resets itself, until it is reset
// (CTAP 2.3). It asks as [Authenticator.EnableEnterpriseAttestation] does.
func (a *Authenticator) EnableLongTouchForReset(ctx context.Context) error {
	return a.run(ctx, "enable long touch for reset", func(ctx context.Context) error {
		if a.Info().AuthenticatorConfigCommands == nil { // it did not exist before there was such a list
			return fmt.Errorf("%w: no long touch for reset", ErrUnsupported)
		}
		return a.configure(ctx, ctap2.SubcommandEnableLongTouchForReset, func(c *ctap2.AuthenticatorConfig) error {
			return c.EnableLongTouchForReset(ctx)
		})
	})
}

// VendorPrototype sends a setting of the key's maker by its number, which must be in
// Info().VendorPrototypeConfigCommands. Its parameters have keys from 2 on. It asks as
// [Authenticator.EnableEnterpriseAttestation] does.
func (a *Authenticator) VendorPrototype(ctx context.Context, command uint64, params map[uint64]any) error {
	return a.run(ctx, "vendor prototype", func(ctx context.Context) error {
		if !slices.Contains(a.Info().VendorPrototypeConfigCommands, command) {
			return fmt.Errorf("%w: no vendor command %d", ErrUnsupported, command)
		}
		return a.configure(ctx, ctap2.SubcommandVendorPrototype, func(c *ctap2.AuthenticatorConfig) error {
			return c.VendorPrototype(ctx, command, params)
		})
	})
}

// configure runs a command that changes the key's settings.
func (a *Authenticator) configure(
	ctx context.Context, sub ctap2.Subcommand, command func(*ctap2.AuthenticatorConfig) error,
) error {
	info := a.Info()
	if !isOn(info, "authnrCfg") || !takesConfig(info, sub) {
		return fmt.Errorf("%w: no such setting", ErrUnsupported)
	}
	set := func(token *ctap2.Token) error {
		c := &ctap2.AuthenticatorConfig{Client: a.client(0), Token: token}
		return a.changes(ctx, func() error { return command(c) })
	}
	if sub == ctap2.SubcommandToggleAlwaysUV && !isProtected(info) { // or nobody could ever switch it off
		return set(nil)
	}
	return a.managed(ctx, uvQuestion{permissions: ctap2.PermissionAuthenticatorConfig}, set)
}

// takesConfig says whether the key takes a subcommand. A key of CTAP 2.3 lists them (section 6.4), but vendors' own
// have another list.
func takesConfig(info *ctap2.Info, sub ctap2.Subcommand) bool {
	switch {
	case sub == ctap2.SubcommandVendorPrototype:
		return true
	case info.AuthenticatorConfigCommands == nil:
		return !info.HasVersion("FIDO_2_3")
	}
	return slices.Contains(info.AuthenticatorConfigCommands, uint64(sub))
}
