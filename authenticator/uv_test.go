package authenticator

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestDecideUV(t *testing.T) {
	type options = map[string]bool
	var (
		bare      = options{}
		noPIN     = options{"clientPin": false, "pinUvAuthToken": true, "makeCredUvNotRqd": true}
		pin20     = options{"clientPin": true}
		pin21     = options{"clientPin": true, "pinUvAuthToken": true, "makeCredUvNotRqd": true}
		strict21  = options{"clientPin": true, "pinUvAuthToken": true}
		always    = options{"clientPin": true, "pinUvAuthToken": true, "makeCredUvNotRqd": true, "alwaysUv": true}
		alwaysOff = options{"clientPin": false, "pinUvAuthToken": true, "alwaysUv": true}
		bio20     = options{"uv": true}
		bio21     = options{"uv": true, "clientPin": true, "pinUvAuthToken": true, "makeCredUvNotRqd": true}
		unset     = options{"uv": false, "clientPin": true, "pinUvAuthToken": true, "makeCredUvNotRqd": true}
		noMcGa    = options{"clientPin": true, "pinUvAuthToken": true, "noMcGaPermissionsWithClientPin": true}
	)
	create := uvQuestion{create: true}
	resident := uvQuestion{create: true, resident: true}
	get := uvQuestion{}
	silent := uvQuestion{silent: true}
	for _, tc := range []struct {
		name                             string
		options                          options
		q                                uvQuestion
		discouraged, preferred, required uvMethod
	}{
		{"nothing, create", bare, create, uvNone, uvNone, uvImpossible},
		{"nothing, get", bare, get, uvNone, uvNone, uvImpossible},
		{"PIN not set, create", noPIN, create, uvNone, uvNone, uvImpossible},
		{"PIN not set, resident", noPIN, resident, uvNone, uvNone, uvImpossible},
		{"2.0 with PIN, create", pin20, create, uvPIN, uvPIN, uvPIN},
		{"2.0 with PIN, get", pin20, get, uvNone, uvPIN, uvPIN},
		{"2.1 with PIN, create", pin21, create, uvNone, uvPIN, uvPIN},
		{"2.1 with PIN, resident", pin21, resident, uvPIN, uvPIN, uvPIN},
		{"2.1 with PIN, get", pin21, get, uvNone, uvPIN, uvPIN},
		{"2.1 strict, create", strict21, create, uvPIN, uvPIN, uvPIN},
		{"alwaysUv, create", always, create, uvPIN, uvPIN, uvPIN},
		{"alwaysUv, get", always, get, uvPIN, uvPIN, uvPIN},
		{"alwaysUv, silent", always, silent, uvNone, uvPIN, uvPIN},
		{"alwaysUv, nothing set up, create", alwaysOff, create, uvImpossible, uvImpossible, uvImpossible},
		{"alwaysUv, nothing set up, get", alwaysOff, get, uvImpossible, uvImpossible, uvImpossible},
		{"2.0 fingerprint, create", bio20, create, uvOption, uvOption, uvOption},
		{"2.0 fingerprint, get", bio20, get, uvNone, uvOption, uvOption},
		{"2.1 fingerprint, create", bio21, create, uvNone, uvToken, uvToken},
		{"2.1 fingerprint, resident", bio21, resident, uvToken, uvToken, uvToken},
		{"2.1 fingerprint, get", bio21, get, uvNone, uvToken, uvToken},
		{"fingerprint not set up", unset, get, uvNone, uvPIN, uvPIN},
		{"PIN not for credentials", noMcGa, create, uvRefused, uvRefused, uvRefused},
		{"PIN not for credentials, get", noMcGa, get, uvNone, uvRefused, uvRefused},
	} {
		for wish, want := range []uvMethod{tc.discouraged, tc.preferred, tc.required} {
			tc.q.wish = UserVerification(wish)
			require.Equal(t, want, decideUV(&ctap2.Info{Options: tc.options}, tc.q), "%s, wish %d", tc.name, wish)
		}
	}
}

// reader is a fingerprint reader that fails as often as it is told to.
type reader struct{ failures, used int }

func (r *reader) verify(context.Context, virtual.Prompt) error {
	r.used++
	if r.failures > 0 {
		r.failures--
		return errors.New("another finger")
	}
	return nil
}

func TestFingerprintInsteadOfPIN(t *testing.T) {
	finger := &reader{}
	var events []Event
	a, w := open(t, virtual.Config{UserVerification: finger.verify}, &UI{Notify: func(e Event) { events = append(events, e) }})
	w.sent()
	cred := register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, 1, finger.used)
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, makeCredential}, w.sent())
	require.Equal(t, TouchToVerify, events[0].Touch)
}

func TestFailedFingerprintFallsBackToThePIN(t *testing.T) {
	for _, attempts := range []uint64{0, 1, 3} { // 3 blocks the reader
		t.Run(fmt.Sprintf("%d attempts", attempts), func(t *testing.T) {
			finger := &reader{}
			key := keyWithPIN(t, virtual.Config{UserVerification: finger.verify})
			finger.failures, finger.used = 99, 0
			p, ui := answers(t, "1234")
			w := &wire{key: key, lie: infoLie(t, func(i *ctap2.Info) { i.PreferredPlatformUVAttempts = attempts })}
			a := openWire(t, w, ui)
			cred := register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
			require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
			require.Equal(t, []PINReason{PINNeeded}, p.reasons())
			require.EqualValues(t, max(1, attempts), finger.used)
		})
	}
}

func TestFailedFingerprintWithoutPIN(t *testing.T) {
	finger := &reader{failures: 99}
	a, _ := open(t, virtual.Config{UserVerification: finger.verify}, nil)
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.Equal(t, KindUVFailed, KindOf(err))
}

func TestPreferredPlatformUVAttempts(t *testing.T) {
	finger := &reader{}
	key := keyWithPIN(t, virtual.Config{UserVerification: finger.verify})
	finger.failures = 1
	w := &wire{key: key, lie: infoLie(t, func(i *ctap2.Info) { i.PreferredPlatformUVAttempts = 2 })}
	a := openWire(t, w, nil)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, 2, finger.used)
}

// A CTAP 2.0 key with a fingerprint reader is told to use it by an option, and the PIN steps in when that fails.
func TestBuiltInUVOfCTAP20(t *testing.T) {
	finger := &reader{}
	key := keyWithPIN(t, virtual.Config{UserVerification: finger.verify})
	finger.used = 0
	w := &wire{key: key, lie: infoLie(t, asCTAP20)}
	p, ui := answers(t, "1234")
	a := openWire(t, w, ui)
	w.sent()
	cred := register(t, a, nil)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, []ctap2.Command{makeCredential}, w.sent())
	require.Equal(t, 1, finger.used)

	finger.failures = 99
	register(t, a, nil)
	require.Equal(t, []PINReason{PINNeeded}, p.reasons())
}

// A key that wants the PIN although nothing says so gets it.
func TestUnexpectedPINRequired(t *testing.T) {
	p, ui := answers(t, "1234")
	w := &wire{key: keyWithPIN(t, virtual.Config{MakeCredUVRequired: true})}
	w.lie = infoLie(t, func(i *ctap2.Info) { i.Options["makeCredUvNotRqd"] = true })
	a := openWire(t, w, ui)
	w.sent()
	register(t, a, nil)
	require.Equal(t, []ctap2.Command{makeCredential, clientPIN, clientPIN, makeCredential}, w.sent())
	require.Equal(t, []PINReason{PINNeeded}, p.reasons())
}

func TestAlwaysUV(t *testing.T) {
	_, ui := answers(t, "1234", "1234")
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{AlwaysUV: true}), ui)
	cred := register(t, a, nil)
	_, err := a.GetAssertions(t.Context(), assertionOptions(cred))
	require.NoError(t, err)
}

func TestBuiltInUVOfCTAP20FailsWithoutPIN(t *testing.T) {
	finger := &reader{failures: 99}
	key, err := virtual.New(virtual.Config{UserVerification: finger.verify})
	require.NoError(t, err)
	a := openWire(t, &wire{key: key, lie: infoLie(t, asCTAP20)}, nil)
	cred, err := a.MakeCredential(t.Context(), credentialOptions())
	require.Error(t, err)
	require.Nil(t, cred)
}

// A user who says no on the key is not asked for the PIN instead.
func TestRefusalIsNoFallback(t *testing.T) {
	refusing := false
	key := keyWithPIN(t, virtual.Config{UserVerification: func(context.Context, virtual.Prompt) error {
		if refusing {
			return ctap2.ErrOperationDenied
		}
		return nil
	}})
	refusing = true
	_, ui := answers(t)
	a, _ := openKey(t, key, ui)
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.Equal(t, KindCancelled, KindOf(err))
}
