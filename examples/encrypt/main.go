// Encrypt encrypts a file to security keys, as age does, and decrypts it with any of them. By the name of
// age-plugin-fido2-hmac it is a plugin for age itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/keyfob-go/keyfob/authenticator"
)

const usage = `usage: encrypt new                         print the recipient of a security key: age1fido2-hmac1...
       encrypt new --pin                   of one that shall ask for its PIN, or a fingerprint, to decrypt
       encrypt to RECIPIENT... <IN >OUT    encrypt to one or more keys, which need not be here
       encrypt open <IN >OUT               decrypt with any of them`

var errUsage = errors.New(usage)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if strings.HasPrefix(filepath.Base(os.Args[0]), "age-plugin-"+pluginName) {
		os.Exit(servePlugin(ctx, &authenticator.Client{}))
	}
	client := &authenticator.Client{UI: &authenticator.UI{PIN: askPIN, Notify: tell}}
	err := run(ctx, client, os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "encrypt:", err)
		os.Exit(authenticator.AdviceOn(err).ExitStatus)
	}
}

func run(ctx context.Context, client *authenticator.Client, args []string, in io.Reader, out io.Writer) error {
	switch command := strings.Join(args, " "); {
	case command == "new", command == "new --pin":
		r, err := enroll(ctx, client, len(args) == 2)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, r)
		return err
	case len(args) > 1 && args[0] == "to":
		return encrypt(args[1:], in, out)
	case command == "open":
		r, err := age.Decrypt(in, &identity{ctx, client})
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return err
	}
	return errUsage
}

func encrypt(names []string, in io.Reader, out io.Writer) error {
	var recipients []age.Recipient
	for _, name := range names {
		r, err := parseRecipient(name)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		recipients = append(recipients, r)
	}
	w, err := age.Encrypt(out, recipients...)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return w.Close()
}

func tell(e authenticator.Event) {
	if message := messageOf(e); message != "" {
		fmt.Fprintln(os.Stderr, message)
	}
}

func messageOf(e authenticator.Event) string {
	switch e.Kind {
	case authenticator.EventInsert:
		return "insert a security key"
	case authenticator.EventTouch:
		return fmt.Sprintf("touch %v", e.Key)
	case authenticator.EventDropped:
		return e.Err.Error()
	}
	return ""
}
