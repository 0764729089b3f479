package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

// Tokens makes and checks connection tokens, which are JWTs that only this server can make.
type tokens struct {
	secret   []byte
	issuer   string
	lifetime time.Duration // 0: a token opens one connection
	store    *store
	now      func() time.Time
}

// onceLifetime is how long a token that opens one connection can wait for it.
const onceLifetime = 30 * time.Second

// claims say who may connect to what. The subject is the user.
type claims struct {
	jwt.RegisteredClaims
	Target string `json:"target"`
	Key    []byte `json:"key"` // the ID of the key that was touched
	Once   bool   `json:"once,omitempty"`
}

var signing = jwt.SigningMethodHS256

func (t *tokens) issue(u *user, target string, key []byte) (*api.Token, error) {
	now, once, lifetime := t.now(), t.lifetime == 0, t.lifetime
	if once {
		lifetime = onceLifetime
	}
	expires := jwt.NewNumericDate(now.Add(lifetime)) // in whole seconds
	token, err := jwt.NewWithClaims(signing, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.issuer, Subject: u.name, ID: rand.Text(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: expires,
		},
		Target: target, Key: key, Once: once,
	}).SignedString(t.secret)
	return &api.Token{Token: token, Expires: expires.Time.UTC(), Once: once}, err
}

// check returns what a token is good for. It is used then, if it can be used once only.
func (t *tokens) check(ctx context.Context, u *user, token string) (*claims, error) {
	c := new(claims)
	_, err := jwt.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return t.secret, nil },
		jwt.WithValidMethods([]string{signing.Alg()}), jwt.WithIssuer(t.issuer), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(t.now))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, forbidden("the connection token has expired")
	case err != nil:
		return nil, forbidden("that is no connection token of this server")
	case c.Subject != u.name:
		return nil, forbidden("the connection token is another user's")
	}
	if has, err := t.store.hasKey(ctx, u, c.Key); err != nil {
		return nil, err
	} else if !has {
		return nil, forbidden("the key that the connection token was given for is deleted")
	}
	return c, t.use(ctx, c)
}

// use makes sure that a token which can be used once is not used twice, not even after the server was killed.
func (t *tokens) use(ctx context.Context, c *claims) error {
	if !c.Once {
		return nil
	}
	first, err := t.store.useToken(ctx, c.ID, c.ExpiresAt.Time, t.now())
	if err != nil {
		return err
	}
	if !first {
		return forbidden("the connection token was used already")
	}
	return nil
}

func forbidden(message string) error {
	return &api.Error{Status: http.StatusForbidden, Message: message}
}
