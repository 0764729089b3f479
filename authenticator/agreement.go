package authenticator

import (
	"context"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// agreement is the secret shared with the key, kept for the next exchange.
type agreement struct {
	secret *ctap2.SharedSecret
	since  time.Time
}

// agreementLife bounds how long a secret is kept. The key makes a new one when anybody, even another program, enters a
// wrong PIN; a right PIN sent under the old secret would then cost a retry.
const agreementLife = 30 * time.Second

func (g *agreement) forget() {
	if g.secret != nil {
		g.secret.Clear()
	}
	*g = agreement{}
}

// sharedSecret returns the secret shared with the key, agreeing on one if there is none.
func (a *Authenticator) sharedSecret(ctx context.Context) (*ctap2.SharedSecret, error) {
	if a.agreement.secret != nil && time.Since(a.agreement.since) < agreementLife {
		return a.agreement.secret, nil
	}
	a.agreement.forget()
	protocol, err := a.Info().PINProtocol()
	if err != nil {
		return nil, err
	}
	secret, err := a.client(0).KeyAgreement(ctx, protocol)
	if err != nil {
		return nil, err
	}
	a.agreement = agreement{secret: secret, since: time.Now()}
	return secret, nil
}
