package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	theirs "github.com/go-webauthn/webauthn/webauthn"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

func protocolCredential(id byte) theirs.Credential { return theirs.Credential{ID: []byte{id}} }

func TestCeremonyDataIsGoneAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	for wait, status := range map[time.Duration]int{5*time.Minute - time.Second: 0, 5 * time.Minute: http.StatusGone} {
		s := newSite(t, nil)
		alice, bob := s.registered(t, "alice"), s.registered(t, "bob")
		bob.key = newKey(t, virtual.Config{})
		login, err := alice.BeginConnection(t.Context(), "echo")
		require.NoError(t, err)
		registration, err := bob.BeginRegistration(t.Context(), "late")
		require.NoError(t, err)
		asserted, err := alice.get(t.Context(), login)
		require.NoError(t, err)
		created, err := bob.create(t.Context(), registration)
		require.NoError(t, err)

		s.pass(wait)
		_, err = alice.FinishConnection(t.Context(), asserted)
		_, err2 := bob.FinishRegistration(t.Context(), created)
		if status == 0 {
			require.NoError(t, err)
			require.NoError(t, err2)
			continue
		}
		requireRefused(t, err, status, "over")
		requireRefused(t, err2, status, "over")
		_, err = alice.BeginConnection(t.Context(), "echo")
		require.NoError(t, err)
		require.Equal(t, 1, s.count(t, "ceremonies"), "the others are gone from the disk as well")
	}
}

func (s *site) count(t testing.TB, table string) (n int) {
	t.Helper()
	require.NoError(t, s.store.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func TestCeremonyIsForItsUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice, mallory := s.registered(t, "alice"), s.registered(t, "mallory")
	c, err := alice.BeginConnection(t.Context(), "echo")
	require.NoError(t, err)
	answer, err := alice.get(t.Context(), c)
	require.NoError(t, err)
	_, err = mallory.FinishConnection(t.Context(), answer)
	requireRefused(t, err, http.StatusGone, "over")
	_, err = alice.FinishConnection(t.Context(), answer)
	require.NoError(t, err, "mallory has spoiled nothing")

	registration, err := alice.BeginRegistration(t.Context(), "another")
	require.NoError(t, err)
	mallory.key = newKey(t, virtual.Config{})
	created, err := mallory.create(t.Context(), registration)
	require.NoError(t, err)
	_, err = mallory.FinishRegistration(t.Context(), created)
	requireRefused(t, err, http.StatusGone, "over")
}

func TestCeremonyHasOneAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	c, err := alice.BeginConnection(t.Context(), "echo")
	require.NoError(t, err)
	answer, err := alice.get(t.Context(), c)
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), answer)
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), answer)
	requireRefused(t, err, http.StatusGone, "over")

	for _, wrong := range []string{`{}`, `[]`, `"x"`, `null`} { // it is over after a wrong one, too
		c, err := alice.BeginConnection(t.Context(), "echo")
		require.NoError(t, err)
		_, err = alice.FinishConnection(t.Context(), &api.Answer{ID: c.ID, Response: json.RawMessage(wrong)})
		requireRefused(t, err, http.StatusForbidden, "does not verify")
		answer, err := alice.get(t.Context(), c)
		require.NoError(t, err)
		_, err = alice.FinishConnection(t.Context(), answer)
		requireRefused(t, err, http.StatusGone, "over")
	}
}

func TestAnswersAreToTheirCeremony(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice, mallory := s.registered(t, "alice"), s.registered(t, "mallory")
	begin := func(p *person) *api.Ceremony {
		c, err := p.BeginConnection(t.Context(), "echo")
		require.NoError(t, err)
		return c
	}

	// An answer to another challenge.
	answer, err := alice.get(t.Context(), begin(alice))
	require.NoError(t, err)
	answer.ID = begin(alice).ID
	_, err = alice.FinishConnection(t.Context(), answer)
	requireRefused(t, err, http.StatusForbidden, "challenge")

	// Mallory's key, which the server knows, for Alice's challenge, with Alice's token.
	c := begin(alice)
	forged, err := mallory.get(t.Context(), &api.Ceremony{ID: c.ID, Options: mixed(t, c, begin(mallory))})
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), forged)
	requireRefused(t, err, http.StatusForbidden, "not owned")

	// An answer to a registration is none to the question who connects, and the other way round.
	registration, err := alice.BeginRegistration(t.Context(), "another")
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), &api.Answer{ID: registration.ID, Response: json.RawMessage(`{}`)})
	requireRefused(t, err, http.StatusGone, "over")
	_, err = alice.FinishRegistration(t.Context(), &api.Answer{ID: begin(alice).ID, Response: json.RawMessage(`{}`)})
	requireRefused(t, err, http.StatusGone, "over")
	_, err = alice.FinishRegistration(t.Context(), &api.Answer{ID: registration.ID, Response: answer.Response})
	requireRefused(t, err, http.StatusForbidden, "does not verify")

	// An answer that was made for another site.
	mallory.Server = "http://localhost:1"
	mallory.Client.Token = alice.Token
	mallory.key = alice.key
	elsewhere, err := mallory.get(t.Context(), begin(alice))
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), elsewhere)
	requireRefused(t, err, http.StatusForbidden, "origin")
}

// mixed has the challenge of one ceremony and the credentials of another.
func mixed(t testing.TB, challenge, credentials *api.Ceremony) json.RawMessage {
	t.Helper()
	var a, b webauthn.RequestOptions
	require.NoError(t, json.Unmarshal(challenge.Options, &a))
	require.NoError(t, json.Unmarshal(credentials.Options, &b))
	b.Challenge = a.Challenge
	encoded, err := json.Marshal(b)
	require.NoError(t, err)
	return encoded
}

func TestKeyIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	err := alice.register(t.Context(), "again")
	require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)

	// A credential is one user's only, whatever a client makes of it.
	c, err := alice.BeginRegistration(t.Context(), "one name")
	require.NoError(t, err)
	alice.key = newKey(t, virtual.Config{})
	answer, err := alice.create(t.Context(), c)
	require.NoError(t, err)
	_, err = alice.BeginRegistration(t.Context(), "one name")
	require.NoError(t, err, "nobody has it yet")
	_, err = alice.FinishRegistration(t.Context(), answer)
	require.NoError(t, err)
	u, err := s.store.userOf(t.Context(), s.person(t, "bob").Token)
	require.NoError(t, err)
	owner, err := s.store.userOf(t.Context(), alice.Token)
	require.NoError(t, err)
	owner, err = withKeys(t.Context(), s.store.db, owner)
	require.NoError(t, err)
	added, err := s.store.addKey(t.Context(), u, "stolen", &owner.keys[0], s.now())
	require.NoError(t, err)
	require.False(t, added)
}

func TestUserVerificationIsDemanded(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config) { c.UserVerification = protocol.VerificationRequired })
	alice := s.person(t, "alice")
	alice.key = newKey(t, virtual.Config{PIN: virtual.PINPolicy{Initial: []byte("1234")}})
	require.NoError(t, alice.register(t.Context(), "key"))
	token, err := alice.token(t.Context(), "echo")
	require.NoError(t, err)
	require.NoError(t, alice.talk(t.Context(), token.Token))

	// A client that leaves it out does not get in.
	c, err := alice.BeginConnection(t.Context(), "echo")
	require.NoError(t, err)
	var o webauthn.RequestOptions
	require.NoError(t, json.Unmarshal(c.Options, &o))
	require.Equal(t, webauthn.Required, o.UserVerification)
	o.UserVerification = webauthn.Discouraged
	c.Options, err = json.Marshal(o)
	require.NoError(t, err)
	answer, err := alice.get(t.Context(), c)
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), answer)
	requireRefused(t, err, http.StatusForbidden, "verif")
}

// An old answer of the key's comes with an old counter. That of a copy would, too.
func TestCounterThatGoesBackIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	alice := s.registered(t, "alice")
	var answers []*api.Answer
	for range 2 {
		c, err := alice.BeginConnection(t.Context(), "echo")
		require.NoError(t, err)
		answer, err := alice.get(t.Context(), c)
		require.NoError(t, err)
		answers = append(answers, answer)
	}
	_, err := alice.FinishConnection(t.Context(), answers[1])
	require.NoError(t, err)
	_, err = alice.FinishConnection(t.Context(), answers[0])
	requireRefused(t, err, http.StatusForbidden, "copy")
	_, err = alice.token(t.Context(), "echo")
	require.NoError(t, err, "the key is good for more")
}

func TestTwoHundredCeremoniesAtOnce(t *testing.T) {
	t.Parallel()
	const n = 200
	s := newSite(t, func(c *config) { c.TokenLifetime = 0 })
	people := make([]*person, n)
	for i := range people {
		people[i] = s.person(t, fmt.Sprint("user ", i))
	}
	// All have begun before any ends.
	var began, all sync.WaitGroup
	began.Add(n)
	errs := make(chan error, 2*n)
	for _, p := range people {
		all.Go(func() {
			c, err := p.BeginRegistration(t.Context(), "key")
			began.Done()
			began.Wait()
			if err != nil {
				errs <- err
				return
			}
			answer, err := p.create(t.Context(), c)
			if err == nil {
				_, err = p.FinishRegistration(t.Context(), answer)
			}
			errs <- err
			token, err := p.token(t.Context(), "echo")
			if err == nil {
				err = p.talk(t.Context(), token.Token)
			}
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, n, s.count(t, "keys"))
	require.Equal(t, n, s.count(t, "used_tokens"))
	require.Zero(t, s.count(t, "ceremonies"))
}
