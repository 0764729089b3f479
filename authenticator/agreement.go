package authenticator

import (
	"context"

	"github.com/keyfob-go/keyfob/ctap2"
)

// agreement is the secret shared with the key. It is kept for hmac-secret only. The key makes a new key pair when anybody,
// even another program, enters a wrong PIN, and nothing tells us: the right PIN sent under the old secret would cost a
// retry, where an hmac-secret only fails and is asked for again.
type agreement struct {
	secret *ctap2.SharedSecret
	fresh  bool // it was agreed on in the running operation
}

func (g *agreement) forget() {
	if g.secret != nil {
		g.secret.Clear()
		g.secret = nil
	}
}

// freshSecret agrees with the key on a new secret.
func (a *Authenticator) freshSecret(ctx context.Context) (*ctap2.SharedSecret, error) {
	a.agreement.forget()
	protocol, err := a.Info().PINProtocol()
	if err != nil {
		return nil, err
	}
	secret, err := a.client(0).KeyAgreement(ctx, protocol)
	if err != nil {
		return nil, err
	}
	a.agreement = agreement{secret: secret, fresh: true}
	return secret, nil
}

// keptSecret returns the last secret that was agreed on, or a fresh one.
func (a *Authenticator) keptSecret(ctx context.Context) (*ctap2.SharedSecret, error) {
	if a.agreement.secret != nil {
		return a.agreement.secret, nil
	}
	return a.freshSecret(ctx)
}
