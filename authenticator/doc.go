// Package authenticator is the front door of keyfob: it talks to one security key, asks the user what needs asking,
// and checks every answer.
//
// Find a key with package hid, open it, and make or use credentials:
//
//	keys, err := hid.List()
//	a, err := authenticator.Open(ctx, keys[0], ui)
//	defer a.Close()
//	cred, err := a.MakeCredential(ctx, &authenticator.CredentialOptions{...})
//	assertions, err := a.GetAssertions(ctx, &authenticator.AssertionOptions{...})
//
// [New] does the same over any other transport, such as the software authenticator of package virtual.
//
// A [UI] tells when to touch the key and asks for the PIN; without one, what needs a PIN fails. Every method that can
// stall takes a context: when it is done the key is told to stop and the method returns [context.Cause] soon after,
// whatever the key does. [KindOf] tells what an error means to the caller.
package authenticator
