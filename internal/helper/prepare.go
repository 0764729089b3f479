package helper

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/webauthn"
)

// ceremony is a request that was found to be valid.
type ceremony func(context.Context, *authenticator.Client) (result any, err error)

func (x *session) prepare(m *message) (ceremony, error) {
	if err := x.admit(m); err != nil {
		return nil, err
	}
	switch m.kind {
	case kindCreate:
		return prepareCreate(m)
	case kindGet:
		return prepareGet(m)
	}
	return prepareDerive(m)
}

// admit refuses origins that are no origins, or not on the list.
func (x *session) admit(m *message) error {
	if m.topOrigin != "" {
		if _, err := webauthn.CanonicalOrigin(m.topOrigin); err != nil {
			return err
		}
	}
	if m.origin == "" && m.kind == kindDerive && len(x.Origins) == 0 {
		return nil
	}
	origin, err := webauthn.CanonicalOrigin(m.origin)
	if err != nil {
		return err
	}
	if len(x.Origins) > 0 && !slices.Contains(x.Origins, origin) {
		return &refusal{name: securityError, code: codeOriginRefused, hint: "start the helper with --origin for each origin that may ask",
			err: fmt.Errorf("origin %.100q is not on the list", origin)}
	}
	return nil
}

func prepareCreate(m *message) (ceremony, error) {
	var o webauthn.CreationOptions
	if err := json.Unmarshal(m.options, &o); err != nil {
		return nil, invalidOptions(err)
	}
	return func(ctx context.Context, c *authenticator.Client) (any, error) {
		resp, err := c.Register(ctx, m.origin, &o)
		return resp, err
	}, nil
}

func prepareGet(m *message) (ceremony, error) {
	var o webauthn.RequestOptions
	if err := json.Unmarshal(m.options, &o); err != nil {
		return nil, invalidOptions(err)
	}
	return func(ctx context.Context, c *authenticator.Client) (any, error) {
		resp, err := c.Authenticate(ctx, m.origin, &o)
		return resp, err
	}, nil
}

// secrets is the result of a derive request.
type secrets struct {
	Key          key         `json:"key"`
	CredentialID base64url   `json:"credentialId"`
	Secrets      []base64url `json:"secrets"`
}

func prepareDerive(m *message) (ceremony, error) {
	o := &authenticator.DeriveOptions{RPID: m.rpID, Credentials: m.credentials}
	uv := authenticator.UVDiscouraged
	switch webauthn.Requirement(m.userVerification) {
	case webauthn.Required:
		uv = authenticator.UVRequired
	case webauthn.Discouraged:
	default:
		return nil, badMessage(`userVerification: neither "required" nor "discouraged"`)
	}
	for i := range o.Credentials {
		o.Credentials[i].UserVerification = uv
	}
	if o.RPID == "" {
		return nil, badMessage("rpId: empty")
	}
	return func(ctx context.Context, c *authenticator.Client) (any, error) { return derive(ctx, c, m.origin, o) }, nil
}

// derive wants the RP ID to be one of the origin's own, if there is an origin. Without, the parent may use any.
func derive(ctx context.Context, c *authenticator.Client, origin string, o *authenticator.DeriveOptions) (any, error) {
	if origin != "" {
		_, rpID, err := c.Origins.Resolve(ctx, origin, o.RPID)
		if err != nil {
			return nil, err
		}
		o.RPID = rpID
	}
	s, err := c.Derive(ctx, o)
	if err != nil {
		return nil, err
	}
	result := secrets{Key: keyOf(s.Key), CredentialID: s.CredentialID}
	for _, secret := range s.Secrets {
		result.Secrets = append(result.Secrets, secret)
	}
	return result, nil
}
