package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"slices"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// enroll makes a recipient of the security key that the user chooses: two touches, with several keys three. Nothing is
// stored on the key, so there may be as many as you like.
func enroll(ctx context.Context, client *authenticator.Client, verify bool) (*recipient, error) {
	key, err := client.Select(ctx)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	wish := authenticator.UVDiscouraged
	if verify {
		wish = authenticator.UVRequired
	}
	credential, err := key.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash:   random(), // nobody verifies any signature
		RP:               ctap2.RelyingParty{ID: rpID},
		User:             ctap2.User{ID: random(), Name: "age"},
		UserVerification: wish,
		HMACSecret:       true,
	})
	if err != nil {
		return nil, err
	}
	l := lock{verify, random(), credential.ID}
	assertions, err := key.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID:             rpID,
		ClientDataHash:   random(),
		AllowList:        [][]byte{l.credentialID},
		UserVerification: wish,
		HMACSecretSalts:  [][]byte{l.salt},
	})
	if err != nil {
		return nil, err
	}
	// Some keys verify the user although nobody wants it, and have another secret then.
	l.verify = assertions[0].AuthenticatorData.Flags.Has(ctap2.FlagUV)
	secret := assertions[0].HMACSecrets[0]
	defer clear(secret)
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	return &recipient{private.PublicKey().Bytes(), l}, nil
}

// secretOf returns the secret for one of the locks: that of the key that is plugged in, or the user plugs in. It finds out
// which without a touch, and asks for the PIN only if that lock wants it.
func secretOf(ctx context.Context, client *authenticator.Client, locks []lock) (chosen int, secret []byte, err error) {
	opts := &authenticator.DeriveOptions{RPID: rpID}
	for _, l := range locks {
		credential := authenticator.SecretCredential{ID: l.credentialID, Salts: [][]byte{l.salt}}
		if l.verify {
			credential.UserVerification = authenticator.UVRequired
		}
		opts.Credentials = append(opts.Credentials, credential)
	}
	derived, err := client.Derive(ctx, opts)
	if err != nil {
		return 0, nil, err
	}
	chosen = slices.IndexFunc(locks, func(l lock) bool { return bytes.Equal(l.credentialID, derived.CredentialID) })
	return chosen, derived.Secrets[0], nil
}

func random() []byte {
	b := make([]byte, keySize)
	rand.Read(b)
	return b
}
