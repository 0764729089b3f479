package authenticator

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

func TestPINIsAskedForAndUsed(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "1234", "1234")
	a, _ := openKey(t, key, ui)
	cred := register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	opts := assertionOptions(cred)
	opts.UserVerification = UVPreferred
	assertions, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.True(t, assertions[0].AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, []PINReason{PINNeeded, PINNeeded}, p.reasons())
	require.Equal(t, 4, p.requests[0].MinLength)
}

// Opening costs getInfo (and INIT, which this wire does not have); a PIN key agreement and a token. An hmac-secret uses
// the key agreement that is there.
func TestRoundTrips(t *testing.T) {
	for _, protocol := range []ctap2.PINProtocol{ctap2.PINProtocol1, ctap2.PINProtocol2} {
		key := keyWithPIN(t, virtual.Config{PINUVAuthProtocols: []ctap2.PINProtocol{protocol}})
		_, ui := answers(t, "1234", "1234", "1234")
		a, w := openKey(t, key, ui)
		cred := register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired; o.HMACSecret = true })
		require.Equal(t, []ctap2.Command{getInfo, clientPIN, clientPIN, makeCredential}, w.sent())
		opts := assertionOptions(cred)
		opts.UserVerification = UVRequired
		_, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, []ctap2.Command{clientPIN, clientPIN, getAssertion}, w.sent())
		opts.HMACSecretSalts = [][]byte{hash("salt")}
		_, err = a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, []ctap2.Command{clientPIN, clientPIN, getAssertion}, w.sent())
		opts.UserVerification = UVDiscouraged
		_, err = a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, []ctap2.Command{getAssertion}, w.sent())
		opts.HMACSecretSalts = nil
		_, err = a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, []ctap2.Command{getAssertion}, w.sent())
	}
}

// another program enters a wrong PIN, at which the key makes a new key pair.
func wrongPINElsewhere(t *testing.T, key *virtual.Authenticator) {
	t.Helper()
	other, err := New(t.Context(), &wire{key: key}, nil)
	require.NoError(t, err)
	defer other.Close()
	require.Error(t, other.ChangePIN(t.Context(), []byte("9876"), []byte("5678")))
}

func TestRightPINCostsNoRetryAfterAnotherProgramsWrongOne(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "1234", "1234", "1234")
	a, _ := openKey(t, key, ui)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	wrongPINElsewhere(t, key)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, []PINReason{PINNeeded, PINNeeded}, p.reasons())
	wrongPINElsewhere(t, key)
	require.NoError(t, a.ChangePIN(t.Context(), []byte("1234"), []byte("5678")))
}

func TestHMACSecretAfterAnotherProgramsWrongPIN(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	a, w := openKey(t, key, nil)
	cred := register(t, a, func(o *CredentialOptions) { o.HMACSecret = true })
	opts := assertionOptions(cred)
	opts.HMACSecretSalts = [][]byte{hash("salt")}
	first, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	wrongPINElsewhere(t, key)
	w.sent()
	second, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, first[0].HMACSecrets, second[0].HMACSecrets)
	require.Equal(t, []ctap2.Command{getAssertion, clientPIN, getAssertion}, w.sent())

	// It is tried again only once, and not if the secret was new.
	w.lie = func(request, response []byte) []byte {
		if request[0] == byte(getAssertion) {
			return []byte{byte(ctap2.ErrPINAuthInvalid)}
		}
		return response
	}
	_, err = a.GetAssertions(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	require.Equal(t, []ctap2.Command{getAssertion, clientPIN, getAssertion}, w.sent())
	_, err = a.GetAssertions(t.Context(), opts)
	require.ErrorIs(t, err, ctap2.ErrPINAuthInvalid)
	require.Equal(t, []ctap2.Command{clientPIN, getAssertion}, w.sent())
}

// A PIN that was wrong may be the right one after somebody else has changed it.
func TestRejectedPINThatBecameRight(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "5678", "1234", "5678")
	w := &wire{key: key, lie: func(request, response []byte) []byte {
		if ctap2.Command(request[0]) != clientPIN || subcommand(request) != ctap2.SubcommandGetPINRetries {
			return response
		}
		return rewrite(t, response, func(r *ctap2.ClientPINResponse) { *r.PINRetries -= 3 }) // it never has more than 5
	}}
	a := openWire(t, w, ui)
	require.Error(t, a.ChangePIN(t.Context(), []byte("5678"), []byte("0000")))
	other, _ := openKey(t, key, nil)
	require.NoError(t, other.ChangePIN(t.Context(), []byte("1234"), []byte("5678")))
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, []PINReason{PINNeeded}, p.reasons())
	require.NoError(t, a.ChangePIN(t.Context(), []byte("5678"), []byte("1234")))
}

func TestWrongPINIsAskedAgainWithTheRetriesLeft(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "0000", "1111", "1234")
	p.ask = true
	a, _ := openKey(t, key, ui)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, []PINReason{PINNeeded, PINInvalid, PINInvalid}, p.reasons())
	require.Equal(t, []int{8, 7, 6}, p.retries)
	left, powerCycle, err := a.PINRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 8, left, "the right PIN resets the counter")
	require.False(t, powerCycle)
}

func TestRejectedPINIsNeverSentAgain(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "0000", "0000", "0000", "0000")
	a, _ := openKey(t, key, ui)
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.Equal(t, KindPINInvalid, KindOf(err))
	require.Equal(t, []PINReason{PINNeeded, PINInvalid, PINRepeated, PINRepeated}, p.reasons())
	left, _, err := a.PINRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, left)

	// Nor in the next operation, nor to change it.
	p.pins = []string{"0000", "0000", "1234"}
	_, err = a.MakeCredential(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, KindPINInvalid, KindOf(func() error {
		key := keyWithPIN(t, virtual.Config{})
		a, w := openKey(t, key, nil)
		require.Error(t, a.ChangePIN(t.Context(), []byte("9999"), []byte("5678")))
		w.sent()
		err := a.ChangePIN(t.Context(), []byte("9999"), []byte("5678"))
		require.Equal(t, []ctap2.Command{clientPIN}, w.sent(), "only the retries are asked for")
		return err
	}()))
}

func TestPINsOfImpossibleLengthAreNotSent(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	p, ui := answers(t, "123", strings.Repeat("x", 64), "1234", "", "éé", "a\x00bcd")
	a, w := openKey(t, key, ui)
	w.sent()
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []PINReason{PINNeeded, PINTooShort, PINTooLong}, p.reasons())
	_, err = a.MakeCredential(t.Context(), o)
	require.Equal(t, KindPINPolicy, KindOf(err), "it gives up after three")
	require.Empty(t, p.pins)
	left, _, err := a.PINRetries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 8, left)
}

func TestPINLockAndBlock(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "0001", "0002", "0003")
	a, _ := openKey(t, key, ui)
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.Equal(t, KindPINLocked, KindOf(err))
	var failure *PINError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 5, failure.Retries)
	require.True(t, failure.PowerCycle)
	require.ErrorContains(t, err, "unplug the key")

	for range 2 {
		key.PowerCycle()
		a, _ = openKey(t, key, nil)
		for _, wrong := range []string{"0001", "0002", "0003"} {
			err = a.ChangePIN(t.Context(), []byte(wrong), []byte("5678"))
			require.Error(t, err)
		}
	}
	require.Equal(t, KindPINBlocked, KindOf(err))
	require.ErrorContains(t, err, "reset")
	key.PowerCycle()
	a, _ = openKey(t, key, nil)
	err = a.ChangePIN(t.Context(), []byte("1234"), []byte("5678"))
	require.Equal(t, KindPINBlocked, KindOf(err), "not even the right PIN")
}

func TestNobodyToAsk(t *testing.T) {
	a, _ := openKey(t, keyWithPIN(t, virtual.Config{}), nil)
	o := credentialOptions()
	o.ResidentKey = true // wants the PIN on this key
	_, err := a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, ErrPINRequired)
	require.Equal(t, KindPINRequired, KindOf(err))

	a, _ = open(t, virtual.Config{}, nil)
	o.UserVerification = UVRequired
	_, err = a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, ErrUVNotConfigured)
	require.Equal(t, KindPINNotSet, KindOf(err))
}

func TestErrorOfThePINCallbackEndsTheOperation(t *testing.T) {
	giveUp := errors.New("user pressed Esc")
	a, w := openKey(t, keyWithPIN(t, virtual.Config{}), &UI{
		PIN: func(context.Context, *PINRequest) ([]byte, error) { return nil, giveUp },
	})
	w.sent()
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, giveUp)
	require.Empty(t, w.sent(), "the PIN is asked for before anything is sent")
}

func TestPINAnsweredTooLateIsNotUsed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, w := openKey(t, keyWithPIN(t, virtual.Config{}), &UI{
		PIN: func(context.Context, *PINRequest) ([]byte, error) { cancel(); return []byte("1234"), nil },
	})
	w.sent()
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, w.sent())
}

func TestSetAndChangePIN(t *testing.T) {
	a, w := open(t, virtual.Config{}, nil)
	w.sent()
	for name, pin := range map[string]string{
		"three characters":           "123",
		"three in four bytes":        "é12",
		"four that compose to two":   "e\u0301e\u0301",
		"64 bytes":                   strings.Repeat("x", 64),
		"32 characters of two bytes": strings.Repeat("é", 32),
		"no UTF-8":                   "12\xff45",
		"NUL":                        "1234\x00",
	} {
		err := a.SetPIN(t.Context(), []byte(pin))
		require.Equal(t, KindPINPolicy, KindOf(err), name)
	}
	require.Empty(t, w.sent(), "nothing was sent")

	require.Equal(t, KindPINNotSet, KindOf(a.ChangePIN(t.Context(), []byte("1234"), []byte("5678"))))
	decomposed, composed := []byte("cafe\u0301s"), []byte("caf\u00e9s")
	require.NoError(t, a.SetPIN(t.Context(), decomposed))
	require.Equal(t, "cafe\u0301s", string(decomposed), "the caller's slice is untouched")
	set, _ := a.Info().Option("clientPin")
	require.True(t, set)
	require.NoError(t, a.ChangePIN(t.Context(), composed, []byte("5678")), "both forms are the same PIN")
	require.Error(t, a.SetPIN(t.Context(), []byte("1234")), "it is set already")

	require.Equal(t, KindPINPolicy, KindOf(a.ChangePIN(t.Context(), []byte("5678"), []byte("123"))))

	err := a.ChangePIN(t.Context(), []byte("1234"), []byte("9999"))
	var failure *PINError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, PINError{Status: ctap2.ErrPINInvalid, Retries: 7}, *failure)
	require.EqualError(t, failure, "PIN invalid (7 retries left)")
	require.ErrorIs(t, err, ctap2.ErrPINInvalid)
	require.NoError(t, a.ChangePIN(t.Context(), []byte("5678"), []byte("1234")))
	require.NoError(t, a.ChangePIN(t.Context(), []byte("1234"), []byte("0000")), "a PIN that was wrong once may be right now")
}

// An error that is not about the PIN stays what it is.
func TestOtherErrorsOfPINCommands(t *testing.T) {
	w := &wire{key: keyWithPIN(t, virtual.Config{})}
	_, ui := answers(t, "1234")
	a := openWire(t, w, ui)
	w.lie = func(request, response []byte) []byte {
		if request[0] == byte(clientPIN) && request[5] != byte(ctap2.SubcommandGetKeyAgreement) {
			return []byte{byte(ctap2.ErrNotAllowed)}
		}
		return response
	}
	var failure *PINError
	err := a.ChangePIN(t.Context(), []byte("1234"), []byte("5678"))
	require.ErrorIs(t, err, ctap2.ErrNotAllowed)
	require.False(t, errors.As(err, &failure))
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err = a.MakeCredential(t.Context(), o)
	require.ErrorIs(t, err, ctap2.ErrNotAllowed)
	require.False(t, errors.As(err, &failure))
}

// When the answer to setPIN is lost, the next operation finds out whether there is a PIN.
func TestLostAnswerToSetPIN(t *testing.T) {
	_, ui := answers(t, "1234")
	a, w := open(t, virtual.Config{}, ui)
	w.lie = func(request, response []byte) []byte {
		if request[0] == byte(clientPIN) && request[5] == byte(ctap2.SubcommandSetPIN) {
			return nil
		}
		return response
	}
	require.Equal(t, KindProtocol, KindOf(a.SetPIN(t.Context(), []byte("1234"))))
	w.lie = nil
	w.sent()
	o := credentialOptions()
	o.UserVerification = UVRequired
	_, err := a.MakeCredential(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []ctap2.Command{getInfo, clientPIN, clientPIN, makeCredential}, w.sent())
	_, err = a.GetAssertions(t.Context(), assertionOptions())
	require.Equal(t, KindNoMatch, KindOf(err))
	require.Equal(t, []ctap2.Command{getAssertion}, w.sent(), "once is enough")
}

func TestKeysWithoutPINs(t *testing.T) {
	a, _ := open(t, virtual.Config{NoClientPIN: true}, nil)
	require.Equal(t, KindUnsupported, KindOf(a.SetPIN(t.Context(), []byte("1234"))))
	_, _, err := a.PINRetries(t.Context())
	require.Equal(t, KindUnsupported, KindOf(err))
}

// A CTAP 2.0 key knows neither permissions nor makeCredUvNotRqd.
func TestCTAP20KeyWithPIN(t *testing.T) {
	w := &wire{key: keyWithPIN(t, virtual.Config{PINUVAuthProtocols: []ctap2.PINProtocol{1}}), lie: infoLie(t, asCTAP20)}
	_, ui := answers(t, "1234")
	a := openWire(t, w, ui)
	w.sent()
	cred := register(t, a, nil)
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, makeCredential}, w.commands)
	require.Equal(t, byte(ctap2.SubcommandGetPINToken), w.requests[1][5], "the subcommand of CTAP 2.0")
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	w.sent()
	_, err := a.GetAssertions(t.Context(), assertionOptions(cred))
	require.NoError(t, err)
	require.Equal(t, []ctap2.Command{getAssertion}, w.sent())
}
