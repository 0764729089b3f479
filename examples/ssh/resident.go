package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// stored is a key that its security key can be asked for: a resident one.
type stored struct {
	*key
	user []byte
}

// residents returns the resident keys of the security key that the user chooses. It asks for the PIN.
func residents(ctx context.Context, client *authenticator.Client) (all []stored, err error) {
	a, err := client.Select(ctx)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	list, err := a.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	for _, rp := range list.RelyingParties {
		if !strings.HasPrefix(rp.RP.ID, scheme) || rp.Truncated {
			continue
		}
		for _, c := range rp.Credentials {
			flags := byte(touchRequired | resident)
			if c.CredProtect == ctap2.CredProtectUVRequired {
				flags |= verifyRequired
			}
			if k, err := newKey(c.PublicKey, rp.RP.ID, flags, c.ID); err == nil { // else it is none that SSH knows
				all = append(all, stored{k, c.User.ID})
			}
		}
	}
	return all, nil
}

// wouldReplace returns an error if the security key stores a key of the same application and user, in whose place the new
// one would come. That costs no touch, but the PIN, without which such keys don't show themselves.
func wouldReplace(ctx context.Context, a *authenticator.Authenticator, o *authenticator.CredentialOptions) error {
	all, err := a.GetAssertions(ctx, &authenticator.AssertionOptions{
		RPID: o.RP.ID, ClientDataHash: o.ClientDataHash, NoTouch: true, UserVerification: authenticator.UVPreferred,
	})
	if errors.Is(err, ctap2.ErrNoCredentials) {
		return nil
	}
	for _, s := range all {
		if s.User != nil && bytes.Equal(s.User.ID, o.User.ID) {
			return fmt.Errorf("a resident key of %s and this user: %w", o.RP.ID, fs.ErrExist)
		}
	}
	return err
}

// fileName is the one that ssh-keygen -K gives the key.
func (r stored) fileName() string {
	name := "id_ecdsa_sk_rk"
	if r.ssh.Type() == ssh.KeyAlgoSKED25519 {
		name = "id_ed25519_sk_rk"
	}
	application := strings.TrimPrefix(strings.TrimPrefix(r.application, scheme), "//")
	for _, part := range []string{application, strings.TrimRight(string(r.user), "\x00")} {
		if part != "" {
			name += "_" + part
		}
	}
	return strings.Map(harmless, name)
}

// harmless keeps what a security key says from being a path.
func harmless(r rune) rune {
	if r <= ' ' || r == '/' || r == '\\' || r == ':' || r > '~' {
		return '_'
	}
	return r
}
