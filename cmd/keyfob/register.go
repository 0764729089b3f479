package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// registration is what the command line of register says.
type registration struct {
	rp, user   string
	userID     []byte
	algorithm  cose.Algorithm
	resident   bool
	uv         bool
	hmacSecret bool
	largeBlob  bool
	exclude    [][]byte
}

const (
	userIDSize    = 32 // of one that keyfob makes
	maxUserIDSize = 64
)

func registerCommand(inv *invocation) *cobra.Command {
	r := &registration{algorithm: cose.ES256}
	cmd := &cobra.Command{
		Use:     "register --rp ID --user NAME",
		Short:   "Create a credential on a key.",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return r.check() },
		RunE:    inv.withKey(r.perform),
	}
	inv.forPIN(cmd)
	f := cmd.Flags()
	f.StringVar(&r.rp, "rp", "", "register with the relying party `ID`, a domain name")
	f.StringVar(&r.user, "user", "", "register the account `NAME`")
	bytesVar(f, &r.userID, "user-id", "identify the account by `B64URL`, 1 to 64 bytes (default: random)")
	f.Func("alg", "use the algorithm `NAME`: es256 (default), es384, es512, eddsa or rs256", r.setAlgorithm)
	f.BoolVar(&r.resident, "resident", false, "keep the credential on the key, where the relying party's ID finds it")
	f.BoolVar(&r.uv, "uv", false, "verify the user by PIN or fingerprint, or fail")
	f.BoolVar(&r.hmacSecret, "hmac-secret", false, "let authenticate --salt derive secrets")
	f.BoolVar(&r.largeBlob, "large-blob", false, "let \"keyfob blobs\" store data for it; wants --resident")
	bytesListVar(f, &r.exclude, "exclude", "refuse a key that holds the credential `ID`")
	required(cmd, "rp", "user")
	return cmd
}

var algorithmNames = map[string]cose.Algorithm{
	"es256": cose.ES256,
	"es384": cose.ES384,
	"es512": cose.ES512,
	"eddsa": cose.EdDSA,
	"rs256": cose.RS256,
}

func (r *registration) setAlgorithm(name string) (err error) {
	var known bool
	if r.algorithm, known = algorithmNames[name]; !known {
		err = errors.New("not one of es256, es384, es512, eddsa, rs256")
	}
	return err
}

func (r *registration) check() error {
	switch {
	case len(r.userID) > maxUserIDSize:
		return usageError(fmt.Sprintf("--user-id has more than %d bytes", maxUserIDSize))
	case r.largeBlob && !r.resident:
		return usageError("--large-blob is missing --resident")
	}
	return nil
}

func (r *registration) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	if r.userID == nil {
		r.userID = random(userIDSize)
	}
	clientData := newClientData(webauthn.TypeCreate, r.rp)
	hash := webauthn.ClientDataHash(clientData)
	cred, err := key.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash:   hash[:],
		RP:               ctap2.RelyingParty{ID: r.rp, Name: r.rp},
		User:             ctap2.User{ID: r.userID, Name: r.user, DisplayName: r.user},
		Algorithms:       []cose.Algorithm{r.algorithm},
		ExcludeList:      r.exclude,
		ResidentKey:      r.resident,
		UserVerification: verification(r.uv),
		HMACSecret:       r.hmacSecret,
		LargeBlobKey:     r.largeBlob,
	})
	if err != nil {
		return nil, err
	}
	verified, err := attested(cred, hash[:])
	if err != nil {
		return nil, err
	}
	return credentialRecord(cred, clientData, verified)
}

// attested verifies the attestation statement: true, or nil if keyfob knows no way to do that.
func attested(cred *authenticator.Credential, hash []byte) (any, error) {
	_, err := cred.Attestation.Verify(hash)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, webauthn.ErrUnsupportedFormat), errors.Is(err, cose.ErrUnsupportedAlgorithm):
		return nil, nil
	}
	return nil, failuref(exitError, "do not use this key: it may be a forgery",
		"the key made a credential, but: %w", err)
}

func credentialRecord(cred *authenticator.Credential, clientData []byte, verified any) (output, error) {
	publicKey, err := cred.PublicKey.MarshalPKIX()
	if err != nil {
		return nil, err
	}
	attestation, err := cred.Attestation.Marshal()
	if err != nil {
		return nil, err
	}
	data := cred.AuthenticatorData
	return record{
		{"credentialId", binary(cred.ID)},
		{"publicKey", binary(publicKey)},
		{"algorithm", int(cred.PublicKey.Algorithm)},
		{"fmt", cred.Attestation.Format},
		{"aaguid", data.Credential.AAGUID.String()},
		{"flags", uint8(data.Flags)},
		{"signCount", data.SignCount},
		{"attestationObject", binary(attestation)},
		{"clientDataJSON", binary(clientData)},
		{"transports", words(cred.Transports)},
		{"verified", verified},
	}, nil
}

// newClientData returns the client data of a ceremony with a challenge of its own.
func newClientData(kind, rp string) []byte {
	data := webauthn.ClientData{Type: kind, Challenge: random(challengeSize), Origin: "https://" + rp}
	return data.JSON()
}

const challengeSize = 32

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func verification(required bool) authenticator.UserVerification {
	if required {
		return authenticator.UVRequired
	}
	return authenticator.UVDiscouraged
}
