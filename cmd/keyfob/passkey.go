package main

import (
	"context"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// passkey is a credential that a key stores.
type passkey struct {
	authenticator.ResidentCredential
	rp    *authenticator.ResidentRP
	short string // the beginning of its ID that no other on the key has
}

// passkeysOf returns all passkeys of a key, those of a relying party together.
func passkeysOf(list *authenticator.ResidentCredentials) (all []passkey) {
	for i := range list.RelyingParties {
		rp := &list.RelyingParties[i]
		for _, c := range rp.Credentials {
			all = append(all, passkey{ResidentCredential: c, rp: rp})
		}
	}
	length := idLength(all)
	for i := range all {
		all[i].short = all[i].identity().begin(length)
	}
	return all
}

// readPasskeys returns all passkeys of a key.
func readPasskeys(ctx context.Context, key *authenticator.Authenticator) ([]passkey, error) {
	list, err := key.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	return passkeysOf(list), nil
}

// findPasskey returns the passkey whose ID is meant.
func findPasskey(ctx context.Context, key *authenticator.Authenticator, meant string) (passkey, error) {
	all, err := readPasskeys(ctx, key)
	if err != nil {
		return passkey{}, err
	}
	return pickPasskey(all, meant)
}

func pickPasskey(all []passkey, meant string) (passkey, error) {
	return pick(all, meant, "passkey", "keyfob passkeys list")
}

func (p passkey) identity() binary { return p.ID }

// String returns "alice" at example.org (hQ3kd8Zx). The quotes keep a name from looking like the rest.
func (p passkey) String() string {
	return fmt.Sprintf("%q at %s (%s)", cut(p.account(), maxNameColumns), cut(p.site(), maxNameColumns), p.short)
}

const maxNameColumns = 64 // of what a key tells, within a sentence

// account is whose it is, as far as the key knows.
func (p passkey) account() string {
	for _, name := range []string{p.User.Name, p.User.DisplayName} {
		if name != "" {
			return printable(name)
		}
	}
	return binary(p.User.ID).String()
}

// site is the relying party's ID, as much of it as the key has kept.
func (p passkey) site() string {
	return siteText(p.rp.RP.ID, p.rp.Truncated)
}

func siteText(rpID string, truncated bool) string {
	if truncated {
		return printable(rpID) + "…"
	}
	return printable(rpID)
}

// mayHaveBlob tells whether it was made for a large blob.
func (p passkey) mayHaveBlob() bool { return len(p.LargeBlobKey) > 0 }

// record is all that the key tells of the passkey.
func (p passkey) record() record {
	algorithm, spki := p.publicKey()
	return record{
		{"credentialId", binary(p.ID)},
		{"rpId", p.rp.RP.ID},
		{"rpIdTruncated", p.rp.Truncated},
		{"rpIdHash", binary(p.rp.RPIDHash[:])},
		{"rpName", nonzero(p.rp.RP.Name)},
		{"userId", binary(p.User.ID)},
		{"userName", nonzero(p.User.Name)},
		{"userDisplayName", nonzero(p.User.DisplayName)},
		{"algorithm", algorithm},
		{"publicKey", spki},
		{"credentialProtectionPolicy", protection(p.CredProtect)},
		{"largeBlobKey", p.mayHaveBlob()},
		{"thirdPartyPayment", p.ThirdPartyPayment},
	}
}

// publicKey is nil, nil if it is of no kind that keyfob knows.
func (p passkey) publicKey() (algorithm, spki any) {
	if p.PublicKey == nil {
		return nil, nil
	}
	der, err := p.PublicKey.MarshalPKIX()
	if err != nil {
		return nil, nil
	}
	return p.PublicKey.Algorithm, binary(der)
}

// protection names a level as WebAuthn does, and is nil if the key tells none.
func protection(level uint) any {
	switch level {
	case 0:
		return nil
	case ctap2.CredProtectUVOptional:
		return "userVerificationOptional"
	case ctap2.CredProtectUVOptionalWithID:
		return "userVerificationOptionalWithCredentialIDList"
	case ctap2.CredProtectUVRequired:
		return "userVerificationRequired"
	}
	return fmt.Sprintf("level %d", level)
}
