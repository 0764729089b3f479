package authenticator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Register the key that the user touches, with the options of a server. A program for real keys leaves Watch and Open
// out; this one has a software key, whose user touches it when asked to.
func ExampleClient_Register() {
	asked := make(chan bool, 1)
	hub := plug(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case <-asked:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}})
	client := &authenticator.Client{
		UI: &authenticator.UI{Notify: func(e authenticator.Event) {
			if e.Kind == authenticator.EventTouch {
				fmt.Println("Touch the key to", e.Touch)
				asked <- true
			}
		}},
		Watch: hub.Watch, Open: hub.Open,
	}
	fromServer := `{
		"rp": {"id": "example.org", "name": "Example"},
		"user": {"id": "dXNlciAx", "name": "alice", "displayName": "Alice"},
		"challenge": "MDEyMzQ1Njc4OWFiY2RlZg",
		"pubKeyCredParams": [{"type": "public-key", "alg": -7}]
	}`
	var options webauthn.CreationOptions
	if err := json.Unmarshal([]byte(fromServer), &options); err != nil {
		log.Fatal(err)
	}
	response, err := client.Register(context.Background(), "https://example.org", &options)
	if err != nil {
		log.Fatal(err, ": ", authenticator.AdviceOn(err).Hint)
	}
	toServer, err := json.Marshal(response)
	fmt.Println(len(toServer) > 500, err)

	// Output:
	// Touch the key to register
	// true <nil>
}

// Sign in without a user name: the key knows the accounts, and the user chooses one.
func ExampleClient_Authenticate() {
	hub := plug(virtual.Config{}, "alice", "bob")
	client := &authenticator.Client{
		UI: &authenticator.UI{
			PIN: typed("1234"),
			ChooseAccount: func(_ context.Context, r *authenticator.AccountRequest) (int, error) {
				for _, account := range r.Accounts {
					fmt.Println("There is", account.DisplayName)
				}
				return 1, nil
			},
		},
		Watch: hub.Watch, Open: hub.Open,
	}
	response, err := client.Authenticate(context.Background(), "https://example.org", &webauthn.RequestOptions{
		RPID: "example.org", Challenge: []byte("0123456789abcdef"), UserVerification: webauthn.Required,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("The user is %s.\n", response.UserHandle)

	// Output:
	// There is BOB
	// There is ALICE
	// The user is id of alice.
}

// Derive a secret to encrypt with. It is the same each time, and never leaves the machine.
func ExampleClient_Derive() {
	ctx := context.Background()
	hub := plug(virtual.Config{})
	client := &authenticator.Client{Watch: hub.Watch, Open: hub.Open}

	key, err := client.Select(ctx)
	if err != nil {
		log.Fatal(err)
	}
	cred, err := key.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, 32), // nobody will look at it
		RP:             ctap2.RelyingParty{ID: "backup.example"},
		User:           ctap2.User{ID: []byte("1")},
		HMACSecret:     true,
	})
	key.Close()
	if err != nil {
		log.Fatal(err)
	}
	salt := make([]byte, 32) // random, and kept beside what it encrypts; so is cred.ID
	for range 2 {
		secrets, err := client.Derive(ctx, &authenticator.DeriveOptions{
			RPID:        "backup.example",
			Credentials: []authenticator.SecretCredential{{ID: cred.ID, Salts: [][]byte{salt}}},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(secrets.Secrets[0]), "secret bytes")
	}

	// Output:
	// 32 secret bytes
	// 32 secret bytes
}

// Make a credential on one key, and sign with it.
func ExampleAuthenticator_MakeCredential() {
	ctx := context.Background()
	device, err := virtual.New(virtual.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	key, err := authenticator.New(ctx, device, nil) // a real one: authenticator.Open(ctx, info, ui)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()

	hash := webauthn.ClientDataHash([]byte("what the server wants signed"))
	cred, err := key.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash: hash[:],
		RP:             ctap2.RelyingParty{ID: "example.org"},
		User:           ctap2.User{ID: []byte("user 1"), Name: "alice"},
	})
	if err != nil {
		log.Fatal(err)
	}
	assertions, err := key.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID: "example.org", ClientDataHash: hash[:], AllowList: [][]byte{cred.ID},
	})
	if err != nil {
		log.Fatal(err)
	}
	signed := assertions[0]
	fmt.Println(cred.PublicKey.Algorithm, signed.AuthenticatorData.Flags)
	fmt.Println(webauthn.VerifySignature(cred.PublicKey, signed.AuthData, hash[:], signed.Signature))

	// Output:
	// ES256 UP
	// <nil>
}

// List the passkeys of a key, and delete one.
func ExampleAuthenticator_Credentials() {
	ctx := context.Background()
	hub := plug(virtual.Config{}, "alice", "bob")
	client := &authenticator.Client{UI: &authenticator.UI{PIN: typed("1234")}, Watch: hub.Watch, Open: hub.Open}
	key, err := client.Select(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()

	stored, err := key.Credentials(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, site := range stored.RelyingParties {
		for _, cred := range site.Credentials {
			fmt.Println(site.RP.ID, cred.User.Name)
		}
	}
	if err := key.DeleteCredential(ctx, stored.RelyingParties[0].Credentials[0].ID); err != nil {
		log.Fatal(err)
	}
	if stored, err = key.Credentials(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.Existing, "left")

	// Output:
	// example.org alice
	// example.org bob
	// 1 left
}

// The user mistypes the PIN, and hears how many tries are left.
func ExampleUI_pin() {
	ctx := context.Background()
	hub := plug(virtual.Config{}, "alice")
	answers := []string{"4321", "1234"}
	ui := &authenticator.UI{PIN: func(ctx context.Context, r *authenticator.PINRequest) ([]byte, error) {
		left, err := r.Retries(ctx)
		if err != nil {
			return nil, err
		}
		fmt.Printf("wrong: %v; tries left: %d; PIN? %s\n", r.Reason == authenticator.PINInvalid, left, answers[0])
		answer := answers[0]
		answers = answers[1:]
		return []byte(answer), nil
	}}
	client := &authenticator.Client{UI: ui, Watch: hub.Watch, Open: hub.Open}
	key, err := client.Select(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()
	stored, err := key.Credentials(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.Existing, "passkey")

	// Output:
	// wrong: false; tries left: 8; PIN? 4321
	// wrong: true; tries left: 7; PIN? 1234
	// 1 passkey
}

// Give a key its first PIN, and change it.
func ExampleAuthenticator_SetPIN() {
	ctx := context.Background()
	device, err := virtual.New(virtual.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	key, err := authenticator.New(ctx, device, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()

	fmt.Println(key.SetPIN(ctx, []byte("123")))
	fmt.Println(key.SetPIN(ctx, []byte("1234")))
	err = key.ChangePIN(ctx, []byte("4321"), []byte("123456"))
	var wrong *authenticator.PINError
	fmt.Println(errors.As(err, &wrong), wrong.Retries)
	fmt.Println(key.ChangePIN(ctx, []byte("1234"), []byte("123456")))

	// Output:
	// authenticator: set PIN: PIN policy violation: PIN too short: 3 characters, at least 4
	// <nil>
	// true 7
	// <nil>
}

// plug returns a hub with a key, which has a passkey for each user and, if there are any, the PIN 1234.
func plug(config virtual.Config, users ...string) *virtual.Hub {
	if len(users) > 0 {
		config.PIN.Initial = []byte("1234")
	}
	device, err := virtual.New(config)
	if err != nil {
		log.Fatal(err)
	}
	hub := new(virtual.Hub)
	hub.Plug(device)
	for _, name := range users {
		storePasskey(device, name)
	}
	return hub
}

func storePasskey(device *virtual.Authenticator, name string) {
	key, err := authenticator.New(context.Background(), device, &authenticator.UI{PIN: typed("1234")})
	if err != nil {
		log.Fatal(err)
	}
	_, err = key.MakeCredential(context.Background(), &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, 32),
		RP:             ctap2.RelyingParty{ID: "example.org"},
		User:           ctap2.User{ID: []byte("id of " + name), Name: name, DisplayName: strings.ToUpper(name)},
		ResidentKey:    true,
	})
	if err != nil {
		log.Fatal(err)
	}
}

// typed answers every question for a PIN.
func typed(pin string) func(context.Context, *authenticator.PINRequest) ([]byte, error) {
	return func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte(pin), nil }
}
