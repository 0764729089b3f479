// Keyfob talks to FIDO2 security keys: it lists them, sets their PINs, registers credentials and signs in with them.
// It can also play a security key itself.
//
//	keyfob list
//	keyfob doctor
//	keyfob info
//	keyfob register --rp example.org --user alice --json > credential.json
//	keyfob authenticate --rp example.org --credential "$(jq -r .credentialId credential.json)" \
//		--public-key "$(jq -r .publicKey credential.json)"
//	keyfob pin set | pin change | pin retries
//	keyfob reset | wink | ping
//	keyfob helper [--origin ORIGIN]
//	keyfob virtual serve --unix PATH
//	keyfob install-tools DIR
//	keyfob fido2-token | fido2-cred | fido2-assert
//
// "keyfob help" lists the commands and "keyfob help COMMAND" shows the flags of one.
//
// # Which key
//
// --device says which key to use: a node (/dev/hidraw3), a Unix-domain socket that carries HID reports (unix:PATH),
// or "virtual" for the built-in virtual key. Without it, it is the key that is plugged in, and an error with several.
//
// The virtual key needs no hardware and touches itself, so it protects nothing. It keeps its credentials in the file
// that the environment variable KEYFOB_VIRTUAL_STATE names, else in keyfob/virtual-key in the user's configuration
// directory. One process at a time may use it.
//
// # Input and output
//
// Results go to standard output: as lines of "name: value", or with --json as one line of JSON with the same names.
// Binary values are base64url without padding; flags also take padding and the standard alphabet. A value that does
// not exist is "-", in JSON null. Everything else, such as "Touch ... to register", goes to standard error. A command
// that fails writes nothing to standard output, with two exceptions: authenticate also shows assertions whose
// signature does not verify, and doctor always shows what it found.
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
// the same length, so the file can be shown to anybody. With --trace-raw they stay, and only their owner should read
// the file.
//
// # Exit status
//
//	 0  it worked
//	 1  any other error
//	 2  wrong command line, or several keys and no --device
//	 3  no such key, or it was removed
//	 4  no permission to use the key
//	 5  the key was not touched in time, or --timeout is over
//	 6  cancelled, by Ctrl-C for example
//	 7  a PIN is required: none is set, or there is neither a terminal nor --pin-file nor --pin-fd to get it from
//	 8  the PIN (or the fingerprint) is wrong, or no PIN that the key takes
//	 9  the PIN is locked until the key is plugged in again, or blocked until it is reset
//	10  the key holds no matching credential, or already holds an excluded one
//	11  the key does not support what was asked for
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/keyfob-go/keyfob/hid"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	if name, args, ok := fido2Tool(os.Args); ok {
		os.Exit(runFIDO2Tool(ctx, name, args))
	}
	os.Exit(run(ctx, os.Args[1:], system{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		list:     hid.List,
		survey:   survey,
		terminal: openTerminal,
	}))
}
