package virtual

import (
	"context"

	"github.com/keyfob-go/keyfob/ctap2"
)

// uvFingerprint is the bit of a built-in fingerprint reader in uvModality.
const uvFingerprint = 0x02

// getInfo is authenticatorGetInfo, section 6.4.
func (a *Authenticator) getInfo(context.Context, *call, []byte) (any, error) {
	remaining := uint64(max(0, a.config.Capacity-len(a.state.Credentials)))
	info := &ctap2.Info{
		Versions:                         a.versions(),
		Extensions:                       a.extensions(),
		AAGUID:                           a.config.AAGUID,
		Options:                          a.options(),
		MaxMsgSize:                       uint64(a.config.MaxMessageSize),
		PINUVAuthProtocols:               a.config.PINUVAuthProtocols,
		MaxCredentialCountInList:         uint64(a.config.MaxCredentialCountInList),
		MaxCredentialIDLength:            uint64(a.config.MaxCredentialIDLength),
		Transports:                       []string{"usb"},
		Algorithms:                       a.algorithms(),
		MinPINLength:                     minPINLength,
		FirmwareVersion:                  a.config.FirmwareVersion,
		RemainingDiscoverableCredentials: &remaining,
		AttestationFormats:               []string{"packed"},
	}
	if a.config.Attestation == AttestationNone {
		info.AttestationFormats = []string{"none"}
	}
	if a.hasUV() {
		info.PreferredPlatformUVAttempts = uvAttempts
		info.UVModality = uvFingerprint
	}
	return info, nil
}

func (a *Authenticator) versions() []string {
	if a.hasU2F() {
		return []string{u2fVersion, "FIDO_2_0", "FIDO_2_1"}
	}
	return []string{"FIDO_2_0", "FIDO_2_1"}
}

func (a *Authenticator) options() map[string]bool {
	options := map[string]bool{
		"rk":               true,
		"up":               true,
		"plat":             false,
		"pinUvAuthToken":   a.hasUV() || !a.config.NoClientPIN,
		"makeCredUvNotRqd": !a.config.MakeCredUVRequired && !a.config.AlwaysUV,
	}
	if !a.config.NoClientPIN {
		options["clientPin"] = a.hasPIN()
	}
	if a.hasUV() {
		options["uv"] = true
	}
	if a.config.AlwaysUV {
		options["alwaysUv"] = true
	}
	return options
}

func (a *Authenticator) algorithms() []ctap2.CredentialParameter {
	var list []ctap2.CredentialParameter
	for _, alg := range a.config.Algorithms {
		list = append(list, ctap2.CredentialParameter{Algorithm: alg, Type: ctap2.PublicKeyType})
	}
	return list
}
