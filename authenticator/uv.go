package authenticator

import (
	"strings"

	"github.com/keyfob-go/keyfob/ctap2"
)

// UserVerification says how much the caller wants the user verified, by the PIN or by the key itself.
type UserVerification int

// The zero value asks for nothing that the key does not insist on.
const (
	UVDiscouraged UserVerification = iota // only if the key insists
	UVPreferred                           // if a PIN or fingerprint is set up
	UVRequired                            // or fail
)

// uvMethod is a way to verify the user.
type uvMethod int

const (
	uvNone       uvMethod = iota // not at all
	uvToken                      // the key itself, for a token (CTAP 2.1, and its preview for managing the key)
	uvOption                     // the key itself, in the command (CTAP 2.0)
	uvPIN                        // a PIN, for a token
	uvNoPIN                      // it must be, but nothing is set up for it; a PIN could be
	uvImpossible                 // it must be, but nothing is set up for it, and a PIN would not do
	uvRefused                    // the key does not take its PIN for this (noMcGaPermissionsWithClientPin)
)

// works says that the user can be verified by the method.
func (m uvMethod) works() bool { return m == uvToken || m == uvOption || m == uvPIN }

// uvQuestion is all that the decision depends on, besides the key.
type uvQuestion struct {
	permissions ctap2.Permission // what the user is verified for
	wish        UserVerification // UVRequired for commands that always want a token
	resident    bool             // makeCredential of a resident credential
	silent      bool             // getAssertion without a touch
}

// credentialPermissions are those for commands that can also have the key verify the user by an option.
const credentialPermissions = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion

// decideUV chooses how the user is verified, before anything is sent and anybody asked: CTAP 2.3, sections 6.1.1, 6.2.1,
// 6.10 and 6.11.
func decideUV(info *ctap2.Info, q uvQuestion) uvMethod {
	way := uvWay(info, q.permissions)
	wanted := q.wish == UVRequired || q.wish == UVPreferred && way.works() || insistsOnUV(info, q)
	if !wanted {
		return uvNone
	}
	return way
}

// insistsOnUV says whether the key refuses the command if the user is not verified, whatever the caller wishes.
func insistsOnUV(info *ctap2.Info, q uvQuestion) bool {
	protected, always := isProtected(info), isOn(info, "alwaysUv")
	switch {
	case q.permissions&ctap2.PermissionMakeCredential != 0 && isCTAP20(info):
		return protected
	case q.permissions&ctap2.PermissionMakeCredential != 0:
		return always || protected && (q.resident || !isOn(info, "makeCredUvNotRqd"))
	case q.permissions&ctap2.PermissionGetAssertion != 0:
		return always && !q.silent
	}
	return always || protected
}

// uvWay is how the user would be verified: by the key itself if it can do that for these permissions, else by the PIN.
func uvWay(info *ctap2.Info, permissions ctap2.Permission) uvMethod {
	tokens := isOn(info, "pinUvAuthToken")
	switch {
	case !isOn(info, "uv"):
	case tokens && grantedByUV(info, permissions):
		return uvToken
	case !tokens && permissions&^credentialPermissions == 0:
		return uvOption
	case !tokens && isOn(info, "uvToken"): // CTAP 2.1-PRE: for commands that know no option
		return uvToken
	}
	return pinWay(info, permissions)
}

// grantedByUV says whether a token may have the permissions after the key verified the user itself.
func grantedByUV(info *ctap2.Info, permissions ctap2.Permission) bool {
	return (permissions&ctap2.PermissionBioEnrollment == 0 || isOn(info, "uvBioEnroll")) &&
		(permissions&ctap2.PermissionAuthenticatorConfig == 0 || isOn(info, "uvAcfg"))
}

// pinWay is uvWay when the key cannot, or could not, verify the user itself.
func pinWay(info *ctap2.Info, permissions ctap2.Permission) uvMethod {
	refused := permissions&credentialPermissions != 0 && isOn(info, "noMcGaPermissionsWithClientPin")
	set, supported := info.Option("clientPin")
	switch {
	case !supported, !set && refused:
		return uvImpossible
	case !set:
		return uvNoPIN
	case refused:
		return uvRefused
	}
	return uvPIN
}

// isOn reports whether the key lists the option as true.
func isOn(info *ctap2.Info, option string) bool {
	on, _ := info.Option(option)
	return on
}

// isProtected reports whether the key is protected by some form of user verification, as the specification calls it.
func isProtected(info *ctap2.Info) bool { return isOn(info, "clientPin") || isOn(info, "uv") }

// isCTAP20 reports whether the key speaks no later CTAP2 than 2.0, nor the preview of 2.1. It then knows nothing of the
// options that let credentials be made without user verification.
func isCTAP20(info *ctap2.Info) bool {
	for _, version := range info.Versions {
		if strings.HasPrefix(version, "FIDO_") && version != "FIDO_2_0" {
			return false
		}
	}
	return info.HasVersion("FIDO_2_0")
}
