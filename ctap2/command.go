package ctap2

import (
	"context"
	"fmt"
)

// Command is the first byte of a request.
type Command byte

// The commands of CTAP 2.3, section 6.
const (
	CommandMakeCredential       Command = 0x01
	CommandGetAssertion         Command = 0x02
	CommandGetInfo              Command = 0x04
	CommandClientPIN            Command = 0x06
	CommandReset                Command = 0x07
	CommandGetNextAssertion     Command = 0x08
	CommandBioEnrollment        Command = 0x09
	CommandCredentialManagement Command = 0x0a
	CommandSelection            Command = 0x0b
	CommandLargeBlobs           Command = 0x0c
	CommandConfig               Command = 0x0d

	CommandBioEnrollmentPreview        Command = 0x40 // of "FIDO_2_1_PRE"
	CommandCredentialManagementPreview Command = 0x41
)

var commandNames = map[Command]string{
	CommandMakeCredential:       "makeCredential",
	CommandGetAssertion:         "getAssertion",
	CommandGetInfo:              "getInfo",
	CommandClientPIN:            "clientPIN",
	CommandReset:                "reset",
	CommandGetNextAssertion:     "getNextAssertion",
	CommandBioEnrollment:        "bioEnrollment",
	CommandCredentialManagement: "credentialManagement",
	CommandSelection:            "selection",
	CommandLargeBlobs:           "largeBlobs",
	CommandConfig:               "config",

	CommandBioEnrollmentPreview:        "bioEnrollment preview",
	CommandCredentialManagementPreview: "credentialManagement preview",
}

// Subcommand is the subcommand of a command that has several: authenticatorClientPIN, authenticatorBioEnrollment,
// authenticatorCredentialManagement or authenticatorConfig. Each of them counts from one.
type Subcommand uint

// String returns the command's name in the specification without "authenticator".
func (c Command) String() string {
	if name, ok := commandNames[c]; ok {
		return name
	}
	return fmt.Sprintf("command 0x%02x", byte(c))
}

// Selection blinks and waits until the user touches the authenticator (authenticatorSelection, section 6.9). It is
// not known before CTAP 2.1: [ErrInvalidCommand].
func (c *Client) Selection(ctx context.Context) error {
	return c.call(ctx, CommandSelection, nil, nil)
}

// Reset destroys every credential, the PIN and every setting of the authenticator (authenticatorReset, section 6.6).
// It wants a touch, and most USB keys refuse with [ErrNotAllowed] when more than ten seconds have passed since they
// were plugged in.
func (c *Client) Reset(ctx context.Context) error {
	return c.call(ctx, CommandReset, nil, nil)
}
