package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/webauthn"
)

// authentication is what the command line of authenticate says.
type authentication struct {
	rp          string
	credentials [][]byte
	uv          bool
	noTouch     bool
	publicKey   *cose.Key
	salts       [][]byte
}

const (
	saltSize = 32
	maxSalts = 2
)

func authenticateCommand(inv *invocation) *cobra.Command {
	a := &authentication{}
	cmd := &cobra.Command{
		Use:     "authenticate --rp ID",
		Short:   "Have a key sign with its credentials.",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return checkSalts(a.salts) },
		RunE:    inv.withKey(a.perform),
	}
	inv.forPIN(cmd)
	f := cmd.Flags()
	f.StringVar(&a.rp, "rp", "", "sign in to the relying party `ID`, a domain name")
	bytesListVar(f, &a.credentials, "credential", "use the credential `ID` (default: all on the key that are resident)")
	f.BoolVar(&a.uv, "uv", false, "verify the user by PIN or fingerprint, or fail")
	f.BoolVar(&a.noTouch, "no-touch", false, "do not wait for a touch; the signature says so")
	f.Func("public-key", "verify the signatures with the key `SPKI`, as register shows it", a.setPublicKey)
	bytesListVar(f, &a.salts, "salt", "derive the secret that belongs to the 32 bytes `B64URL`")
	required(cmd, "rp")
	return cmd
}

func (a *authentication) setPublicKey(value string) error {
	der, err := decodeBase64(value)
	if err != nil {
		return err
	}
	if a.publicKey, err = cose.ParsePKIX(der); err != nil {
		return errors.New("no public key of a known kind (SPKI, DER)")
	}
	return nil
}

// checkSalts finds what no key would take.
func checkSalts(salts [][]byte) error {
	if len(salts) > maxSalts {
		return usageError(fmt.Sprintf("--salt is there more than %d times", maxSalts))
	}
	for _, salt := range salts {
		if len(salt) != saltSize {
			return usageError(fmt.Sprintf("--salt has %d bytes instead of %d", len(salt), saltSize))
		}
	}
	return nil
}

func (a *authentication) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	clientData := newClientData(webauthn.TypeGet, a.rp)
	hash := webauthn.ClientDataHash(clientData)
	assertions, err := key.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID:             a.rp,
		ClientDataHash:   hash[:],
		AllowList:        a.credentials,
		UserVerification: verification(a.uv),
		NoTouch:          a.noTouch,
		HMACSecretSalts:  a.salts,
	})
	if err != nil {
		return nil, err
	}
	out := group{name: "assertions"}
	for _, assertion := range assertions {
		verified, wrong := a.verify(assertion, hash[:])
		out.records = append(out.records, assertionRecord(assertion, clientData, verified))
		err = also(err, wrong)
	}
	return out, err
}

// verify holds an assertion against the public key that was given, if one was.
func (a *authentication) verify(assertion *authenticator.Assertion, hash []byte) (verified any, err error) {
	if a.publicKey == nil {
		return nil, nil
	}
	err = webauthn.VerifySignature(a.publicKey, assertion.AuthData, hash, assertion.Signature)
	if err != nil {
		err = failuref(exitError, "--public-key belongs to another credential, or the key is a forgery",
			"credential %v: %w", binary(assertion.CredentialID), err)
	}
	return err == nil, err
}

func assertionRecord(a *authenticator.Assertion, clientData []byte, verified any) record {
	var userHandle []byte
	if a.User != nil {
		userHandle = a.User.ID
	}
	return record{
		{"credentialId", binary(a.CredentialID)},
		{"authenticatorData", binary(a.AuthData)},
		{"clientDataJSON", binary(clientData)},
		{"signature", binary(a.Signature)},
		{"userHandle", binary(userHandle)},
		{"flags", uint8(a.AuthenticatorData.Flags)},
		{"signCount", a.AuthenticatorData.SignCount},
		{"hmacSecret", binary(bytes.Join(a.HMACSecrets, nil))},
		{"verified", verified},
	}
}
