// Quickstart registers a credential on a security key, signs in with it, and verifies both, as a server would. Without a
// key that it may use, it uses a virtual one.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
	"golang.org/x/term"
)

func main() {
	keys, _ := hid.List() // without any there is the virtual one
	fmt.Println("Keys that are plugged in:", keys)
	if err := run(context.Background(), keys); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, keys []hid.Info) error {
	key, err := open(ctx, keys)
	if err != nil {
		return err
	}
	defer key.Close()
	hash := clientDataHash(webauthn.TypeCreate)
	cred, err := key.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash: hash,
		RP:             ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:           ctap2.User{ID: []byte("user 1"), Name: "alice"},
	})
	if err != nil {
		return err
	}
	if _, err := cred.Attestation.Verify(hash); err != nil && !errors.Is(err, webauthn.ErrUnsupportedFormat) {
		return err
	}
	fmt.Printf("Registered: %v credential %.8x...\n", cred.PublicKey.Algorithm, cred.ID)
	// From here on, all that a server needs is cred.ID and cred.PublicKey.
	hash = clientDataHash(webauthn.TypeGet)
	assertions, err := key.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID: "example.org", ClientDataHash: hash, AllowList: [][]byte{cred.ID},
	})
	if err != nil {
		return err
	}
	signed := assertions[0] // there is at least one
	if err := webauthn.VerifySignature(cred.PublicKey, signed.AuthData, hash, signed.Signature); err != nil {
		return err
	}
	fmt.Println("Signed in, and verified:", signed.AuthenticatorData.Flags)
	return nil
}

// open opens the first key that can be opened, else a virtual one.
func open(ctx context.Context, keys []hid.Info) (*authenticator.Authenticator, error) {
	ui := &authenticator.UI{PIN: askPIN, Notify: func(e authenticator.Event) {
		if e.Kind == authenticator.EventTouch {
			fmt.Printf("Touch the key to %v.\n", e.Touch)
		}
	}}
	for _, info := range keys {
		key, err := authenticator.Open(ctx, info, ui)
		if err == nil {
			fmt.Println("Using", info)
			return key, nil
		}
		fmt.Println(err)
	}
	fmt.Println("There is no key to use, so this is a virtual one, which touches itself.")
	key, err := virtual.New(virtual.Config{})
	if err != nil {
		return nil, err
	}
	return authenticator.New(ctx, key, ui)
}

func askPIN(context.Context, *authenticator.PINRequest) ([]byte, error) {
	fmt.Print("PIN: ")
	return term.ReadPassword(int(os.Stdin.Fd()))
}

// clientDataHash is what the key signs: a challenge, which comes from the server, and the origin that asks.
func clientDataHash(kind string) []byte {
	data := webauthn.ClientData{Type: kind, Challenge: []byte(rand.Text()), Origin: "https://example.org"}
	hash := webauthn.ClientDataHash(data.JSON())
	return hash[:]
}
