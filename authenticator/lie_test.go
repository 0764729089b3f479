package authenticator

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/virtual"
)

// rewriteAuthData changes the authenticator data of a response.
func rewriteAuthData(t *testing.T, raw []byte, change func(*ctap2.AuthenticatorData)) []byte {
	data, err := ctap2.ParseAuthenticatorData(raw)
	require.NoError(t, err)
	change(data)
	b, err := data.Marshal()
	require.NoError(t, err)
	return b
}

func extensions(t *testing.T, v any) ctapcbor.RawMessage {
	b, err := ctapcbor.Marshal(v)
	require.NoError(t, err)
	return b
}

// Each answer to makeCredential that does not fit the question is an error, never a credential, and costs no PIN retry.
func TestLiesAboutANewCredential(t *testing.T) {
	inAuthData := func(change func(*ctap2.AuthenticatorData)) func(*ctap2.MakeCredentialResponse) {
		return func(r *ctap2.MakeCredentialResponse) { r.AuthData = rewriteAuthData(t, r.AuthData, change) }
	}
	other, _ := open(t, virtual.Config{Algorithms: []cose.Algorithm{cose.ES384}}, nil)
	foreign := register(t, other, func(o *CredentialOptions) { o.Algorithms = []cose.Algorithm{cose.ES384} })
	for name, lie := range map[string]func(*ctap2.MakeCredentialResponse){
		"another relying party": inAuthData(func(d *ctap2.AuthenticatorData) { d.RPIDHash[0] ^= 1 }),
		"user not present":      inAuthData(func(d *ctap2.AuthenticatorData) { d.Flags &^= ctap2.FlagUP }),
		"user not verified":     inAuthData(func(d *ctap2.AuthenticatorData) { d.Flags &^= ctap2.FlagUV }),
		"no credential": inAuthData(func(d *ctap2.AuthenticatorData) {
			d.Flags &^= ctap2.FlagAT
			d.Credential = nil
		}),
		"another algorithm": inAuthData(func(d *ctap2.AuthenticatorData) { d.Credential = foreign.AuthenticatorData.Credential }),
		"unknown algorithm": inAuthData(func(d *ctap2.AuthenticatorData) { d.Credential.RawPublicKey = []byte{0xa2, 1, 9, 3, 9} }),
		"no hmac-secret":    inAuthData(func(d *ctap2.AuthenticatorData) { d.Extensions = extensions(t, map[string]any{"credProtect": 2}) }),
		"hmac-secret false": inAuthData(func(d *ctap2.AuthenticatorData) {
			d.Extensions = extensions(t, map[string]any{"credProtect": 2, "hmac-secret": false})
		}),
		"less credProtect": inAuthData(func(d *ctap2.AuthenticatorData) {
			d.Extensions = extensions(t, map[string]any{"credProtect": 1, "hmac-secret": true})
		}),
		"extensions of no type": inAuthData(func(d *ctap2.AuthenticatorData) { d.Extensions = extensions(t, map[string]any{"credProtect": "2"}) }),
		"no extensions":         inAuthData(func(d *ctap2.AuthenticatorData) { d.Extensions = nil; d.Flags &^= ctap2.FlagED }),
		"truncated":             func(r *ctap2.MakeCredentialResponse) { r.AuthData = r.AuthData[:len(r.AuthData)-1] },
		"trailing byte":         func(r *ctap2.MakeCredentialResponse) { r.AuthData = append(r.AuthData, 0) },
		"37 bytes":              func(r *ctap2.MakeCredentialResponse) { r.AuthData = r.AuthData[:37] },
		"no authenticator data": func(r *ctap2.MakeCredentialResponse) { r.AuthData = nil },
		"no format":             func(r *ctap2.MakeCredentialResponse) { r.Format = "" },
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{key: keyWithPIN(t, virtual.Config{})}
			_, ui := answers(t, "1234", "1234")
			a := openWire(t, w, ui)
			opts := credentialOptions()
			opts.UserVerification, opts.HMACSecret, opts.CredProtect = UVRequired, true, ctap2.CredProtectUVOptionalWithID
			w.lie = func(request, response []byte) []byte {
				if ctap2.Command(request[0]) != makeCredential {
					return response
				}
				return rewrite(t, response, lie)
			}
			cred, err := a.MakeCredential(t.Context(), opts)
			require.Nil(t, cred)
			require.Equal(t, KindProtocol, KindOf(err), "%v", err)
			w.lie = nil
			_, err = a.MakeCredential(t.Context(), opts)
			require.NoError(t, err, "the next good ceremony succeeds")
			left, _, err := a.PINRetries(t.Context())
			require.NoError(t, err)
			require.Equal(t, 8, left)
		})
	}
}

func TestLiesInAnAssertion(t *testing.T) {
	inAuthData := func(change func(*ctap2.AuthenticatorData)) func(*ctap2.GetAssertionResponse) {
		return func(r *ctap2.GetAssertionResponse) { r.AuthData = rewriteAuthData(t, r.AuthData, change) }
	}
	secret := func(n int) func(*ctap2.GetAssertionResponse) {
		return inAuthData(func(d *ctap2.AuthenticatorData) {
			d.Extensions = extensions(t, map[string]any{"hmac-secret": make([]byte, n)})
		})
	}
	for name, lie := range map[string]func(*ctap2.GetAssertionResponse){
		"another relying party":  inAuthData(func(d *ctap2.AuthenticatorData) { d.RPIDHash[31] ^= 0x80 }),
		"user not present":       inAuthData(func(d *ctap2.AuthenticatorData) { d.Flags &^= ctap2.FlagUP }),
		"user not verified":      inAuthData(func(d *ctap2.AuthenticatorData) { d.Flags &^= ctap2.FlagUV }),
		"another credential":     func(r *ctap2.GetAssertionResponse) { r.Credential.ID[0] ^= 1 },
		"empty credential ID":    func(r *ctap2.GetAssertionResponse) { r.Credential.ID = nil },
		"no credential":          func(r *ctap2.GetAssertionResponse) { r.Credential = nil },
		"2^32 credentials":       func(r *ctap2.GetAssertionResponse) { r.NumberOfCredentials = math.MaxUint32 },
		"2^64-1 credentials":     func(r *ctap2.GetAssertionResponse) { r.NumberOfCredentials = math.MaxUint64 },
		"one credential too few": func(r *ctap2.GetAssertionResponse) { r.NumberOfCredentials = 2 },
		"no signature":           func(r *ctap2.GetAssertionResponse) { r.Signature = nil },
		"user ID of 65 bytes":    func(r *ctap2.GetAssertionResponse) { r.User = &ctap2.User{ID: make([]byte, 65)} },
		"truncated":              func(r *ctap2.GetAssertionResponse) { r.AuthData = r.AuthData[:36] },
		"trailing byte":          func(r *ctap2.GetAssertionResponse) { r.AuthData = append(r.AuthData, 0) },
		"no secrets":             inAuthData(func(d *ctap2.AuthenticatorData) { d.Extensions = nil; d.Flags &^= ctap2.FlagED }),
		"empty secrets":          secret(0),
		"one secret":             secret(48),
		"odd secrets":            secret(79),
		"long secrets":           secret(96),
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{key: keyWithPIN(t, virtual.Config{})}
			_, ui := answers(t, "1234", "1234", "1234")
			a := openWire(t, w, ui)
			cred := register(t, a, func(o *CredentialOptions) { o.HMACSecret = true })
			opts := assertionOptions(cred)
			opts.AllowList = append(opts.AllowList, []byte("another"))
			opts.UserVerification = UVRequired
			opts.HMACSecretSalts = [][]byte{hash("a"), hash("b")}
			w.lie = func(request, response []byte) []byte {
				if ctap2.Command(request[0]) != getAssertion {
					return response
				}
				return rewrite(t, response, lie)
			}
			got, err := a.GetAssertions(t.Context(), opts)
			require.Error(t, err)
			require.Nil(t, got)
			if name != "one credential too few" { // that is the key's own error
				require.Equal(t, KindProtocol, KindOf(err), "%v", err)
			}
			w.lie = nil
			_, err = a.GetAssertions(t.Context(), opts)
			require.NoError(t, err, "the next good ceremony succeeds")
		})
	}
}

func TestResidentKeyWithoutUser(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	register(t, a, func(o *CredentialOptions) { o.ResidentKey = true })
	w.lie = func(request, response []byte) []byte {
		return rewrite(t, response, func(r *ctap2.GetAssertionResponse) { r.User = nil })
	}
	_, err := a.GetAssertions(t.Context(), assertionOptions())
	require.ErrorIs(t, err, ErrInvalidResponse)
}

// CTAP 2.0 keys may leave the credential out when there was only one to choose from.
func TestOmittedCredential(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	cred := register(t, a, nil)
	w.lie = func(request, response []byte) []byte {
		return rewrite(t, response, func(r *ctap2.GetAssertionResponse) { r.Credential = nil })
	}
	assertions, err := a.GetAssertions(t.Context(), assertionOptions(cred))
	require.NoError(t, err)
	require.Equal(t, cred.ID, assertions[0].CredentialID)
}

// A walk that never ends, or that changes its mind, ends.
func TestWalkIsBounded(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	register(t, a, func(o *CredentialOptions) { o.ResidentKey = true })
	var good []byte
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == getNextAssertion {
			return good
		}
		good = rewrite(t, response, func(r *ctap2.GetAssertionResponse) { r.NumberOfCredentials = maxAssertions })
		return good
	}
	all, err := a.GetAssertions(t.Context(), assertionOptions())
	require.NoError(t, err)
	require.Len(t, all, maxAssertions)
}

// Whatever the key answers to getInfo, New gives an error or a usable key.
func TestLiesAboutItself(t *testing.T) {
	for name, lie := range map[string]func(*ctap2.Info){
		"no versions":         func(i *ctap2.Info) { i.Versions = nil },
		"unknown versions":    func(i *ctap2.Info) { i.Versions = []string{"FIDO_7"} },
		"message size 0":      func(i *ctap2.Info) { i.MaxMsgSize = 0 },
		"message size 64":     func(i *ctap2.Info) { i.MaxMsgSize = 64 },
		"message size 2^64-1": func(i *ctap2.Info) { i.MaxMsgSize = math.MaxUint64 },
		"list size 2^64-1":    func(i *ctap2.Info) { i.MaxCredentialCountInList = math.MaxUint64 },
		"no options":          func(i *ctap2.Info) { i.Options = nil },
	} {
		t.Run(name, func(t *testing.T) {
			key, err := virtual.New(virtual.Config{})
			require.NoError(t, err)
			w := &wire{key: key, lie: infoLie(t, lie)}
			a, err := New(t.Context(), w, nil)
			if name == "no versions" {
				require.Equal(t, KindProtocol, KindOf(err))
				require.Equal(t, 1, w.closed, "nothing is left open")
				return
			}
			require.NoError(t, err)
			defer a.Close()
			cred := register(t, a, nil)
			_, err = a.GetAssertions(t.Context(), assertionOptions(cred))
			require.NoError(t, err)
		})
	}
}
