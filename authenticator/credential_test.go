package authenticator

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

func TestRegisterAndAuthenticate(t *testing.T) {
	for _, algorithm := range []cose.Algorithm{cose.ES256, cose.ES384, cose.ES512, cose.EdDSA, cose.RS256} {
		for _, resident := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v resident=%v", algorithm, resident), func(t *testing.T) {
				t.Parallel()
				a, w := open(t, virtual.Config{}, nil)
				cred := register(t, a, func(o *CredentialOptions) {
					o.Algorithms = []cose.Algorithm{algorithm}
					o.ResidentKey = resident
				})
				require.Equal(t, algorithm, cred.PublicKey.Algorithm)
				attestation, err := cred.Attestation.Verify(hash("create"))
				require.NoError(t, err)
				require.Equal(t, webauthn.AttestationSelf, attestation.Type)

				opts := assertionOptions(cred)
				if resident {
					opts.AllowList = nil
				}
				w.sent()
				assertions, err := a.GetAssertions(t.Context(), opts)
				require.NoError(t, err)
				require.Equal(t, []ctap2.Command{getAssertion}, w.sent())
				require.Len(t, assertions, 1)
				got := assertions[0]
				require.Equal(t, cred.ID, got.CredentialID)
				require.NoError(t, webauthn.VerifySignature(cred.PublicKey, got.AuthData, hash("get"), got.Signature))
				require.True(t, got.AuthenticatorData.Flags.Has(ctap2.FlagUP))
				if resident {
					require.Equal(t, []byte("user-1"), got.User.ID)
				}
			})
		}
	}
}

func TestAllResidentKeysAreReturnedNewestFirst(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	var want [][]byte
	for i := range 5 {
		cred := register(t, a, func(o *CredentialOptions) {
			o.ResidentKey = true
			o.User.ID = []byte{byte(i)}
		})
		want = append([][]byte{cred.ID}, want...)
	}
	w.sent()
	assertions, err := a.GetAssertions(t.Context(), assertionOptions())
	require.NoError(t, err)
	var got [][]byte
	for _, assertion := range assertions {
		got = append(got, assertion.CredentialID)
	}
	require.Equal(t, want, got)
	require.Equal(t, []ctap2.Command{getAssertion, getNextAssertion, getNextAssertion, getNextAssertion, getNextAssertion}, w.sent())
}

func TestExcludedCredential(t *testing.T) {
	a, _ := open(t, virtual.Config{}, nil)
	cred := register(t, a, nil)
	o := credentialOptions()
	o.ExcludeList = [][]byte{{1, 2, 3}, cred.ID}
	_, err := a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, ctap2.ErrCredentialExcluded)
	require.Equal(t, KindExcluded, KindOf(err))
}

func TestNoMatchingCredential(t *testing.T) {
	a, _ := open(t, virtual.Config{}, nil)
	register(t, a, nil) // not resident
	_, err := a.GetAssertions(t.Context(), assertionOptions())
	require.Equal(t, KindNoMatch, KindOf(err))

	opts := assertionOptions()
	opts.AllowList = [][]byte{make([]byte, 4096)} // no key can hold that
	register(t, a, func(o *CredentialOptions) { o.ResidentKey = true })
	_, err = a.GetAssertions(t.Context(), opts)
	require.Equal(t, KindNoMatch, KindOf(err), "a list of which nothing is left does not turn into no list")
}

func TestHMACSecret(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "1234", "1234", "1234")
	a, w := openKey(t, key, ui)
	cred := register(t, a, func(o *CredentialOptions) { o.HMACSecret = true })
	derive := func(uv UserVerification, salts ...string) [][]byte {
		opts := assertionOptions(cred)
		opts.UserVerification = uv
		for _, salt := range salts {
			opts.HMACSecretSalts = append(opts.HMACSecretSalts, hash(salt))
		}
		assertions, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Len(t, assertions[0].HMACSecrets, len(salts))
		return assertions[0].HMACSecrets
	}
	one := derive(UVDiscouraged, "a")
	require.Len(t, one[0], 32)
	w.sent()
	two := derive(UVDiscouraged, "b", "a")
	require.Equal(t, []ctap2.Command{getAssertion}, w.sent(), "the key agreement is kept")
	require.Equal(t, one[0], two[1], "the same salt gives the same secret")
	require.NotEqual(t, two[0], two[1])
	verified := derive(UVRequired, "a")
	require.NotEqual(t, one[0], verified[0], "another secret with user verification")
}

func TestSilentAssertion(t *testing.T) {
	touches := 0
	a, _ := open(t, virtual.Config{}, &UI{Notify: func(e Event) { touches++ }})
	cred := register(t, a, nil)
	touches = 0
	opts := assertionOptions(cred)
	opts.NoTouch = true
	assertions, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.False(t, assertions[0].AuthenticatorData.Flags.Has(ctap2.FlagUP))
	require.Zero(t, touches)
}

func TestCredProtect(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "1234", "1234")
	a, _ := openKey(t, key, ui)
	cred := register(t, a, func(o *CredentialOptions) { o.CredProtect = ctap2.CredProtectUVRequired })
	_, err := a.GetAssertions(t.Context(), assertionOptions(cred))
	require.Equal(t, KindNoMatch, KindOf(err), "the credential does not show itself")
	opts := assertionOptions(cred)
	opts.UserVerification = UVRequired
	_, err = a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
}

// What a key cannot do is found out before anything is sent.
func TestUnsupportedOptions(t *testing.T) {
	w := &wire{}
	var err error
	w.key, err = virtual.New(virtual.Config{Algorithms: []cose.Algorithm{cose.ES256}})
	require.NoError(t, err)
	w.lie = infoLie(t, func(info *ctap2.Info) {
		info.Extensions = nil
		info.Options["rk"] = false
	})
	a := openWire(t, w, nil)
	w.sent()
	for name, change := range map[string]func(*CredentialOptions){
		"resident key": func(o *CredentialOptions) { o.ResidentKey = true },
		"hmac-secret":  func(o *CredentialOptions) { o.HMACSecret = true },
		"credProtect":  func(o *CredentialOptions) { o.CredProtect = ctap2.CredProtectUVRequired },
		"algorithm":    func(o *CredentialOptions) { o.Algorithms = []cose.Algorithm{cose.RS256} },

		"secrets at once":        func(o *CredentialOptions) { o.HMACSecretSalts = [][]byte{hash("a")} },
		"credBlob":               func(o *CredentialOptions) { o.CredBlob = []byte{1} },
		"largeBlob":              func(o *CredentialOptions) { o.LargeBlob = ctap2.LargeBlobRequired },
		"minPinLength":           func(o *CredentialOptions) { o.MinPINLength = true },
		"pinComplexityPolicy":    func(o *CredentialOptions) { o.PINComplexityPolicy = true },
		"thirdPartyPayment":      func(o *CredentialOptions) { o.ThirdPartyPayment = true },
		"enterprise attestation": func(o *CredentialOptions) { o.EnterpriseAttestation = 1 },
	} {
		o := credentialOptions()
		change(o)
		_, err := a.MakeCredential(t.Context(), o)
		require.ErrorIs(t, err, ErrUnsupported, name)
		require.Equal(t, KindUnsupported, KindOf(err))
	}
	for name, change := range map[string]func(*AssertionOptions){
		"hmac-secret":       func(o *AssertionOptions) { o.HMACSecretSalts = [][]byte{hash("a")} },
		"credBlob":          func(o *AssertionOptions) { o.CredBlob = true },
		"largeBlobKey":      func(o *AssertionOptions) { o.LargeBlobKey = true },
		"largeBlob":         func(o *AssertionOptions) { o.LargeBlobRead = true },
		"thirdPartyPayment": func(o *AssertionOptions) { o.ThirdPartyPayment = true },
	} {
		opts := assertionOptions()
		change(opts)
		_, err = a.GetAssertions(t.Context(), opts)
		require.ErrorIs(t, err, ErrUnsupported, name)
	}
	require.Empty(t, w.sent())
}

// A key that knows the extension may still not take so much, or only with a resident key, which it has not.
func TestLimitsOfExtensions(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	w := &wire{key: key, lie: allKnowing(t, nil)}
	a := openWire(t, w, nil)
	w.sent()
	opts := credentialOptions()
	opts.CredBlob = make([]byte, 33)
	_, err = a.MakeCredential(t.Context(), opts)
	require.ErrorIs(t, err, ErrUnsupported)
	require.Empty(t, w.sent())
}

func TestInvalidOptions(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	w.sent()
	for name, change := range map[string]func(*CredentialOptions){
		"short hash":          func(o *CredentialOptions) { o.ClientDataHash = make([]byte, 31) },
		"no RP ID":            func(o *CredentialOptions) { o.RP.ID = "" },
		"no user ID":          func(o *CredentialOptions) { o.User.ID = nil },
		"long user ID":        func(o *CredentialOptions) { o.User.ID = make([]byte, 65) },
		"credProtect 4":       func(o *CredentialOptions) { o.CredProtect = 4 },
		"empty credential ID": func(o *CredentialOptions) { o.ExcludeList = [][]byte{nil} },

		"enterprise attestation 3":   func(o *CredentialOptions) { o.EnterpriseAttestation = 3 },
		"three salts":                func(o *CredentialOptions) { o.HMACSecretSalts = [][]byte{hash("a"), hash("b"), hash("c")} },
		"short salt":                 func(o *CredentialOptions) { o.HMACSecretSalts = [][]byte{hash("a")[:31]} },
		"largeBlobKey, not resident": func(o *CredentialOptions) { o.LargeBlobKey = true },
		"both kinds of large blobs": func(o *CredentialOptions) {
			o.ResidentKey, o.LargeBlobKey, o.LargeBlob = true, true, ctap2.LargeBlobPreferred
		},
		"unknown largeBlob": func(o *CredentialOptions) { o.LargeBlob = "maybe" },
	} {
		o := credentialOptions()
		change(o)
		_, err := a.MakeCredential(t.Context(), o)
		require.ErrorIs(t, err, ErrInvalidOptions, name)
	}
	for name, change := range map[string]func(*AssertionOptions){
		"long hash":           func(o *AssertionOptions) { o.ClientDataHash = make([]byte, 33) },
		"no RP ID":            func(o *AssertionOptions) { o.RPID = "" },
		"three salts":         func(o *AssertionOptions) { o.HMACSecretSalts = [][]byte{hash("a"), hash("b"), hash("c")} },
		"short salt":          func(o *AssertionOptions) { o.HMACSecretSalts = [][]byte{hash("a")[:31]} },
		"empty credential ID": func(o *AssertionOptions) { o.AllowList = [][]byte{{}} },

		"both kinds of large blobs": func(o *AssertionOptions) { o.LargeBlobKey, o.LargeBlobRead = true, true },
		"a large blob to read and to write": func(o *AssertionOptions) {
			o.AllowList, o.LargeBlobRead, o.LargeBlobWrite = [][]byte{{1}}, true, []byte{1}
		},
		"a large blob for nobody": func(o *AssertionOptions) { o.LargeBlobWrite = []byte{1} },
		"a large blob for two":    func(o *AssertionOptions) { o.AllowList, o.LargeBlobWrite = [][]byte{{1}, {2}}, []byte{1} },
		"a large blob beyond measure": func(o *AssertionOptions) {
			o.AllowList, o.LargeBlobWrite = [][]byte{{1}}, make([]byte, ctap2.MaxLargeBlob+1)
		},
	} {
		o := assertionOptions()
		change(o)
		_, err := a.GetAssertions(t.Context(), o)
		require.ErrorIs(t, err, ErrInvalidOptions, name)
	}
	require.Empty(t, w.sent())
}

// another returns the i-th ID, up to 254, that looks like id and is another.
func another(id []byte, i int) []byte {
	return append([]byte{id[0] + 1 + byte(i)}, id[1:]...)
}

// Lists that the key does not take at once are searched without a touch.
func TestOversizedLists(t *testing.T) {
	touches := 0
	a, w := open(t, virtual.Config{MaxCredentialCountInList: 2}, &UI{Notify: func(e Event) {
		if e.Kind == EventTouch {
			touches++
		}
	}})
	cred := register(t, a, nil)
	list := func(ours int) (ids [][]byte) {
		for i := range 7 {
			ids = append(ids, another(cred.ID, i))
		}
		if ours >= 0 {
			ids[ours] = cred.ID
		}
		return ids
	}
	for _, tc := range []struct{ ours, probes int }{{0, 1}, {3, 2}, {6, 4}, {-1, 4}} {
		t.Run(fmt.Sprintf("match at %d", tc.ours), func(t *testing.T) {
			touches = 0
			w.sent()
			opts := assertionOptions()
			opts.AllowList = list(tc.ours)
			_, err := a.GetAssertions(t.Context(), opts)
			require.Len(t, w.sent(), tc.probes+1)
			if tc.ours >= 0 {
				require.NoError(t, err)
				require.Equal(t, 1, touches)
			} else {
				require.Equal(t, KindNoMatch, KindOf(err))
			}

			touches = 0
			o := credentialOptions()
			o.ExcludeList = list(tc.ours)
			_, err = a.MakeCredential(t.Context(), o)
			if tc.ours >= 0 {
				require.Equal(t, KindExcluded, KindOf(err))
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, 1, touches)
		})
	}
}

// An error of the search is not taken for "not found".
func TestErrorWhileSearchingAList(t *testing.T) {
	a, w := open(t, virtual.Config{MaxCredentialCountInList: 1}, nil)
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == getAssertion {
			return []byte{byte(ctap2.ErrOther)}
		}
		return response
	}
	o := credentialOptions()
	o.ExcludeList = [][]byte{{1}, {2}}
	_, err := a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, ctap2.ErrOther)
	opts := assertionOptions()
	opts.AllowList = o.ExcludeList
	w.sent()
	_, err = a.GetAssertions(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrOther)
	require.Len(t, w.sent(), 1)
}

// A key that answers nothing without a touch gets the list in parts, with a touch.
func TestOversizedListOnAKeyThatRefusesSilence(t *testing.T) {
	a, w := open(t, virtual.Config{MaxCredentialCountInList: 2}, nil)
	cred := register(t, a, nil)
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == getAssertion && response[0] == 0 && len(w.commands) == 1 {
			return []byte{byte(ctap2.ErrUPRequired)} // as a YubiKey 4 that holds one of the list
		}
		return response
	}
	opts := assertionOptions()
	opts.AllowList = [][]byte{{1}, cred.ID, {2}}
	w.sent()
	assertions, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, cred.ID, assertions[0].CredentialID)
}

// A long list is cut by the size of the message as well.
func TestListsFitTheMessageSize(t *testing.T) {
	w := &wire{}
	var err error
	w.key, err = virtual.New(virtual.Config{})
	require.NoError(t, err)
	w.lie = infoLie(t, func(info *ctap2.Info) {
		info.MaxMsgSize = 1024
		info.MaxCredentialCountInList = 0
	})
	a := openWire(t, w, nil)
	cred := register(t, a, nil)
	opts := assertionOptions()
	for i := range 40 {
		opts.AllowList = append(opts.AllowList, another(cred.ID, i))
	}
	opts.AllowList = append(opts.AllowList, cred.ID)
	w.sent()
	_, err = a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.Greater(t, len(w.commands), 2)
	for _, request := range w.requests {
		require.LessOrEqual(t, len(request), 1024)
	}
}

// A CTAP 2.0 key cannot tell how many entries it takes, and says only that they were too many.
func TestListsOfKeysThatDoNotTellTheirLimit(t *testing.T) {
	t.Parallel()
	for name, pin := range map[string]string{"without a PIN": "", "with a PIN": "1234"} {
		c := virtual.Config{Version: virtual.CTAP20, MaxCredentialCountInList: 1}
		c.PIN.Initial = []byte(pin)
		_, ui := answers(t, pin, pin, pin)
		a, w := open(t, c, ui)
		opts := credentialOptions()
		cred, err := a.MakeCredential(t.Context(), opts)
		require.NoError(t, err, name)

		list := [][]byte{bytes.Repeat([]byte{1}, 64), bytes.Repeat([]byte{2}, 64), cred.ID, bytes.Repeat([]byte{3}, 64)}
		opts.ExcludeList = list
		_, err = a.MakeCredential(t.Context(), opts)
		require.ErrorIs(t, err, ctap2.ErrCredentialExcluded, name)

		w.sent()
		all, err := a.GetAssertions(t.Context(), &AssertionOptions{RPID: "example.org", ClientDataHash: hash("get"), AllowList: list})
		require.NoError(t, err, name)
		require.Equal(t, cred.ID, all[0].CredentialID, name)
		require.Equal(t, 5, count(w.sent(), getAssertion), "all at once, three alone, and the one that is there")
	}
}

// A key without a button is not asked for silence, which it cannot do without.
func TestProbesOfAKeyWithoutAButton(t *testing.T) {
	t.Parallel()
	a, w := open(t, virtual.Config{}, nil)
	cred, err := a.MakeCredential(t.Context(), credentialOptions())
	require.NoError(t, err)
	w.lie = infoLie(t, func(info *ctap2.Info) {
		info.Options["up"] = false
		info.MaxCredentialCountInList = 1
	})
	require.NoError(t, a.refresh(t.Context()))
	w.sent()
	_, err = a.GetAssertions(t.Context(), &AssertionOptions{
		RPID: "example.org", ClientDataHash: hash("get"), AllowList: [][]byte{{1}, cred.ID},
	})
	require.NoError(t, err)
	require.NotEmpty(t, w.requests)
	for _, request := range w.requests {
		require.False(t, bytes.Contains(request, []byte("bup")), "%x", request)
	}
}
