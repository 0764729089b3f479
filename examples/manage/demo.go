package main

import (
	"context"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// demo returns a hub with two software keys: one with a fingerprint reader, the PIN 1234 and passkeys, and a new one.
func demo(ctx context.Context) (*virtual.Hub, error) {
	config := virtual.PresetBiometric.Config()
	config.PIN.Initial = []byte("1234")
	used, err := virtual.New(config)
	if err != nil {
		return nil, err
	}
	for _, user := range []string{"alice", "bob"} {
		if err := addPasskey(ctx, used, user); err != nil {
			return nil, err
		}
	}
	config = virtual.Preset23.Config()
	config.UserPresence = slowly
	fresh, err := virtual.New(config)
	if err != nil {
		return nil, err
	}
	hub := new(virtual.Hub)
	hub.Plug(used)
	hub.Plug(fresh)
	return hub, nil
}

func addPasskey(ctx context.Context, key *virtual.Authenticator, user string) error {
	a, err := authenticator.New(ctx, key, &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte("1234"), nil },
	})
	if err != nil {
		return err
	}
	_, err = a.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, 32),
		RP:             ctap2.RelyingParty{ID: "example.org"},
		User:           ctap2.User{ID: []byte(user), Name: user + "@example.org", DisplayName: user},
		ResidentKey:    true,
	})
	return err
}

// slowly touches the key after a moment, so that what the program says meanwhile can be read.
func slowly(ctx context.Context, _ virtual.Prompt) error {
	select {
	case <-time.After(2 * time.Second):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
