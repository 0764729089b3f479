// Package authenticator is the front door of keyfob: it talks to security keys, asks the user what needs asking, and
// checks every answer.
//
// Most programs want a [Client], which does what a browser does for a web page: it runs a ceremony of WebAuthn over all keys
// that are plugged in, from the JSON that a server sent to the JSON that it expects:
//
//	client := &authenticator.Client{UI: ui}
//	credential, err := client.Register(ctx, "https://example.org", creationOptions)
//	assertion, err := client.Authenticate(ctx, "https://example.org", requestOptions)
//
// [Client.Derive] gets secrets for encryption from whichever key holds the credential, and [Client.Select] returns one open
// key for everything else.
//
// To work with one key, find it with package hid, open it, and make or use credentials:
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
//
// # User verification
//
// Where the caller or the key wants the user verified, the key does it itself if it can and is set up for it, by a
// fingerprint for example, and the PIN steps in when that fails. Otherwise the PIN is asked for, before anything is sent.
// A key that has no PIN, or wants another before it goes on, gets one on the way if [UI] can ask for it. The same PIN is
// never sent twice to a key that rejected it.
//
// # Round trips
//
// What is said to the key and answered, for the most common things:
//
//	open a key                                          2   INIT, getInfo
//	and register with its PIN                         + 3   key agreement, token, makeCredential: 5; other clients 5 or 6
//	register or authenticate, without verification      1
//	with a fingerprint, or the PIN                      3   key agreement, token, and the command
//	with hmac-secret, without verification              2   key agreement and getAssertion, the first time; then 1
//	with hmac-secret and the PIN                        3   one key agreement for both
//	list N credentials of M relying parties             1 + M + N, after the token
//
// The PIN costs a key agreement each time. A key makes a new key pair when it sees a wrong PIN, also one that another
// program sent, and tells nobody; the right PIN, encrypted for the old one, would cost a retry. It costs a token each time
// too: a key takes back what a token was good for when it was used for a credential (CTAP 2.3, sections 6.1.2 and 6.2.2).
//
// A list of credentials that the key does not take at once, since there are too many, costs one message more for each part.
package authenticator
