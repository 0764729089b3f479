// Luks prints the secret that opens a LUKS2 volume which systemd-cryptenroll --fido2-device has enrolled a security key
// for, as an initramfs needs it: without systemd, udev and cgo.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/keyfob-go/keyfob/authenticator"
)

func main() {
	pinFile := flag.String("pin-file", "", "read the PIN from `FILE` instead of the console")
	wait := flag.Duration("wait", 0, "give up after this `TIME` (default never)")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: luks [options] VOLUME | cryptsetup open --key-file - VOLUME NAME")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *wait > 0 {
		ctx, stop = context.WithTimeout(ctx, *wait)
		defer stop()
	}
	client := &authenticator.Client{UI: &authenticator.UI{PIN: pinFrom(*pinFile), Notify: tell}}
	if err := run(ctx, client, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "luks:", err)
		os.Exit(authenticator.AdviceOn(err).ExitStatus)
	}
}

// run writes what systemd gives cryptsetup as the passphrase: the secret in base64, without the end of a line.
func run(ctx context.Context, client *authenticator.Client, volume string, w io.Writer) error {
	tokens, err := readTokens(volume)
	if err != nil {
		return err
	}
	opts, err := question(tokens)
	if err != nil {
		return fmt.Errorf("%s: %w", volume, err)
	}
	derived, err := client.Derive(ctx, opts) // waits for the key
	if err != nil {
		return err
	}
	defer clear(derived.Secrets[0])
	passphrase := base64.StdEncoding.AppendEncode(nil, derived.Secrets[0])
	defer clear(passphrase)
	_, err = w.Write(passphrase)
	return err
}

// question asks for the secret of any of the tokens: each is of one key, with its own salt, and wants the PIN or not.
func question(tokens []token) (*authenticator.DeriveOptions, error) {
	if len(tokens) == 0 {
		return nil, errors.New("no security key is enrolled (systemd-cryptenroll --fido2-device)")
	}
	opts := &authenticator.DeriveOptions{RPID: tokens[0].RPID}
	for _, t := range tokens {
		if t.RPID != opts.RPID {
			return nil, fmt.Errorf("keys for different relying parties, %.100q and %.100q", opts.RPID, t.RPID)
		}
		credential := authenticator.SecretCredential{ID: t.Credential, Salts: [][]byte{t.Salt}}
		if t.PINRequired || t.UVRequired { // else the secret is another one, even if the key has a PIN
			credential.UserVerification = authenticator.UVRequired
		}
		opts.Credentials = append(opts.Credentials, credential)
	}
	return opts, nil
}

func tell(e authenticator.Event) {
	switch e.Kind {
	case authenticator.EventInsert:
		fmt.Fprintln(os.Stderr, "Insert the security key.")
	case authenticator.EventTouch:
		fmt.Fprintln(os.Stderr, "Touch the key:", e.Key)
	case authenticator.EventDropped:
		fmt.Fprintln(os.Stderr, e.Err)
	}
}
