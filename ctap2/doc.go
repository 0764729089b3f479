// Package ctap2 speaks the Client to Authenticator Protocol, versions 2.0 to 2.3, to one authenticator: commands as
// typed requests and responses, their CBOR, the PIN/UV auth protocols and the status codes.
//
// Start with a [Client] over a [Transport] (a *ctaphid.Channel is one) and call [Client.GetInfo]:
//
//	c := ctap2.Client{Transport: channel}
//	info, err := c.GetInfo(ctx)
//
// The commands that manage an authenticator have types of their own beside it: [CredentialManagement],
// [BioEnrollment] and [AuthenticatorConfig]. A [LargeBlobArray] is what [Client.GetLargeBlobs] reads.
//
// This package sends exactly the command that it is asked for and checks the form of the answer. It makes no
// decisions: which permissions are needed, when to ask for a PIN and whether an answer fits the question is the
// business of package authenticator, which most programs want instead.
//
// Names and section numbers follow the CTAP 2.3 specification.
package ctap2
