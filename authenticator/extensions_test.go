package authenticator

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// allKnowing makes a key say that it knows every extension, and answer what it is told to.
func allKnowing(t *testing.T, answer func(request, response []byte) []byte) func(request, response []byte) []byte {
	return func(request, response []byte) []byte {
		if ctap2.Command(request[0]) != getInfo {
			return answer(request, response)
		}
		return rewrite(t, response, func(i *ctap2.Info) {
			i.Versions = append(i.Versions, "FIDO_2_3")
			i.Extensions = strings.Fields("hmac-secret hmac-secret-mc credProtect credBlob largeBlobKey largeBlob" +
				" minPinLength pinComplexityPolicy thirdPartyPayment")
			i.Options["ep"] = true
			i.MaxCredBlobLength = 32
		})
	}
}

// outputs replaces the extension outputs in authenticator data.
func outputs(t *testing.T, raw []byte, members map[string]any) []byte {
	return rewriteAuthData(t, raw, func(d *ctap2.AuthenticatorData) {
		d.Flags |= ctap2.FlagED
		d.Extensions = extensions(t, members)
	})
}

type members = map[string]any

// creationCase is what a key answers to what the caller asks for.
type creationCase struct {
	name  string
	ask   func(*CredentialOptions)
	out   members // in the authenticator data
	other func(*ctap2.MakeCredentialResponse)
	err   bool              // it does not fit
	check func(*Credential) // what is in the result
}

func creationCases(t *testing.T) []creationCase {
	key := bytes.Repeat([]byte{7}, 32)
	unsigned := func(m members) func(*ctap2.MakeCredentialResponse) {
		return func(r *ctap2.MakeCredentialResponse) { r.UnsignedExtensionOutputs = extensions(t, m) }
	}
	largeBlobKey := func(k []byte) func(*ctap2.MakeCredentialResponse) {
		return func(r *ctap2.MakeCredentialResponse) { r.LargeBlobKey = k }
	}
	attested := func(r *ctap2.MakeCredentialResponse) { r.EnterpriseAttestation = true }
	blob := func(o *CredentialOptions) { o.CredBlob = make([]byte, 32) }
	blobKey := func(o *CredentialOptions) { o.LargeBlobKey, o.ResidentKey = true, true }
	required := func(o *CredentialOptions) { o.LargeBlob = ctap2.LargeBlobRequired }
	preferred := func(o *CredentialOptions) { o.LargeBlob = ctap2.LargeBlobPreferred }
	minPIN := func(o *CredentialOptions) { o.MinPINLength = true }
	policy := func(o *CredentialOptions) { o.PINComplexityPolicy = true }
	enterprise := func(o *CredentialOptions) { o.EnterpriseAttestation = 2 }
	return []creationCase{
		{name: "credBlob", ask: blob, out: members{"credBlob": true}},
		{name: "credBlob not stored", ask: blob, out: members{"credBlob": false}, err: true},
		{name: "no credBlob", ask: blob, out: members{}, err: true},
		{name: "credBlob of another type", ask: blob, out: members{"credBlob": []byte{1}}, err: true},

		{name: "largeBlobKey", ask: blobKey, other: largeBlobKey(key), check: func(c *Credential) {
			require.Equal(t, key, c.LargeBlobKey)
		}},
		{name: "no largeBlobKey", ask: blobKey, err: true},
		{name: "short largeBlobKey", ask: blobKey, other: largeBlobKey(key[:31]), err: true},
		{name: "long largeBlobKey", ask: blobKey, other: largeBlobKey(append(key, 7)), err: true},
		{name: "largeBlobKey that nobody asked for", other: largeBlobKey(key[:1]), check: func(c *Credential) {
			require.Nil(t, c.LargeBlobKey)
		}},

		{name: "largeBlob", ask: required, other: unsigned(members{"largeBlob": members{"supported": true}}), check: func(c *Credential) {
			require.True(t, c.LargeBlobSupported)
			require.NotEmpty(t, c.UnsignedExtensions)
		}},
		{name: "no room for a largeBlob", ask: required, other: unsigned(members{"largeBlob": members{"supported": false}}), err: true},
		{name: "no largeBlob", ask: required, err: true},
		{name: "no largeBlob, which was preferred", ask: preferred, check: func(c *Credential) {
			require.False(t, c.LargeBlobSupported)
		}},
		{name: "largeBlob of another type", ask: preferred, other: unsigned(members{"largeBlob": true}), err: true},
		{name: "unsigned outputs of another type", ask: preferred, other: func(r *ctap2.MakeCredentialResponse) {
			r.UnsignedExtensionOutputs = []byte{1}
		}, err: true},
		{name: "largeBlob that nobody asked for", other: unsigned(members{"largeBlob": 1}), check: func(c *Credential) {
			require.False(t, c.LargeBlobSupported)
		}},

		{name: "minPinLength", ask: minPIN, out: members{"minPinLength": 6}, check: func(c *Credential) {
			require.Equal(t, 6, c.MinPINLength)
		}},
		{name: "no minPinLength", ask: minPIN, check: func(c *Credential) { require.Zero(t, c.MinPINLength) }},
		{name: "minPinLength 2^64-1", ask: minPIN, out: members{"minPinLength": uint64(math.MaxUint64)}, err: true},
		{name: "minPinLength that nobody asked for", out: members{"minPinLength": 6}, check: func(c *Credential) {
			require.Zero(t, c.MinPINLength)
		}},

		{name: "pinComplexityPolicy", ask: policy, out: members{"pinComplexityPolicy": true}, check: func(c *Credential) {
			require.True(t, *c.PINComplexityPolicy)
		}},
		{name: "no policy", ask: policy, out: members{"pinComplexityPolicy": false}, check: func(c *Credential) {
			require.False(t, *c.PINComplexityPolicy)
		}},
		{name: "no pinComplexityPolicy", ask: policy, check: func(c *Credential) { require.Nil(t, c.PINComplexityPolicy) }},
		{name: "pinComplexityPolicy that nobody asked for", out: members{"pinComplexityPolicy": true}, check: func(c *Credential) {
			require.Nil(t, c.PINComplexityPolicy)
		}},

		{name: "thirdPartyPayment, which has no output", ask: func(o *CredentialOptions) { o.ThirdPartyPayment = true }},

		{name: "enterprise attestation", ask: enterprise, other: attested, check: func(c *Credential) {
			require.True(t, c.EnterpriseAttested)
		}},
		{name: "no enterprise attestation", ask: enterprise, check: func(c *Credential) {
			require.False(t, c.EnterpriseAttested)
		}},
		{name: "enterprise attestation that nobody asked for", other: attested, err: true},
	}
}

// withoutEnterprise keeps a request for enterprise attestation from a key that knows none.
func withoutEnterprise(t *testing.T) func(request []byte) []byte {
	return func(request []byte) []byte {
		if ctap2.Command(request[0]) != makeCredential {
			return request
		}
		var req ctap2.MakeCredentialRequest
		require.NoError(t, ctapcbor.Unmarshal(request[1:], &req))
		req.EnterpriseAttestation = 0
		b, err := ctapcbor.Marshal(&req)
		require.NoError(t, err)
		return append(request[:1:1], b...)
	}
}

func TestExtensionsOfANewCredential(t *testing.T) {
	for _, tc := range creationCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			key, err := virtual.New(virtual.Config{})
			require.NoError(t, err)
			a := openWire(t, &wire{key: key, forward: withoutEnterprise(t), lie: allKnowing(t, func(_, response []byte) []byte {
				return rewrite(t, response, func(r *ctap2.MakeCredentialResponse) {
					r.LargeBlobKey, r.UnsignedExtensionOutputs, r.EnterpriseAttestation = nil, nil, false
					if tc.out != nil {
						r.AuthData = outputs(t, r.AuthData, tc.out)
					}
					if tc.other != nil {
						tc.other(r)
					}
				})
			})}, nil)
			opts := credentialOptions()
			if tc.ask != nil {
				tc.ask(opts)
			}
			cred, err := a.MakeCredential(t.Context(), opts)
			if tc.err {
				require.Equal(t, KindProtocol, KindOf(err), "%v", err)
				require.Nil(t, cred)
				return
			}
			require.NoError(t, err)
			if tc.check != nil {
				tc.check(cred)
			}
		})
	}
}

// assertionCase is the same for assertions.
type assertionCase struct {
	name  string
	ask   func(*AssertionOptions)
	out   members
	other func(*ctap2.GetAssertionResponse)
	err   bool
	check func(*Assertion)
}

func assertionCases(t *testing.T) []assertionCase {
	key := bytes.Repeat([]byte{7}, 32)
	text := bytes.Repeat([]byte("large"), 100)
	unsigned := func(m any) func(*ctap2.GetAssertionResponse) {
		return func(r *ctap2.GetAssertionResponse) {
			r.UnsignedExtensionOutputs = extensions(t, members{"largeBlob": m})
		}
	}
	largeBlobKey := func(k []byte) func(*ctap2.GetAssertionResponse) {
		return func(r *ctap2.GetAssertionResponse) { r.LargeBlobKey = k }
	}
	blob := func(o *AssertionOptions) { o.CredBlob = true }
	blobKey := func(o *AssertionOptions) { o.LargeBlobKey = true }
	read := func(o *AssertionOptions) { o.LargeBlobRead = true }
	write := func(o *AssertionOptions) { o.LargeBlobWrite = []byte("x") }
	payment := func(o *AssertionOptions) { o.ThirdPartyPayment = true }
	return []assertionCase{
		{name: "credBlob", ask: blob, out: members{"credBlob": []byte("data")}, check: func(a *Assertion) {
			require.Equal(t, []byte("data"), a.CredBlob)
		}},
		{name: "empty credBlob", ask: blob, out: members{"credBlob": []byte{}}, check: func(a *Assertion) {
			require.Empty(t, a.CredBlob)
		}},
		{name: "no credBlob", ask: blob, out: members{}, err: true},
		{name: "credBlob of 33 bytes", ask: blob, out: members{"credBlob": make([]byte, 33)}, err: true},
		{name: "credBlob of another type", ask: blob, out: members{"credBlob": true}, err: true},
		{name: "credBlob that nobody asked for", out: members{"credBlob": true}, check: func(a *Assertion) {
			require.Nil(t, a.CredBlob)
		}},
		{name: "credBlob besides another", ask: payment, out: members{"credBlob": []byte("data")}, check: func(a *Assertion) {
			require.Nil(t, a.CredBlob)
		}},

		{name: "thirdPartyPayment", ask: payment, out: members{"thirdPartyPayment": true}, check: func(a *Assertion) {
			require.True(t, a.ThirdPartyPayment)
		}},
		{name: "no thirdPartyPayment", ask: payment, check: func(a *Assertion) { require.False(t, a.ThirdPartyPayment) }},
		{name: "thirdPartyPayment besides another", ask: blob, out: members{"credBlob": []byte{}, "thirdPartyPayment": true},
			check: func(a *Assertion) { require.False(t, a.ThirdPartyPayment) }},

		{name: "largeBlobKey", ask: blobKey, other: largeBlobKey(key), check: func(a *Assertion) {
			require.Equal(t, key, a.LargeBlobKey)
		}},
		{name: "no largeBlobKey", ask: blobKey, check: func(a *Assertion) { require.Nil(t, a.LargeBlobKey) }},
		{name: "short largeBlobKey", ask: blobKey, other: largeBlobKey(key[:31]), err: true},
		{name: "largeBlobKey that nobody asked for", other: largeBlobKey(key), check: func(a *Assertion) {
			require.Nil(t, a.LargeBlobKey)
		}},

		{name: "largeBlob", ask: read, other: unsigned(members{"blob": ctap2.CompressLargeBlob(text), "originalSize": len(text)}),
			check: func(a *Assertion) {
				require.Equal(t, text, a.LargeBlob)
				require.False(t, a.LargeBlobWritten)
				require.NotEmpty(t, a.UnsignedExtensions)
			}},
		{name: "no largeBlob", ask: read, check: func(a *Assertion) { require.Nil(t, a.LargeBlob) }},
		{name: "largeBlob of another size", ask: read, err: true,
			other: unsigned(members{"blob": ctap2.CompressLargeBlob(text), "originalSize": len(text) - 1})},
		{name: "largeBlob that is too large", ask: read, err: true,
			other: unsigned(members{"blob": ctap2.CompressLargeBlob(text), "originalSize": ctap2.MaxLargeBlob + 1})},
		{name: "largeBlob of another type", ask: read, other: unsigned("blob"), err: true},
		{name: "largeBlob that nobody asked for", other: unsigned("blob"), check: func(a *Assertion) {
			require.Nil(t, a.LargeBlob)
		}},
		{name: "largeBlob read instead of written", ask: write,
			other: unsigned(members{"blob": ctap2.CompressLargeBlob(text), "originalSize": len(text)}),
			check: func(a *Assertion) {
				require.Nil(t, a.LargeBlob)
				require.False(t, a.LargeBlobWritten)
			}},
		{name: "largeBlob written", ask: write, other: unsigned(members{"written": true}), check: func(a *Assertion) {
			require.True(t, a.LargeBlobWritten)
		}},
		{name: "largeBlob written instead of read", ask: read, other: unsigned(members{"written": true}), check: func(a *Assertion) {
			require.False(t, a.LargeBlobWritten)
		}},
		{name: "account chosen on the key", other: func(r *ctap2.GetAssertionResponse) { r.UserSelected = true },
			check: func(a *Assertion) { require.True(t, a.UserSelected) }},
	}
}

func TestExtensionsOfAnAssertion(t *testing.T) {
	for _, tc := range assertionCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			key, err := virtual.New(virtual.Config{})
			require.NoError(t, err)
			a := openWire(t, &wire{key: key, lie: allKnowing(t, func(request, response []byte) []byte {
				if ctap2.Command(request[0]) != getAssertion {
					return response
				}
				return rewrite(t, response, func(r *ctap2.GetAssertionResponse) {
					r.LargeBlobKey, r.UnsignedExtensionOutputs = nil, nil
					if tc.out != nil {
						r.AuthData = outputs(t, r.AuthData, tc.out)
					}
					if tc.other != nil {
						tc.other(r)
					}
				})
			})}, nil)
			opts := assertionOptions(register(t, a, nil))
			if tc.ask != nil {
				tc.ask(opts)
			}
			all, err := a.GetAssertions(t.Context(), opts)
			if tc.err {
				require.Equal(t, KindProtocol, KindOf(err), "%v", err)
				require.Nil(t, all)
				return
			}
			require.NoError(t, err)
			if tc.check != nil {
				tc.check(all[0])
			}
		})
	}
}

// What is asked for is sent, and nothing else.
func TestExtensionInputs(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	w := &wire{key: key, lie: allKnowing(t, func(_, response []byte) []byte { return []byte{byte(ctap2.ErrOther)} })}
	a := openWire(t, w, nil)
	opts := credentialOptions()
	opts.ResidentKey, opts.CredBlob, opts.LargeBlobKey, opts.MinPINLength = true, []byte("data"), true, true
	opts.PINComplexityPolicy, opts.ThirdPartyPayment, opts.HMACSecret, opts.CredProtect = true, true, true, 3
	opts.EnterpriseAttestation, opts.AttestationFormats = 1, []string{"none", "packed"}
	_, err = a.MakeCredential(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrOther)
	var create ctap2.MakeCredentialRequest
	decodeRequest(t, w, &create)
	require.Equal(t, ctap2.MakeCredentialExtensions{
		CredProtect: 3, CredBlob: []byte("data"), LargeBlobKey: true, MinPINLength: true, PINComplexityPolicy: true,
		HMACSecret: true, ThirdPartyPayment: true,
	}, create.Extensions)
	require.EqualValues(t, 1, create.EnterpriseAttestation)
	require.Equal(t, []string{"none", "packed"}, create.AttestationFormatsPreference)

	opts = credentialOptions()
	opts.LargeBlob = ctap2.LargeBlobPreferred
	_, err = a.MakeCredential(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrOther)
	create = ctap2.MakeCredentialRequest{}
	decodeRequest(t, w, &create)
	require.Equal(t, ctap2.MakeCredentialExtensions{
		LargeBlob: ctap2.LargeBlobSupportInput{Support: ctap2.LargeBlobPreferred},
	}, create.Extensions)

	get := assertionOptions()
	get.AllowList = [][]byte{{1}}
	get.CredBlob, get.ThirdPartyPayment, get.LargeBlobWrite = true, true, []byte("large blob")
	_, err = a.GetAssertions(t.Context(), get)
	require.ErrorIs(t, err, ctap2.ErrOther)
	var sign ctap2.GetAssertionRequest
	decodeRequest(t, w, &sign)
	require.True(t, sign.Extensions.CredBlob)
	require.True(t, sign.Extensions.ThirdPartyPayment)
	require.False(t, sign.Extensions.LargeBlobKey)
	blob, err := ctap2.InflateLargeBlob(sign.Extensions.LargeBlob.Write, sign.Extensions.LargeBlob.OriginalSize)
	require.NoError(t, err)
	require.Equal(t, "large blob", string(blob))
}

// Preferences are for keys that know of them.
func TestPreferencesAreNotSentToOlderKeys(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	w.lie = func(_, _ []byte) []byte { return []byte{byte(ctap2.ErrOther)} }
	opts := credentialOptions()
	opts.LargeBlob, opts.AttestationFormats = ctap2.LargeBlobPreferred, []string{"none"}
	_, err := a.MakeCredential(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrOther)
	var create ctap2.MakeCredentialRequest
	decodeRequest(t, w, &create)
	require.Zero(t, create.Extensions)
	require.Empty(t, create.AttestationFormatsPreference)
}

// All large blobs together may not be larger than one.
func TestLargeBlobsAreBounded(t *testing.T) {
	huge := extensions(t, members{"largeBlob": members{
		"blob": ctap2.CompressLargeBlob(make([]byte, ctap2.MaxLargeBlob)), "originalSize": ctap2.MaxLargeBlob,
	}})
	for count, fits := range map[uint64]bool{1: true, 2: false} {
		key, err := virtual.New(virtual.Config{})
		require.NoError(t, err)
		var good []byte
		a := openWire(t, &wire{key: key, lie: allKnowing(t, func(request, response []byte) []byte {
			switch ctap2.Command(request[0]) {
			case getNextAssertion:
				return good
			case getAssertion:
				good = rewrite(t, response, func(r *ctap2.GetAssertionResponse) {
					r.UnsignedExtensionOutputs, r.NumberOfCredentials = huge, count
				})
				return good
			}
			return response
		})}, nil)
		register(t, a, func(o *CredentialOptions) { o.ResidentKey = true })
		opts := assertionOptions()
		opts.LargeBlobRead = true
		all, err := a.GetAssertions(t.Context(), opts)
		if fits {
			require.NoError(t, err)
			require.Len(t, all[0].LargeBlob, ctap2.MaxLargeBlob)
			continue
		}
		require.ErrorIs(t, err, ErrInvalidResponse)
	}
}

// hmac-secret-mc derives the secrets that hmac-secret derives.
func TestSecretsOfANewCredential(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	for _, tc := range []struct {
		name   string
		output []byte // nil: a good one
		err    bool
	}{
		{name: "none", output: []byte{}, err: true},
		{name: "one secret for two salts", output: make([]byte, 48), err: true},
		{name: "three", output: make([]byte, 112), err: true},
		{name: "two", output: slices.Concat(hash("1"), hash("2"), hash("3")[:16])},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &wire{key: key, lie: allKnowing(t, func(request, response []byte) []byte {
				if ctap2.Command(request[0]) != makeCredential {
					return response
				}
				return rewrite(t, response, func(r *ctap2.MakeCredentialResponse) {
					r.AuthData = outputs(t, r.AuthData, members{"hmac-secret": true, "hmac-secret-mc": tc.output})
				})
			})}
			_, ui := answers(t, "1234")
			a := openWire(t, w, ui)
			w.sent()
			opts := verifiedOptions()
			opts.HMACSecretSalts = [][]byte{hash("a"), hash("b")}
			cred, err := a.MakeCredential(t.Context(), opts)
			require.Equal(t, []ctap2.Command{clientPIN, clientPIN, makeCredential}, w.commands)
			var sent ctap2.MakeCredentialRequest
			decodeRequest(t, w, &sent)
			require.True(t, sent.Extensions.HMACSecret)
			require.Len(t, sent.Extensions.HMACSecretMC.SaltEnc, 80)
			if tc.err {
				require.ErrorIs(t, err, ErrInvalidResponse)
				return
			}
			require.NoError(t, err)
			require.Len(t, cred.HMACSecrets, 2)
			require.Len(t, cred.HMACSecrets[0], 32)
			require.NotEqual(t, cred.HMACSecrets[0], cred.HMACSecrets[1])
		})
	}
}

// A secret that was agreed on for the token of the same operation is not to blame: no second touch.
func TestFreshSecretIsNotTriedTwice(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "1234", "1234")
	a, w := openKey(t, key, ui)
	cred := register(t, a, func(o *CredentialOptions) { o.HMACSecret = true })
	opts := assertionOptions(cred)
	opts.HMACSecretSalts = [][]byte{hash("salt")}
	_, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err, "now a secret is kept")
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == getAssertion {
			return []byte{byte(ctap2.ErrPINAuthInvalid)}
		}
		return response
	}
	w.sent()
	opts.UserVerification = UVRequired
	_, err = a.GetAssertions(t.Context(), opts)
	require.True(t, errors.Is(err, ctap2.ErrPINAuthInvalid))
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, getAssertion}, w.sent())
}
