package virtual

import "github.com/keyfob-go/keyfob/ctap2"

// knownPermissions are those that mean something; the others are ignored.
const knownPermissions = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion |
	ctap2.PermissionCredentialManagement | ctap2.PermissionBioEnrollment | ctap2.PermissionLargeBlobWrite |
	ctap2.PermissionAuthenticatorConfig | ctap2.PermissionPersistentReadOnly

// checkPermissions refuses permissions that there are no tokens for, and those without the relying party that they
// are for. It takes unknown ones out of the request. Sections 6.5.5.7.2 and 6.5.5.7.3, steps 3 and 4.
func (a *Authenticator) checkPermissions(req *ctap2.ClientPINRequest, available ctap2.Permission) error {
	if req.Permissions == 0 {
		return ctap2.ErrInvalidParameter
	}
	req.Permissions &= knownPermissions
	if req.Permissions&^available != 0 {
		return ctap2.ErrUnauthorizedPermission
	}
	const alone = ctap2.PermissionPersistentReadOnly
	if req.Permissions&alone != 0 && req.Permissions != alone {
		return ctap2.ErrUnauthorizedPermission
	}
	if req.Permissions&defaultPermissions != 0 && req.RPID == "" {
		return ctap2.ErrInvalidParameter // the table in section 6.5.5.7
	}
	return nil
}

// pinPermissions are what a PIN is good for.
func (a *Authenticator) pinPermissions() ctap2.Permission {
	p := a.commonPermissions()
	if !a.config.NoMCGAWithPIN {
		p |= defaultPermissions
	}
	return p | a.permit(optionBioEnroll, ctap2.PermissionBioEnrollment) |
		a.permit(optionConfig, ctap2.PermissionAuthenticatorConfig)
}

// uvPermissions are what built-in user verification is good for.
func (a *Authenticator) uvPermissions() ctap2.Permission {
	return a.commonPermissions() | defaultPermissions | a.permit(optionUVBioEnroll, ctap2.PermissionBioEnrollment) |
		a.permit(optionUVConfig, ctap2.PermissionAuthenticatorConfig)
}

func (a *Authenticator) commonPermissions() ctap2.Permission {
	return a.permit(optionCredMgmt, ctap2.PermissionCredentialManagement) |
		a.permit(optionLargeBlobs, ctap2.PermissionLargeBlobWrite) |
		a.permit(optionPerCredMgmtRO, ctap2.PermissionPersistentReadOnly)
}

// permit returns the permission if the key has the option.
func (a *Authenticator) permit(option string, p ctap2.Permission) ctap2.Permission {
	if a.has(option) {
		return p
	}
	return 0
}
