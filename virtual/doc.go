// Package virtual is a FIDO2 security key in software, for tests and for machines without a key: U2F and CTAP 2.0,
// 2.1-PRE, 2.1, 2.2 or 2.3 with every command, extension and option of theirs; real keys and real signatures.
//
// [New] makes a key. In the same process it is a transport for packages ctap2 and ctap1; or [Authenticator.Device]
// opens it like a hidraw node, with every report of the CTAPHID protocol:
//
//	key, err := virtual.New(virtual.Config{})
//	client := ctap2.Client{Transport: key}
//
//	channel, err := ctaphid.Open(ctx, key.Device())
//
// [Authenticator.ServeUnix] and [Authenticator.ServeUHID] offer it to other programs, the latter as a real
// /dev/hidraw device, and [Authenticator.Serve] over any stream of reports.
//
// # Which key
//
// The zero [Config] is a good key of 2021: CTAP 2.1 with all but a fingerprint reader. A [Preset] is another class of
// keys, and the members of Config change single things: its [Version], what it is without, its limits, its PIN policy,
// who touches it and how. [Faults] are what it does wrong.
//
//	config := virtual.PresetBiometric.Config()
//	config.Without = []string{"hmac-secret", "largeBlobs"}
//	config.PIN.MinLength = 6
//
// # The user
//
// The user is callbacks of Config, which say yes when they are nil: UserPresence for touches, and for built-in user
// verification either UserVerification, which is set up once and for all, or Finger, which is the finger on a
// fingerprint reader. Fingers have to be enrolled before they verify anybody, and the samples may be as bad as a test
// needs them.
//
// # Time and power
//
// The key lives by package time, so a test can pass its timeouts in a bubble of testing/synctest.
// [Authenticator.PowerCycle] unplugs it and plugs it in again. What a real key keeps without power, Config.StateFile
// keeps from one process to the next.
//
// It is no safe place for secrets: whoever can read the process's memory or the state file has the keys.
//
// Section numbers follow the CTAP 2.3 specification, or 2.1 where that is named.
package virtual
