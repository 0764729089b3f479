// Package ctap1 speaks U2F, which CTAP calls CTAP1, to one authenticator: the raw messages of FIDO U2F 1.2, their
// status words, and the polling for a touch.
//
// Start with a [Client] over a [Transport]; a *ctaphid.Channel is one:
//
//	c := ctap1.Client{Transport: channel}
//	reg, err := c.Register(ctx, challenge, application)
//	...
//	assertion, err := c.Authenticate(ctx, ctap1.EnforceUserPresence, challenge, application, reg.KeyHandle)
//
// In the terms of WebAuthn the challenge is the client data hash, the application the hash of the RP ID (or of an
// AppID), and the key handle the credential ID. [Registration.AuthenticatorData] and [Assertion.AuthenticatorData]
// make from an answer what a CTAP2 key would have sent (CTAP 2.3, section 10).
//
// This package sends exactly the message that it is asked for and checks the form of the answer. Which key handles to
// try, and whether an answer fits the question, is the business of package authenticator, which most programs want
// instead.
package ctap1
