package main

import (
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	for lifetime, wait := range map[time.Duration]time.Duration{time.Minute: time.Minute, 0: onceLifetime} {
		s := newSite(t, func(c *config) { c.TokenLifetime = lifetime })
		alice := s.registered(t, "alice")
		early, err := alice.token(t.Context(), "echo")
		require.NoError(t, err)
		late, err := alice.token(t.Context(), "echo")
		require.NoError(t, err)
		require.Equal(t, s.now().Add(wait).UTC(), late.Expires)
		s.pass(wait - time.Second)
		require.NoError(t, alice.talk(t.Context(), early.Token))
		s.pass(time.Second)
		requireRefused(t, alice.talk(t.Context(), late.Token), http.StatusForbidden, "expired")
	}
}

func TestTimesThatLetNobodyInAreRefused(t *testing.T) {
	t.Parallel()
	good := config{Origin: "http://localhost:8080", TokenLifetime: time.Second, TouchTimeout: ceremonyLifetime}
	require.NoError(t, good.check())
	for _, bad := range []func(*config){
		func(c *config) { c.TokenLifetime = -time.Minute },
		func(c *config) { c.TokenLifetime = time.Second - 1 },
		func(c *config) { c.TouchTimeout = 0 },
		func(c *config) { c.TouchTimeout = ceremonyLifetime + 1 },
	} {
		c := good
		bad(&c)
		require.Error(t, c.check())
		_, err := newServer(t.Context(), c, nil, nil, time.Now)
		require.Equal(t, c.check(), err)
	}
}

// However many try at the same time, and even if the server starts anew.
func TestTokenOfLifetimeZeroOpensOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config) { c.TokenLifetime = 0 })
	alice := s.registered(t, "alice")
	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	require.True(t, token.Once)
	var opened atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if alice.talk(t.Context(), token.Token) == nil {
				opened.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, opened.Load())
	requireRefused(t, alice.talk(t.Context(), token.Token), http.StatusForbidden, "used already")

	s.pass(onceLifetime + time.Minute)
	other, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	require.NoError(t, alice.talk(t.Context(), other.Token))
	s.pass(-onceLifetime - time.Minute) // the clock is set back
	requireRefused(t, alice.talk(t.Context(), token.Token), http.StatusForbidden, "used already")

	s.pass(onceLifetime + time.Minute + clockSlack + onceLifetime)
	another, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	require.NoError(t, alice.talk(t.Context(), another.Token))
	require.Equal(t, 1, s.count(t, "used_tokens"), "those that have expired need not be remembered")
}

func TestTokenIsForItsUser(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{time.Minute, 0} {
		s := newSite(t, func(c *config) { c.TokenLifetime = lifetime })
		alice, mallory := s.registered(t, "alice"), s.registered(t, "mallory")
		token, err := alice.token(t.Context(), "echo")
		require.NoError(t, err)
		requireRefused(t, mallory.talk(t.Context(), token.Token), http.StatusForbidden, "another user's")
		require.NoError(t, alice.talk(t.Context(), token.Token), "mallory has not used it up")
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	good, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	var granted claims
	_, _, err = jwt.NewParser().ParseUnverified(good.Token, &granted)
	require.NoError(t, err)

	sign := func(method jwt.SigningMethod, key any, change func(*claims)) string {
		c := granted
		change(&c)
		token, err := jwt.NewWithClaims(method, &c).SignedString(key)
		require.NoError(t, err)
		return token
	}
	secret := s.tokens.secret
	bob, err := s.store.userOf(t.Context(), s.registered(t, "bob").Token)
	require.NoError(t, err)
	bob, err = withKeys(t.Context(), s.store.db, bob)
	require.NoError(t, err)
	foreign := sign(signing, secret, func(c *claims) { c.Key = bob.keys[0].ID })
	requireRefused(t, alice.talk(t.Context(), foreign), http.StatusForbidden, "deleted")

	same := func(*claims) {}
	require.NoError(t, alice.talk(t.Context(), sign(signing, secret, same)), "the cases below differ in one thing only")
	for name, token := range map[string]string{
		"nothing":          "",
		"no token":         "a.b.c",
		"another secret":   sign(signing, random(32), same),
		"another method":   sign(jwt.SigningMethodHS512, secret, same),
		"no signature":     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"another server":   sign(signing, secret, func(c *claims) { c.Issuer = "https://example.org" }),
		"without an end":   sign(signing, secret, func(c *claims) { c.ExpiresAt = nil }),
		"cut":              good.Token[:len(good.Token)-1],
		"the user's token": alice.Token,
	} {
		t.Run(name, func(t *testing.T) {
			requireRefused(t, alice.talk(t.Context(), token), http.StatusForbidden, "no connection token")
		})
	}
}

// What is stored is there again for another process.
func TestStoreOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	first, err := openStore(t.Context(), path)
	require.NoError(t, err)
	secret, err := first.secret(t.Context(), "tokens")
	require.NoError(t, err)
	require.Len(t, secret, 32)
	now := time.Now()
	used, err := first.useToken(t.Context(), "id", now.Add(time.Hour), now)
	require.NoError(t, err)
	require.True(t, used)
	require.NoError(t, first.Close())

	second, err := openStore(t.Context(), path)
	require.NoError(t, err)
	defer second.Close()
	again, err := second.secret(t.Context(), "tokens")
	require.NoError(t, err)
	require.Equal(t, secret, again)
	used, err = second.useToken(t.Context(), "id", now.Add(time.Hour), now)
	require.NoError(t, err)
	require.False(t, used)
}
