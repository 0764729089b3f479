// Hidapi registers a credential on whichever key the user touches. Built as it is, it finds keys with package hid; built with
// the tag hidapi and cgo, it finds them with HIDAPI:
//
//	CGO_ENABLED=1 go run -tags hidapi ./examples/hidapi
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

func main() {
	client := newClient()
	client.UI = &authenticator.UI{Notify: tell}
	if err := run(context.Background(), client); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, client *authenticator.Client) error {
	registered, err := client.Register(ctx, "https://example.org", &webauthn.CreationOptions{
		RP:        ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:      ctap2.User{ID: []byte("user 1"), Name: "alice", DisplayName: "Alice"},
		Challenge: []byte(rand.Text()), // comes from the server
		AuthenticatorSelection: webauthn.AuthenticatorSelection{
			UserVerification: webauthn.Discouraged, // there is nobody to ask for a PIN
		},
	})
	if err != nil {
		return err
	}
	fmt.Printf("Registered: credential %.8x...\n", registered.RawID)
	return nil
}

func tell(e authenticator.Event) {
	switch e.Kind {
	case authenticator.EventInsert:
		fmt.Println("Plug in a key.")
	case authenticator.EventTouch:
		fmt.Printf("Touch %v to %v.\n", e.Key, e.Touch)
	case authenticator.EventDropped:
		fmt.Printf("%v can't be used: %v\n", e.Key, e.Err)
	}
}
