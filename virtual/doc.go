// Package virtual is a FIDO2 security key in software, for tests and for machines without a key: CTAP 2.1 with
// passkeys, a PIN, user verification, hmac-secret and credProtect, and U2F; real keys and real signatures.
//
// [New] makes a key. In the same process it is a transport for packages ctap2 and ctap1; or [Authenticator.Device] opens it
// like a hidraw node, with every report of the CTAPHID protocol:
//
//	key, err := virtual.New(virtual.Config{})
//	client := ctap2.Client{Transport: key}
//
//	channel, err := ctaphid.Open(ctx, key.Device())
//
// [Authenticator.ServeUnix] and [Authenticator.ServeUHID] offer it to other programs, the latter as a real
// /dev/hidraw device, and [Authenticator.Serve] over any stream of reports.
//
// It is no safe place for secrets: whoever can read the process's memory or the state file has the keys.
//
// Section numbers follow the CTAP 2.1 specification.
package virtual
