package virtual

import (
	"bytes"
	"context"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

const (
	paramManagementParams key = 0x02

	paramRPIDHash     key = 0x01
	paramCredentialID key = 0x02
	paramUser         key = 0x03
)

var isCredentialManagement = isRecord(
	required(key(0x01), isUnsigned),
	optional(paramManagementParams, isRecord(
		optional(paramRPIDHash, isHash),
		optional(paramCredentialID, isDescriptor),
		optional(paramUser, isUser),
	)),
	optional(key(0x03), isUnsigned),
	optional(key(0x04), isBytes),
)

// management is a subcommand of authenticatorCredentialManagement that wants a token.
type management struct {
	run         func(a *Authenticator, m *managed) (any, error)
	permissions ctap2.Permission // one of which will do
	params      []key            // that must be there
}

const mayList = ctap2.PermissionCredentialManagement | ctap2.PermissionPersistentReadOnly

var managements = map[ctap2.Subcommand]management{
	ctap2.SubcommandGetCredsMetadata:  {run: (*Authenticator).credsMetadata, permissions: mayList},
	ctap2.SubcommandEnumerateRPsBegin: {run: (*Authenticator).enumerateRPs, permissions: mayList},
	ctap2.SubcommandEnumerateCredentialsBegin: {
		run: (*Authenticator).enumerateCredentials, permissions: mayList, params: []key{paramRPIDHash},
	},
	ctap2.SubcommandDeleteCredential: {
		run:         (*Authenticator).deleteCredential,
		permissions: ctap2.PermissionCredentialManagement,
		params:      []key{paramCredentialID},
	},
	ctap2.SubcommandUpdateUserInformation: {
		run:         (*Authenticator).updateUser,
		permissions: ctap2.PermissionCredentialManagement,
		params:      []key{paramCredentialID, paramUser},
	},
}

// managed is a subcommand on its way.
type managed struct {
	ctap2.CredentialManagementParams
	call  *call
	token *token
}

// allows reports whether the token may be used for the relying party: one that is bound to another may not.
func (m *managed) allows(rpID string) bool { return m.token.rpID == "" || m.token.rpID == rpID }

// credentialManagement is authenticatorCredentialManagement, section 6.8, and its preview.
func (a *Authenticator) credentialManagement(_ context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.CredentialManagementRequest)
	sent, err := decode(params, isCredentialManagement, req)
	if err != nil {
		return nil, err
	}
	last := c.session.enumeration
	c.session.enumeration = nil
	switch req.Subcommand {
	case ctap2.SubcommandEnumerateRPsGetNextRP, ctap2.SubcommandEnumerateCredentialsGetNextCredential:
		return a.enumerateNext(c, last, req.Subcommand)
	}
	do, ok := managements[req.Subcommand]
	if !ok || req.Subcommand == ctap2.SubcommandUpdateUserInformation && a.config.Version < CTAP21 {
		return nil, ctap2.ErrInvalidSubcommand // the preview did not have it
	}
	m := &managed{call: c}
	if m.token, err = a.authorizeManagement(req, sent, do); err != nil {
		return nil, err
	}
	if len(req.Params) > 0 {
		if err := ctapcbor.Unmarshal(req.Params, &m.CredentialManagementParams); err != nil {
			return nil, err
		}
	}
	return do.run(a, m)
}

// authorizeManagement returns the token that the subcommand came with.
func (a *Authenticator) authorizeManagement(
	req *ctap2.CredentialManagementRequest, sent message, do management,
) (*token, error) {
	if req.PINUVAuthParam == nil {
		return nil, ctap2.ErrPUATRequired
	}
	params, _ := sent[paramManagementParams].(map[any]any)
	for _, k := range do.params {
		if !message(params).has(k) {
			return nil, ctap2.ErrMissingParameter
		}
	}
	return a.require(claim{
		protocol:   req.PINUVAuthProtocol,
		param:      req.PINUVAuthParam,
		message:    append([]byte{byte(req.Subcommand)}, req.Params...),
		permission: do.permissions,
	})
}

// credsMetadata is section 6.8.2.
func (a *Authenticator) credsMetadata(m *managed) (any, error) {
	if !m.allows("") {
		return nil, ctap2.ErrPINAuthInvalid
	}
	existing := uint64(len(a.state.passkeys()))
	remaining := a.remaining()
	return &ctap2.CredentialManagementResponse{
		ExistingResidentCredentials:             &existing,
		MaxPossibleRemainingResidentCredentials: &remaining,
	}, nil
}

// remaining is for how many more credentials there is room.
func (a *Authenticator) remaining() uint64 {
	return uint64(max(0, a.config.Capacity-len(a.state.Credentials)))
}

// passkeys are the credentials that can be managed, the oldest first.
func (s *state) passkeys() []*credential {
	var list []*credential
	for _, c := range s.Credentials {
		if c.Discoverable {
			list = append(list, c)
		}
	}
	return list
}

// deleteCredential is section 6.8.5.
func (a *Authenticator) deleteCredential(m *managed) (any, error) {
	cred, err := a.managedCredential(m)
	if err != nil {
		return nil, err
	}
	return nil, a.update(func(s *state) { s.remove(cred) })
}

// updateUser is section 6.8.6. A name that is empty or not there goes away.
func (a *Authenticator) updateUser(m *managed) (any, error) {
	cred, err := a.managedCredential(m)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(cred.User.ID, m.User.ID) {
		return nil, ctap2.ErrInvalidParameter
	}
	next := *cred
	next.User = *m.User
	return nil, a.update(func(s *state) { s.replace(cred, &next) })
}

// managedCredential returns the passkey that the subcommand names.
func (a *Authenticator) managedCredential(m *managed) (*credential, error) {
	for _, c := range a.state.passkeys() {
		if !bytes.Equal(c.ID, m.CredentialID.ID) {
			continue
		}
		if !m.allows(c.RPID) {
			return nil, ctap2.ErrPINAuthInvalid
		}
		return c, nil
	}
	if !m.allows("") { // what others have is none of the platform's business
		return nil, ctap2.ErrPINAuthInvalid
	}
	return nil, ctap2.ErrNoCredentials
}
