package main

import (
	"context"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestResidents finds the keys that are for SSH and of a kind that it knows, with what they were made for.
func TestResidents(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	store(t, u, "example.org", cose.ES256)
	store(t, u, "ssh:rsa", cose.RS256)
	store(t, u, "ssh:es384", cose.ES384)
	want := []stored{
		{u.enrol(t, cose.ES256, touchRequired|resident|verifyRequired), make([]byte, 32)},
	}
	k, err := enrol(t.Context(), u.Client, enrolment{
		algorithm: cose.EdDSA, application: "ssh:work", user: "ada", flags: touchRequired | resident,
	})
	require.NoError(t, err)
	want = append(want, stored{k, append([]byte("ada"), make([]byte, 29)...)})
	u.enrol(t, cose.ES256, touchRequired)

	got, err := residents(t.Context(), u.Client)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestEnrolReplacesOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	e := enrolment{algorithm: cose.ES256, application: "ssh:", user: "ada", flags: touchRequired | resident}
	made, err := enrol(t.Context(), u.Client, e)
	require.NoError(t, err)
	u.touches.Store(0)
	e.algorithm = cose.EdDSA
	_, err = enrol(t.Context(), u.Client, e)
	require.ErrorIs(t, err, fs.ErrExist)
	require.Zero(t, u.touches.Load(), "nobody has to touch what comes to nothing")

	for _, other := range []enrolment{
		{algorithm: cose.ES256, application: "ssh:", user: "bob", flags: touchRequired | resident},
		{algorithm: cose.ES256, application: "ssh:work", user: "ada", flags: touchRequired | resident},
		{algorithm: cose.ES256, application: "ssh:", user: "ada", flags: touchRequired}, // it isn't stored
	} {
		_, err = enrol(t.Context(), u.Client, other)
		require.NoError(t, err)
	}
	e.replace = true
	again, err := enrol(t.Context(), u.Client, e)
	require.NoError(t, err)
	all, err := residents(t.Context(), u.Client)
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, r := range all {
		require.NotEqual(t, made.handle, r.handle)
	}
	require.Contains(t, all, stored{again, append([]byte("ada"), make([]byte, 29)...)})
}

// A security key may list a credential of an algorithm that nobody here knows.
func TestNewKeyOfUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	_, err := newKey(nil, "ssh:", touchRequired, nil)
	require.ErrorIs(t, err, cose.ErrUnsupportedAlgorithm)
}

// store makes a passkey that is none of ours.
func store(t *testing.T, u *person, rpID string, algorithm cose.Algorithm) {
	t.Helper()
	a, err := u.Select(t.Context())
	require.NoError(t, err)
	defer a.Close()
	_, err = a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, 32), RP: ctap2.RelyingParty{ID: rpID}, User: ctap2.User{ID: []byte("bob")},
		Algorithms: []cose.Algorithm{algorithm}, ResidentKey: true,
	})
	require.NoError(t, err)
}

// A key that wants the PIN shows itself to nobody without it, so the user says which security key has it.
func TestSignWithTheTouchedOfSeveral(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	k := u.enrol(t, cose.ES256, touchRequired|verifyRequired)
	untouched, err := virtual.New(virtual.Config{UserPresence: func(ctx context.Context, _ virtual.Prompt) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	require.NoError(t, err)
	t.Cleanup(func() { untouched.Close() })
	u.hub.Plug(untouched)

	u.touches.Store(0)
	sig, err := k.sign(t.Context(), u.Client, []byte("data"))
	require.NoError(t, err)
	require.NoError(t, k.ssh.Verify([]byte("data"), sig))
	require.EqualValues(t, 2, u.touches.Load())
}

// A security key that lies, or that is of another kind than SSH has room for, gives no signature.
func TestSignRefusesWhatServersWould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		faults virtual.Faults
		want   string
	}{
		{"a signature that does not verify", virtual.Faults{BadSignature: true}, "does not verify"},
		{"an extension that nobody asked for", virtual.Faults{ExtraExtension: "credBlob"}, "more than SSH has room for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := newPerson(t, virtual.Config{Faults: c.faults, Attestation: virtual.AttestationNone})
			k := u.enrol(t, cose.ES256, touchRequired)
			_, err := k.sign(t.Context(), u.Client, []byte("data"))
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A key that speaks nothing but U2F holds an SSH key as well.
func TestSignWithU2F(t *testing.T) {
	t.Parallel()
	u := &person{}
	key, err := virtual.New(virtual.Config{U2FOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	u.Client = &authenticator.Client{Watch: u.hub.Watch, Open: u.hub.Open}
	u.hub.Plug(key)
	k := u.enrol(t, cose.ES256, touchRequired)
	require.NoError(t, loginAtGoServer(t, k, []ssh.Signer{&signer{t.Context(), u.Client, k}}))
}
