package virtual

import (
	"context"
	"errors"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A handler runs a command. It returns the members of the response, nil for none, or a [ctap2.Status] as the error.
type handler func(a *Authenticator, ctx context.Context, c *call, params []byte) (any, error)

// command is one that a key may have.
type command struct {
	run   handler
	since Version
	needs string // the option that says that the key has it; empty for all keys of the version
}

var commands = map[ctap2.Command]command{
	ctap2.CommandMakeCredential:   {run: (*Authenticator).makeCredential},
	ctap2.CommandGetAssertion:     {run: (*Authenticator).getAssertion},
	ctap2.CommandGetNextAssertion: {run: (*Authenticator).getNextAssertion},
	ctap2.CommandGetInfo:          {run: (*Authenticator).getInfo},
	ctap2.CommandClientPIN:        {run: (*Authenticator).clientPIN},
	ctap2.CommandReset:            {run: (*Authenticator).reset},
	ctap2.CommandSelection:        {run: (*Authenticator).selection, since: CTAP21},
	ctap2.CommandConfig:           {run: (*Authenticator).configure, needs: optionConfig},
	ctap2.CommandBioEnrollment:    {run: (*Authenticator).bioEnrollment, needs: optionBioEnroll},

	ctap2.CommandCredentialManagement: {run: (*Authenticator).credentialManagement, needs: optionCredMgmt},
	ctap2.CommandLargeBlobs:           {run: (*Authenticator).largeBlobs, needs: optionLargeBlobs},

	ctap2.CommandCredentialManagementPreview: {run: (*Authenticator).credentialManagement, needs: optionCredMgmtPreview},
	ctap2.CommandBioEnrollmentPreview:        {run: (*Authenticator).bioEnrollment, needs: optionBioEnrollPreview},
}

// answer returns the response to one command: never empty, whatever the request.
func (a *Authenticator) answer(ctx context.Context, c *call, request []byte) []byte {
	members, err := a.dispatch(ctx, c, request)
	if err != nil {
		return []byte{byte(statusOf(err))}
	}
	if members == nil {
		return []byte{0}
	}
	encoded, err := ctapcbor.Marshal(members)
	if err != nil {
		return []byte{byte(ctap2.ErrOther)}
	}
	return append([]byte{0}, encoded...)
}

// statusOf is OTHER for what is no fault of the platform, such as a full disk.
func statusOf(err error) ctap2.Status {
	if status, ok := errors.AsType[ctap2.Status](err); ok && status != 0 {
		return status
	}
	return ctap2.ErrOther
}

func (a *Authenticator) dispatch(ctx context.Context, c *call, request []byte) (any, error) {
	if len(request) == 0 {
		return nil, ctap2.ErrInvalidLength
	}
	if len(request) > a.config.MaxMessageSize {
		return nil, ctap2.ErrRequestTooLarge
	}
	c.command = ctap2.Command(request[0])
	if c.command != ctap2.CommandGetNextAssertion {
		c.session.walk = nil // section 6.3: any other command ends it
	}
	if c.command != ctap2.CommandCredentialManagement && c.command != ctap2.CommandCredentialManagementPreview {
		c.session.enumeration = nil // section 6.8
	}
	cmd, ok := commands[c.command]
	if !ok || a.config.Version < cmd.since || cmd.needs != "" && !a.has(cmd.needs) {
		return nil, ctap2.ErrInvalidCommand
	}
	return cmd.run(a, ctx, c, request[1:])
}
