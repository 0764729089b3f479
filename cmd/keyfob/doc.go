// Keyfob talks to FIDO2 security keys: it lists them, sets their PINs, registers credentials and signs in with them.
// It can also play a security key itself.
//
//	keyfob list
//	keyfob doctor
//	keyfob info
//	keyfob register --rp example.org --user alice --json > credential.json
//	keyfob authenticate --rp example.org --credential "$(jq -r .credentialId credential.json)" \
//		--public-key "$(jq -r .publicKey credential.json)"
//	keyfob derive --rp example.org --credential ID --salt B64URL
//	keyfob passkeys list | show ID | rename ID --name NAME | delete ID...
//	keyfob blobs list | get ID | set ID FILE | delete ID | gc
//	keyfob fingerprints list | enroll --name NAME | rename ID NAME | remove ID
//	keyfob pin set | pin change | pin retries | pin min-length 6 | pin force-change
//	keyfob config always-uv on | config enterprise | config long-touch
//	keyfob reset | wink | ping
//	keyfob helper [--origin ORIGIN]
//	keyfob virtual serve --unix PATH [--preset NAME]
//	keyfob virtual new FILE [--preset NAME]
//	keyfob trace FILE
//	keyfob install-tools DIR
//	keyfob fido2-token | fido2-cred | fido2-assert
//	keyfob completion bash | zsh | fish | powershell
//
// "keyfob help" lists the commands and "keyfob help COMMAND" shows the flags of one. Manual pages of the same come from
// "go -C cmd/keyfob run -tags man . man DIR".
//
// # Which key
//
// --device says which key to use: a node (/dev/hidraw3), a Unix-domain socket that carries HID reports (unix:PATH),
// or "virtual" for the built-in virtual key. Without it, it is the key that is plugged in, and with several the one that
// the user touches.
//
// The virtual key needs no hardware and touches itself, so it protects nothing. It keeps its credentials in the file
// that the environment variable KEYFOB_VIRTUAL_STATE names, else in keyfob/virtual-key in the user's configuration
// directory, which "keyfob virtual new" can make for a key of another class. One process at a time may use it.
//
// # Input and output
//
// Results go to standard output: as lines of "name: value", or with --json as one line of JSON with the same names.
// Binary values are base64url without padding; flags also take padding and the standard alphabet. A value that does
// not exist is "-", in JSON null. docs/cli-json.md has what JSON each command writes. Everything else, such as "Touch ...
// to register", goes to standard error. A command that fails writes nothing to standard output, with three exceptions:
// authenticate also shows assertions whose signature does not verify, doctor always shows what it found, and "fingerprints
// enroll" shows the finger that it could not name.
//
// Passkeys, the large blobs that belong to them, and fingers are meant by their IDs in base64url, or by the beginning of
// one that no other has: lists show people as much of it as that takes, and JSON has all of it. An ID that begins with "-"
// is taken for what it is.
//
// On a terminal there are colours (--color, NO_COLOR), tables have a head and are as narrow as the terminal, and what to
// do now is the last line of standard error, which goes when it is done. Elsewhere lines are plain, and stay.
//
// What destroys something names what will be lost and asks first. --yes answers that; without it and without a terminal
// nothing is done.
//
// "keyfob doctor" opens every key, has it say what it is, and tells what to do about those that fail. It ends with
// status 0 if one key or more can be used, and otherwise with that of the worst reason why not.
//
// A PIN is asked for on the terminal, without echo, or read from the file that --pin-file names or from the file
// descriptor --pin-fd: its first line, and for "pin change" the current PIN in the first line and the new one in the
// second. A PIN from there is tried once only. PINs are never arguments, which everybody on the machine can read.
//
// # For other programs
//
// "keyfob helper" runs ceremonies for a program that is not written in Go: it reads requests as lines of JSON from its
// standard input and writes events, questions and results to its standard output, until its input ends. A browser that
// starts keyfob as a native-messaging host gets the same messages in its own frames. docs/helper-protocol.md specifies
// them, and examples/helper-js has a client in JavaScript.
//
// "keyfob helper register" and "keyfob helper assert" run one ceremony: they read the options as a line of JSON, the PIN,
// which may be empty, and the origin from three lines of standard input, and write the response as a line of JSON. Their
// exit status is 0, 2 if the key was not touched in time, 3 if a PIN or another PIN is needed, and else 1.
//
// # In place of fido2-tools
//
// "keyfob fido2-token", "keyfob fido2-cred" and "keyfob fido2-assert" take the flags of libfido2's programs of these names,
// and read, write, ask and end as they do; "keyfob install-tools DIR" makes links that scripts can call by those names. The
// flags here mean nothing to them. "fido2-assert -G" can also tell which credential signed: --credential-id adds its ID as
// one more line. They are those of libfido2 1.17, or of 1.12 where KEYFOB_FIDO2_TOOLS=1.12 is in the environment.
//
// # Traces
//
// --trace FILE writes down every report that goes to the key and back, with the times, for bug reports: whoever gets
// the file can have keyfob talk to it as if it were the key. PINs and secrets are encrypted in it, and what identifies
// a person (relying parties, accounts, credentials, public keys, signatures) is replaced by random bytes or letters of
// the same length, so the file can be shown to anybody. "keyfob trace FILE" shows what was said. With --trace-raw they stay, and only their owner should read
// the file.
//
// # Exit status
//
//	 0  it worked
//	 1  any other error
//	 2  wrong command line
//	 3  no such key, or it was removed
//	 4  no permission to use the key
//	 5  the key was not touched in time, or --timeout is over
//	 6  cancelled, by Ctrl-C for example
//	 7  a PIN is required: none is set, or there is neither a terminal nor --pin-file nor --pin-fd to get it from
//	 8  the PIN (or the fingerprint) is wrong, or no PIN that the key takes
//	 9  the PIN is locked until the key is plugged in again, or blocked until it is reset
//	10  the key holds no matching credential, or already holds an excluded one
//	11  the key does not support what was asked for
//
// # How a command is written
//
// Each command is a function, in the file of its name, that takes the [invocation] and returns a [cobra.Command], which
// [rootCommand] or a [family] adds:
//
//	func retriesCommand(inv *invocation) *cobra.Command {
//		cmd := &cobra.Command{
//			Use:   "retries",
//			Short: "Show how many wrong PINs a key still accepts.",
//			Args:  cobra.NoArgs,
//			RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
//				left, powerCycle, err := key.PINRetries(ctx)
//				if err != nil {
//					return nil, err
//				}
//				return record{{"pinRetries", left}, {"powerCycleState", powerCycle}}, nil
//			}),
//		}
//		inv.forKey(cmd)
//		return cmd
//	}
//
// Its key: RunE is [invocation.withKey], together with [invocation.forKey] or, if a PIN may be needed,
// [invocation.forPIN], which add the flags; the library asks for the PIN through the invocation. A command without a key has
// [invocation.run]. Command lines that are wrong are a [usageError], from PreRunE, Args or a flag, before anything is done.
//
// Its result is an [output], which is returned and never printed: a [record], a [table], a [group] of records, or, for what
// is only done, [invocation.done]. Each of them is text and JSON in one. Bytes are [binary], and lists [words] or [numbers].
// The names in JSON are for ever: docs/cli-json.md has them.
//
// What stands on a key is meant by its ID: [wantsID] or [wantsIDs], and [pick].
//
// It tells the user with [display.say]; what comes from a key goes through [printable] or [show] first. It
// asks with [invocation.askSecret] or [invocation.line], and before it destroys anything with [invocation.confirm] and the
// flag of [invocation.forDestruction]. When to touch the key is said by itself; [display.progress] shows how far it is. The
// last line of the terminal goes by itself, too.
//
// Its errors are those of the library, which [adviceOn] knows, or [failuref]'s with an exit status and a hint of their own.
//
// It is tested by a script in testdata/script against a virtual key, with the golden output: text, JSON, each error. What it
// writes with --json there is held to its section of docs/cli-json.md, and a command without a section fails the tests. What
// only a terminal shows is tested on a [screen], in terminal_linux_test.go.
package main
