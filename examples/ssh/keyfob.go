package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// enrolment says which key to make, as the options of ssh-keygen do.
type enrolment struct {
	algorithm   cose.Algorithm // ES256 or EdDSA; not every security key has the latter
	application string         // the RP ID, which begins with "ssh:"
	user        string         // tells resident keys apart; at most 32 bytes
	replace     bool           // a resident key of the same application and user
	flags       byte
}

// enrol makes a key on the security key that the user touches.
func enrol(ctx context.Context, client *authenticator.Client, e enrolment) (*key, error) {
	a, err := client.Select(ctx)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	o := &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, sha256.Size), // for an attestation, which nobody asks for here
		RP:             ctap2.RelyingParty{ID: e.application},
		User:           ctap2.User{ID: make([]byte, 32), Name: "openssh", DisplayName: "openssh"},
		Algorithms:     []cose.Algorithm{e.algorithm},
		ResidentKey:    e.flags&resident != 0,
	}
	rand.Read(o.ClientDataHash)
	copy(o.User.ID, e.user)
	if o.ResidentKey && !e.replace {
		if err := wouldReplace(ctx, a, o); err != nil {
			return nil, err
		}
	}
	if o.ResidentKey {
		o.CredProtect = ctap2.CredProtectUVOptionalWithID // who finds the security key can't list what it opens
	}
	if e.flags&verifyRequired != 0 {
		o.UserVerification, o.CredProtect = authenticator.UVRequired, ctap2.CredProtectUVRequired
	}
	cred, err := a.MakeCredential(ctx, o)
	if err != nil {
		return nil, err
	}
	return newKey(cred.PublicKey, e.application, e.flags, cred.ID)
}

// sign has the security key sign data, after a touch, and the PIN if the key was made so. The signature is over
// SHA-256(application), flags, counter and SHA-256(data): what an RP ID and client data would be signed as.
func (k *key) sign(ctx context.Context, client *authenticator.Client, data []byte) (*ssh.Signature, error) {
	a, err := k.find(ctx, client)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	hash := sha256.Sum256(data)
	o := &authenticator.AssertionOptions{
		RPID: k.application, ClientDataHash: hash[:], AllowList: [][]byte{k.handle}, NoTouch: k.flags&touchRequired == 0,
	}
	if k.flags&verifyRequired != 0 {
		o.UserVerification = authenticator.UVRequired
	}
	assertions, err := a.GetAssertions(ctx, o)
	if err != nil {
		return nil, err
	}
	signed := assertions[0] // there is at least one
	if err := webauthn.VerifySignature(k.public, signed.AuthData, hash[:], signed.Signature); err != nil {
		return nil, err
	}
	return k.signature(signed.AuthData, signed.Signature)
}

// find opens the security key that holds the key, if they tell without being touched, and else lets the user choose.
func (k *key) find(ctx context.Context, client *authenticator.Client) (*authenticator.Authenticator, error) {
	found, err := client.Locate(ctx, k.application, [][]byte{k.handle})
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		client = only(client, found[0].Key)
	}
	return client.Select(ctx)
}
