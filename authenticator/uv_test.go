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
			require.Equal(t, []PINReason{PINInsteadOfUV}, p.reasons())
			require.EqualValues(t, max(1, attempts), finger.used)
		})
	}
}

// The user hears of each failure, with what is left.
func TestUVRetries(t *testing.T) {
	finger := &reader{}
	key := keyWithPIN(t, virtual.Config{UserVerification: finger.verify})
	finger.failures = 99
	_, ui := answers(t, "1234")
	var failed []Event
	ui.Notify = func(e Event) {
		if e.Kind == EventUVFailed {
			failed = append(failed, e)
		}
	}
	w := &wire{key: key, lie: infoLie(t, func(i *ctap2.Info) { i.PreferredPlatformUVAttempts = 2 })}
	a := openWire(t, w, ui)
	left, err := a.UVRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, left)
	w.lie = func(request, response []byte) []byte {
		if ctap2.Command(request[0]) == clientPIN && subcommand(request) == ctap2.SubcommandGetUVRetries && len(failed) == 1 {
			return []byte{byte(ctap2.ErrOther)}
		}
		return response
	}
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, []Event{{Kind: EventUVFailed, UVRetries: 2}, {Kind: EventUVFailed, UVRetries: -1}}, failed)

	a, _ = open(t, virtual.Config{}, nil)
	_, err = a.UVRetries(t.Context())
	require.ErrorIs(t, err, ErrUnsupported)
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
	require.Equal(t, []PINReason{PINInsteadOfUV}, p.reasons())
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
	require.NotErrorIs(t, err, ErrUVNotConfigured, "it is")
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
