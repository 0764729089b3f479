package webauthn_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// A server verifies the answer to a registration, and gets what it has to store.
func ExampleVerifyRegistration() {
	challenge := []byte("random for each registration")
	response := register(newClient(), challenge) // came from the browser as JSON

	registered, err := webauthn.VerifyRegistration(response, &webauthn.RegistrationOptions{
		Ceremony: webauthn.Ceremony{
			Challenge: challenge, RPID: "example.org", Origins: []string{"https://example.org"},
		},
		PubKeyCredParams: []cose.Algorithm{cose.ES256},
	})
	if err != nil {
		log.Fatal(err)
	}
	record := registered.Credential
	fmt.Println(record.PublicKey.Algorithm, len(record.ID) > 0, record.SignCount)
	fmt.Println(registered.Attestation.Type, registered.AuthenticatorData.Flags)

	// Output:
	// ES256 true 0
	// none UP|AT
}

// A server verifies the answer to a sign-in, by the record that it stored.
func ExampleVerifyAssertion() {
	client := newClient()
	record := registration(client)
	challenge := []byte("random for each sign-in")
	response, err := client.Authenticate(context.Background(), "https://example.org", &webauthn.RequestOptions{
		RPID: "example.org", Challenge: challenge,
		AllowCredentials: []ctap2.CredentialDescriptor{{ID: record.ID}},
	})
	if err != nil {
		log.Fatal(err)
	}
	options := &webauthn.AssertionOptions{Ceremony: webauthn.Ceremony{
		Challenge: challenge, RPID: "example.org", Origins: []string{"https://example.org"},
	}}
	assertion, err := webauthn.VerifyAssertion(response, record, options)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed in:", assertion.AuthenticatorData.Flags)

	options.Origins = []string{"https://example.com"}
	_, err = webauthn.VerifyAssertion(response, record, options)
	fmt.Println(errors.Is(err, webauthn.StepOrigin))

	// Output:
	// signed in: UP
	// true
}

// newClient stands for a browser with a key.
func newClient() *authenticator.Client {
	device, err := virtual.New(virtual.Config{})
	if err != nil {
		log.Fatal(err)
	}
	hub := new(virtual.Hub)
	hub.Plug(device)
	return &authenticator.Client{Watch: hub.Watch, Open: hub.Open}
}

func register(client *authenticator.Client, challenge []byte) *webauthn.RegistrationResponse {
	response, err := client.Register(context.Background(), "https://example.org", &webauthn.CreationOptions{
		RP:               ctap2.RelyingParty{ID: "example.org", Name: "Example"},
		User:             ctap2.User{ID: []byte("user 1"), Name: "alice", DisplayName: "Alice"},
		Challenge:        challenge,
		PubKeyCredParams: []cose.Algorithm{cose.ES256},
	})
	if err != nil {
		log.Fatal(err)
	}
	return response
}

func registration(client *authenticator.Client) *webauthn.CredentialRecord {
	challenge := []byte("random for each registration")
	registered, err := webauthn.VerifyRegistration(register(client, challenge), &webauthn.RegistrationOptions{
		Ceremony: webauthn.Ceremony{
			Challenge: challenge, RPID: "example.org", Origins: []string{"https://example.org"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return &registered.Credential
}
