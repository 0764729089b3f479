package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
)

// derivation is what the command line of derive says.
type derivation struct {
	rp          string
	credentials [][]byte
	salts       [][]byte
	uv          bool
	raw         bool
}

func deriveCommand(inv *invocation) *cobra.Command {
	d := &derivation{}
	cmd := &cobra.Command{
		Use:   "derive --rp ID --credential ID --salt B64URL",
		Short: "Get the secret that a credential makes of a salt.",
		Long: "Get the 32-byte secret that a credential makes of a salt (hmac-secret), as disk encryption wants it: always\n" +
			"the same of the same salt, and another one with --uv. The credential must have been made for it: see\n" +
			"\"keyfob register --hmac-secret\". Of several keys the one that holds the credential is used.",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return d.check(inv) },
		RunE:    inv.run(func(ctx context.Context) (output, error) { return d.derive(ctx, inv) }),
	}
	inv.forPIN(cmd)
	f := cmd.Flags()
	f.StringVar(&d.rp, "rp", "", "relying party `ID` of the credential, a domain name")
	bytesListVar(f, &d.credentials, "credential", "credential `ID`; any of them will do")
	bytesListVar(f, &d.salts, "salt", "salt, the 32 bytes `B64URL`; at most two")
	f.BoolVar(&d.uv, "uv", false, "verify the user by PIN or fingerprint, which makes another secret")
	f.BoolVar(&d.raw, "raw", false, "write the bytes of the secrets and nothing else, to a file or a pipe")
	required(cmd, "rp", "credential", "salt")
	return cmd
}

func (d *derivation) check(inv *invocation) error {
	switch {
	case d.raw && inv.json:
		return usageError("--raw and --json exclude each other")
	case d.raw && terminalWidth(inv.stdout) > 0:
		return usageError("--raw wants a file or a pipe as standard output")
	}
	return checkSalts(d.salts)
}

func (d *derivation) derive(ctx context.Context, inv *invocation) (output, error) {
	client, err := inv.deriving()
	if err != nil {
		return nil, err
	}
	found, err := client.Derive(ctx, &authenticator.DeriveOptions{
		RPID:        d.rp,
		Credentials: d.secretCredentials(),
	})
	if err != nil {
		return nil, err
	}
	if d.raw {
		return rawBytes(found.Secrets), nil
	}
	var secrets words
	for _, secret := range found.Secrets {
		secrets = append(secrets, binary(secret).String())
	}
	return record{{"credentialId", binary(found.CredentialID)}, {"secrets", secrets}}, nil
}

func (d *derivation) secretCredentials() []authenticator.SecretCredential {
	list := make([]authenticator.SecretCredential, len(d.credentials))
	for i, id := range d.credentials {
		list[i] = authenticator.SecretCredential{ID: id, Salts: d.salts, UserVerification: verification(d.uv)}
	}
	return list
}

// rawBytes are a result as it is.
type rawBytes [][]byte

// MarshalJSON implements [json.Marshaler], which nobody asks for: see [derivation.check].
func (r rawBytes) MarshalJSON() ([]byte, error) { return nil, errors.ErrUnsupported }

func (r rawBytes) text(p *page) { p.Write(bytes.Join(r, nil)) }

// deriving is a client for the keys that the command line means, of which there must be one from the start.
func (inv *invocation) deriving() (*authenticator.Client, error) {
	client := inv.client()
	client.UI = inv.ui()
	client.Open = func(path string) (io.ReadWriteCloser, error) {
		dev, err := inv.openPath(path)
		if err != nil {
			return nil, err
		}
		return inv.traced(dev.(device))
	}
	if inv.device != "" {
		return &client, inv.tryDevice()
	}
	keys, err := inv.plugged()
	if err == nil && len(keys) > 1 && inv.trace != "" {
		err = usageError("--trace is about one key: of several, name it with --device")
	}
	return &client, err
}
