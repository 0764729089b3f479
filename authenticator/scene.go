package authenticator

import (
	"context"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// scene is what a ceremony of WebAuthn is about: who asks, and what will be signed.
type scene struct {
	rpID           string
	clientDataJSON []byte
}

// scene checks that the origin may use the RP ID, and makes the client data.
func (c *Client) scene(ctx context.Context, typ, origin, rpID string, challenge []byte) (s scene, err error) {
	data := webauthn.ClientData{Type: typ, Challenge: challenge}
	if data.Origin, s.rpID, err = c.Origins.Resolve(ctx, origin, rpID); err != nil {
		return scene{}, err
	}
	if c.TopOrigin != "" {
		if data.TopOrigin, err = webauthn.CanonicalOrigin(c.TopOrigin); err != nil {
			return scene{}, err
		}
		data.CrossOrigin = true
	}
	s.clientDataJSON = data.JSON()
	return s, nil
}

// hash returns what the key signs.
func (s *scene) hash() []byte {
	hash := webauthn.ClientDataHash(s.clientDataJSON)
	return hash[:]
}

// How long a ceremony may take: WebAuthn Level 3, section 5.1.3, leaves that to the client, and section 15.1 wants enough
// for everybody.
const (
	defaultTimeout = 5 * time.Minute
	minTimeout     = 15 * time.Second
	maxTimeout     = 10 * time.Minute
)

func timeout(wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return defaultTimeout
	}
	return min(max(wanted, minTimeout), maxTimeout)
}

func userVerification(wanted webauthn.Requirement) UserVerification {
	switch wanted {
	case webauthn.Required:
		return UVRequired
	case webauthn.Discouraged:
		return UVDiscouraged
	}
	return UVPreferred
}

func ids(credentials []ctap2.CredentialDescriptor) (ids [][]byte) {
	for _, c := range credentials {
		ids = append(ids, c.ID)
	}
	return ids
}

func evalOf(inputs *webauthn.PRFInputs) *webauthn.PRFValues {
	if inputs == nil {
		return nil
	}
	return inputs.Eval
}

// prfSalts returns the salts of hmac-secret for inputs of prf, nil if there are none.
func prfSalts(inputs *webauthn.PRFValues) [][]byte {
	if inputs == nil {
		return nil
	}
	first := webauthn.PRFSalt(inputs.First)
	salts := [][]byte{first[:]}
	if inputs.Second != nil {
		second := webauthn.PRFSalt(inputs.Second)
		salts = append(salts, second[:])
	}
	return salts
}

func prfValues(secrets [][]byte) *webauthn.PRFValues {
	switch len(secrets) {
	case 0:
		return nil
	case 1:
		return &webauthn.PRFValues{First: secrets[0]}
	}
	return &webauthn.PRFValues{First: secrets[0], Second: secrets[1]}
}
