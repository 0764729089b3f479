package virtual

import (
	"context"

	"github.com/keyfob-go/keyfob/ctap2"
)

// choosesAccount reports whether the key asks its user itself which of the credentials to use: a key with a display,
// section 6.2.2 step 12, but not in silence.
func (a *Authenticator) choosesAccount(as *assertion, found []*credential) bool {
	return a.config.ChooseAccount != nil && len(found) > 1 && (as.user.present || as.user.verified)
}

// chosenAssertion signs with the credential that the user chooses.
func (a *Authenticator) chosenAssertion(
	ctx context.Context, c *call, as *assertion, found []*credential,
) (*ctap2.GetAssertionResponse, error) {
	users := make([]ctap2.User, len(found))
	for i, cred := range found {
		users[i] = *a.userOf(cred)
	}
	chosen := -1
	err := a.ask(ctx, c, Prompt{Command: c.command, RPID: as.rpID}, func(ctx context.Context, p Prompt) (err error) {
		chosen, err = a.config.ChooseAccount(ctx, p, users)
		return err
	})
	if err != nil {
		return nil, orDenied(err)
	}
	if chosen < 0 || chosen >= len(found) {
		return nil, ctap2.ErrOperationDenied
	}
	resp, err := a.assert(as, found[chosen])
	if err != nil {
		return nil, err
	}
	resp.UserSelected = true
	return resp, nil
}
