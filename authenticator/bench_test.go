package authenticator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// The key in process costs most of the time: package virtual compares it with bare cryptography.

func benchmarkKey(b *testing.B) *Authenticator {
	key, err := virtual.New(virtual.Config{})
	require.NoError(b, err)
	a, err := New(b.Context(), key, nil)
	require.NoError(b, err)
	b.Cleanup(func() { a.Close() })
	b.ReportAllocs()
	return a
}

func BenchmarkMakeCredential(b *testing.B) {
	a, opts := benchmarkKey(b), credentialOptions()
	for b.Loop() {
		_, err := a.MakeCredential(b.Context(), opts)
		require.NoError(b, err)
	}
}

func BenchmarkGetAssertions(b *testing.B) {
	a := benchmarkKey(b)
	cred, err := a.MakeCredential(b.Context(), credentialOptions())
	require.NoError(b, err)
	opts := &AssertionOptions{RPID: "example.org", ClientDataHash: hash("get"), AllowList: [][]byte{cred.ID}}
	for b.Loop() {
		_, err := a.GetAssertions(b.Context(), opts)
		require.NoError(b, err)
	}
}

// BenchmarkCeremony is all of it: a key that is found, opened, asked and closed, and JSON's structures around it.
func BenchmarkCeremony(b *testing.B) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(b, err)
	b.Cleanup(func() { key.Close() })
	var hub virtual.Hub
	hub.Plug(key)
	client := &Client{Watch: hub.Watch, Open: hub.Open}
	made, err := client.Register(b.Context(), origin, &webauthn.CreationOptions{
		RP: credentialOptions().RP, User: credentialOptions().User, Challenge: challenge,
	})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, matrixSignIn(b.Context(), client, webauthn.Discouraged, made.RawID))
	}
}
