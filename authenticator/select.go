package authenticator

import (
	"context"
)

// Select returns the key that the user chooses, open: the only one that is plugged in, or else the one that is touched. It
// waits until there is one. The caller must close it. Its callbacks are the client's.
func (c *Client) Select(ctx context.Context) (*Authenticator, error) {
	var chosen *Authenticator
	a, err := conduct(ctx, c, func(ctx context.Context, p *player[*Authenticator]) (*Authenticator, error) {
		if err := p.become(ctx); err != nil {
			return nil, err
		}
		p.kept, chosen = true, p.device
		return chosen, nil
	})
	if err != nil {
		if chosen != nil { // too late
			chosen.Close()
		}
		return nil, failedIn("select", err)
	}
	a.ui = c.ui()
	return a, nil
}
