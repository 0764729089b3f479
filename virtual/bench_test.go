package virtual

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Each benchmark sends one request again and again, and reports how much longer the key takes for it than for the
// cryptography on P-256 that it can't do without.

// cryptography is what a command needs: so many new keys, signatures and key agreements.
type cryptography struct{ keys, signatures, agreements int }

func (c cryptography) run(b *testing.B, signer *ecdsa.PrivateKey, own *ecdh.PrivateKey) {
	for range c.keys {
		_, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(b, err)
	}
	for range c.signatures {
		_, err := signer.Sign(rand.Reader, testHash, nil)
		require.NoError(b, err)
	}
	for range c.agreements {
		_, err := own.ECDH(own.PublicKey())
		require.NoError(b, err)
	}
}

// ratio is how much longer f takes. Both take turns, and the medians count, so that whatever else the machine does
// makes little difference.
func (c cryptography) ratio(b *testing.B, f func()) float64 {
	const turns = 1000
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(b, err)
	whole, bare := make([]time.Duration, turns), make([]time.Duration, turns)
	for i := range turns {
		start := time.Now()
		f()
		between := time.Now()
		c.run(b, signer, own)
		whole[i], bare[i] = between.Sub(start), time.Since(between)
	}
	slices.Sort(whole)
	slices.Sort(bare)
	return float64(whole[turns/2]) / float64(bare[turns/2])
}

func benchmark(b *testing.B, key *Authenticator, cmd ctap2.Command, params any, c cryptography) {
	request := []byte{byte(cmd)}
	if params != nil {
		encoded, err := ctapcbor.Marshal(params)
		require.NoError(b, err)
		request = append(request, encoded...)
	}
	run := func() {
		resp, err := key.CBOR(b.Context(), request, nil)
		if err != nil || resp[0] != 0 {
			b.Fatal(resp, err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	if c != (cryptography{}) {
		b.ReportMetric(c.ratio(b, run), "x-crypto")
	}
}

func BenchmarkGetInfo(b *testing.B) {
	key, _ := newKey(b, Config{})
	benchmark(b, key, ctap2.CommandGetInfo, nil, cryptography{})
}

func BenchmarkMakeCredential(b *testing.B) {
	for name, attestation := range map[string]Attestation{"none": AttestationNone, "basic": AttestationBasic} {
		for _, resident := range []bool{false, true} {
			b.Run(name+map[bool]string{true: " resident"}[resident], func(b *testing.B) {
				key, _ := newKey(b, Config{Attestation: attestation})
				req := newRequest()
				req.Options.ResidentKey = resident
				c := cryptography{keys: 1}
				if attestation == AttestationBasic {
					c.signatures = 1
				}
				benchmark(b, key, ctap2.CommandMakeCredential, req, c)
			})
		}
	}
}

func BenchmarkGetAssertion(b *testing.B) {
	for name, resident := range map[string]bool{"wrapped": false, "resident": true} {
		b.Run(name, func(b *testing.B) {
			key, client := newKey(b, Config{})
			req := newRequest()
			req.Options.ResidentKey = resident
			id := register(b, client, req).Credential.ID
			benchmark(b, key, ctap2.CommandGetAssertion, ask(id), cryptography{signatures: 1})
		})
	}
	b.Run("hmac-secret", func(b *testing.B) {
		key, client := newKey(b, Config{})
		req := ask(register(b, client, newRequest()).Credential.ID)
		in, err := ctap2.NewHMACSecretInput(agree(b, client, 2), make([]byte, 64))
		require.NoError(b, err)
		req.Extensions.HMACSecret = in
		benchmark(b, key, ctap2.CommandGetAssertion, req, cryptography{signatures: 1, agreements: 1})
	})
	b.Run("of 10000", func(b *testing.B) {
		key, client := newKey(b, Config{Capacity: 10000, NoWrapping: true, NoU2F: true, Attestation: AttestationNone})
		for range 9999 {
			register(b, client, newRequest())
		}
		id := register(b, client, newRequest()).Credential.ID
		benchmark(b, key, ctap2.CommandGetAssertion, ask(id), cryptography{signatures: 1})
	})
}
