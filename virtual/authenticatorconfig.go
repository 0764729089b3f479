package virtual

import (
	"bytes"
	"context"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// maxMinPINLengthRPIDs is how many relying parties may learn the minimum PIN length.
const maxMinPINLengthRPIDs = 8

const (
	paramNewMinPINLength key = 0x01
	paramRPIDs           key = 0x02
)

var (
	isConfig = isRecord(
		required(key(0x01), isUnsigned),
		optional(key(0x02), isMap),
		optional(key(0x03), isUnsigned),
		optional(key(0x04), isBytes),
	)
	isSetMinPINLength = isRecord(
		optional(paramNewMinPINLength, isUnsigned),
		optional(paramRPIDs, isListOf(isText)),
		optional(key(0x03), isBool),
		optional(key(0x04), isBool),
	)
	isVendorPrototype = isRecord(required(key(0x01), isUnsigned))
)

// configure is authenticatorConfig, section 6.11.
func (a *Authenticator) configure(_ context.Context, _ *call, params []byte) (any, error) {
	req := new(ctap2.ConfigRequest)
	if _, err := decode(params, isConfig, req); err != nil {
		return nil, err
	}
	if !a.hasConfigCommand(req.Subcommand) {
		return nil, ctap2.ErrInvalidParameter
	}
	if err := a.authorizeConfig(req); err != nil {
		return nil, err
	}
	switch req.Subcommand {
	case ctap2.SubcommandEnableEnterpriseAttestation:
		return nil, a.update(func(s *state) { s.Settings.EnterpriseAttestation = true })
	case ctap2.SubcommandToggleAlwaysUV:
		return nil, a.update(func(s *state) { s.Settings.ToggledAlwaysUV = !s.Settings.ToggledAlwaysUV })
	case ctap2.SubcommandEnableLongTouchForReset:
		return nil, a.update(func(s *state) { s.Settings.LongTouchForReset = true })
	case ctap2.SubcommandSetMinPINLength:
		return nil, a.setMinPINLength(req.Params)
	}
	return nil, a.runVendorPrototype(req.Params)
}

// hasConfigCommand reports whether the key knows a subcommand of authenticatorConfig.
func (a *Authenticator) hasConfigCommand(s ctap2.Subcommand) bool {
	switch s {
	case ctap2.SubcommandEnableEnterpriseAttestation:
		return a.has(optionEP)
	case ctap2.SubcommandToggleAlwaysUV:
		return a.has(optionAlwaysUV)
	case ctap2.SubcommandSetMinPINLength:
		return a.has(optionSetMinPINLength)
	case ctap2.SubcommandEnableLongTouchForReset:
		return a.config.Version >= CTAP23
	case ctap2.SubcommandVendorPrototype:
		return len(a.config.VendorConfig) > 0
	}
	return false
}

// configCommands is member authenticatorConfigCommands of getInfo.
func (a *Authenticator) configCommands() []uint64 {
	commands := []uint64{}
	for s := ctap2.Subcommand(0); s <= ctap2.SubcommandVendorPrototype; s++ {
		if a.hasConfigCommand(s) {
			commands = append(commands, uint64(s))
		}
	}
	return commands
}

// authorizeConfig wants a token of a key that is protected, or ought to be. Without any protection alwaysUv can be
// switched off again without a token, since nobody could get one otherwise.
func (a *Authenticator) authorizeConfig(req *ctap2.ConfigRequest) error {
	if !a.isProtected() && (!a.alwaysUV() || req.Subcommand == ctap2.SubcommandToggleAlwaysUV) {
		return nil
	}
	prefix := append(bytes.Repeat([]byte{0xff}, 32), byte(ctap2.CommandConfig), byte(req.Subcommand))
	_, err := a.require(claim{
		protocol:   req.PINUVAuthProtocol,
		param:      req.PINUVAuthParam,
		message:    append(prefix, req.Params...),
		permission: ctap2.PermissionAuthenticatorConfig,
	})
	return err
}

// setMinPINLength is section 6.11.4.
func (a *Authenticator) setMinPINLength(params []byte) error {
	req := new(ctap2.SetMinPINLengthParams)
	sent, err := decodeOptional(params, isSetMinPINLength, req)
	if err != nil {
		return err
	}
	if a.config.Version < CTAP22 {
		req.PINComplexityPolicy = false // not known yet, and ignored
	}
	if err := a.checkSetMinPINLength(req, sent); err != nil {
		return err
	}
	force := a.hasPIN() && (req.ForceChangePIN || req.NewMinPINLength > uint(a.pinLength()) || a.addsComplexity(req))
	err = a.update(func(s *state) {
		s.Settings.MinPINLength = max(s.Settings.MinPINLength, int(req.NewMinPINLength))
		s.Settings.PINComplexity = s.Settings.PINComplexity || req.PINComplexityPolicy
		if len(req.RPIDs) > 0 {
			s.Settings.MinPINLengthRPIDs = req.RPIDs
		}
		if force {
			s.ForcePINChange = true
			s.PINChanges++
		}
	})
	if err == nil && force {
		a.volatile.token = nil
	}
	return err
}

func (a *Authenticator) checkSetMinPINLength(req *ctap2.SetMinPINLengthParams, sent message) error {
	switch {
	case sent.has(paramRPIDs) && !a.has(extensionMinPINLength) && !a.has(extensionPINComplexityPolicy):
		return ctap2.ErrInvalidParameter
	case sent.has(paramNewMinPINLength) && req.NewMinPINLength < uint(a.minPINLength()):
		return ctap2.ErrPINPolicyViolation
	case req.NewMinPINLength > uint(a.config.PIN.MaxLength):
		return ctap2.ErrPINPolicyViolation
	case req.ForceChangePIN && !a.hasPIN():
		return ctap2.ErrPINNotSet
	case len(req.RPIDs) > maxMinPINLengthRPIDs:
		return ctap2.ErrKeyStoreFull
	}
	return nil
}

// pinLength is the PIN's length in code points, or the least that it can be.
func (a *Authenticator) pinLength() int { return max(a.state.PINLength, minPINLength) }

// addsComplexity reports whether the request makes the key refuse PINs that it took so far. It cannot tell whether the
// PIN is one of them.
func (a *Authenticator) addsComplexity(req *ctap2.SetMinPINLengthParams) bool {
	return req.PINComplexityPolicy && !a.hasPINComplexityPolicy()
}

// revealsPINLength reports whether a relying party may learn the minimum PIN length (extension minPinLength).
func (a *Authenticator) revealsPINLength(rpID string) bool {
	return slices.Contains(a.state.Settings.MinPINLengthRPIDs, rpID)
}

func (a *Authenticator) runVendorPrototype(params []byte) error {
	var req struct {
		Command uint64 `cbor:"1,keyasint"`
	}
	if params == nil {
		return ctap2.ErrMissingParameter
	}
	if _, err := decode(params, isVendorPrototype, &req); err != nil {
		return err
	}
	run, ok := a.config.VendorConfig[req.Command]
	if !ok {
		return ctap2.ErrInvalidParameter
	}
	return run(bytes.Clone(params))
}
