package authenticator

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// choosing answers questions for new PINs, then fails the test.
type choosing struct {
	t        *testing.T
	pins     []string
	requests []NewPINRequest
}

func (c *choosing) pin(_ context.Context, req *NewPINRequest) ([]byte, error) {
	require.NotEmpty(c.t, c.pins, "asked once too often: %+v", req)
	c.requests = append(c.requests, *req)
	answer := c.pins[0]
	c.pins = c.pins[1:]
	return []byte(answer), nil
}

func (c *choosing) reasons() (reasons []NewPINReason) {
	for _, r := range c.requests {
		reasons = append(reasons, r.Reason)
	}
	return reasons
}

// chooses is a user who knows the old PINs and answers with the new ones.
func chooses(t *testing.T, old []string, chosen ...string) (*answering, *choosing, *UI) {
	p, ui := answers(t, old...)
	c := &choosing{t: t, pins: chosen}
	ui.NewPIN = c.pin
	return p, c, ui
}

func verifiedOptions() *CredentialOptions {
	o := credentialOptions()
	o.UserVerification = UVRequired
	return o
}

// refusing answers the next commands that send a new PIN with the status, so many times, without looking at them.
func refusing(times int, status ctap2.Status) virtual.Faults {
	return virtual.Faults{Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		if ctap2.Command(request[0]) != clientPIN {
			return run()
		}
		sub := subcommand(request)
		if sends := sub == ctap2.SubcommandSetPIN || sub == ctap2.SubcommandChangePIN; !sends || times == 0 {
			return run()
		}
		times--
		return []byte{byte(status)}
	}}
}

// forcing makes a key want another PIN until the PIN is changed.
func forcing(t *testing.T, key *virtual.Authenticator) *wire {
	forced := true
	return &wire{key: key, lie: func(request, response []byte) []byte {
		switch ctap2.Command(request[0]) {
		case getInfo:
			return rewrite(t, response, func(i *ctap2.Info) { i.ForcePINChange = forced })
		case clientPIN:
			forced = forced && !(subcommand(request) == ctap2.SubcommandChangePIN && response[0] == 0)
		}
		return response
	}}
}

func TestFirstPINIsSetOnTheWay(t *testing.T) {
	_, c, ui := chooses(t, nil, "123", strings.Repeat("x", 64), "12\xff45", "1234")
	a, w := open(t, virtual.Config{}, ui)
	w.sent()
	cred, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, []NewPINReason{NewPINNotSet, NewPINTooShort, NewPINTooLong, NewPINTooLong}, c.reasons())
	require.Equal(t, []ctap2.Command{clientPIN, clientPIN, clientPIN, clientPIN, makeCredential}, w.sent())
	require.True(t, isOn(a.Info(), "clientPin"))
	require.Equal(t, 4, c.requests[0].MinLength)
	require.Equal(t, 63, c.requests[0].MaxLength)
}

// A preference is no reason to ask for a PIN that is not there.
func TestFirstPINIsNotSetForAPreference(t *testing.T) {
	_, _, ui := chooses(t, nil)
	a, _ := open(t, virtual.Config{}, ui)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVPreferred })
}

func TestNewPINOnAKeyThatCannotHaveOne(t *testing.T) {
	_, _, ui := chooses(t, nil)
	a, _ := open(t, virtual.Config{NoClientPIN: true}, ui)
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.ErrorIs(t, err, ErrUVNotConfigured)
}

func TestNewPINAgainstThePolicyIsAskedForAgain(t *testing.T) {
	_, c, ui := chooses(t, nil, "0000", "11111111111", "1234")
	key, err := virtual.New(virtual.Config{Faults: refusing(1, ctap2.ErrPINPolicyViolation)})
	require.NoError(t, err)
	policy := true
	a := openWire(t, &wire{key: key, lie: infoLie(t, func(i *ctap2.Info) {
		i.PINComplexityPolicy, i.PINComplexityPolicyURL, i.MaxPINLength = &policy, []byte("https://example.org/pin"), 10
	})}, ui)
	_, err = a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.Equal(t, []NewPINRequest{
		{MinLength: 4, MaxLength: 10, Policy: true, PolicyURL: "https://example.org/pin"},
		{Reason: NewPINRejected, MinLength: 4, MaxLength: 10, Policy: true, PolicyURL: "https://example.org/pin"},
		{Reason: NewPINTooLong, MinLength: 4, MaxLength: 10, Policy: true, PolicyURL: "https://example.org/pin"},
	}, c.requests)
}

func TestKeyThatTakesNoPINAtAll(t *testing.T) {
	_, c, ui := chooses(t, nil, "1111", "2222", "3333", "4444", "5555")
	a, _ := open(t, virtual.Config{Faults: refusing(99, ctap2.ErrPINPolicyViolation)}, ui)
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.Equal(t, KindPINPolicy, KindOf(err))
	require.Empty(t, c.pins)

	_, _, ui = chooses(t, nil, "1111")
	a, _ = open(t, virtual.Config{Faults: refusing(99, ctap2.ErrOther)}, ui)
	_, err = a.MakeCredential(t.Context(), verifiedOptions())
	require.ErrorIs(t, err, ctap2.ErrOther, "which is not about the PIN")
}

func TestErrorOfTheNewPINCallbackEndsTheOperation(t *testing.T) {
	giveUp := errors.New("user pressed Esc")
	a, w := open(t, virtual.Config{}, &UI{
		NewPIN: func(context.Context, *NewPINRequest) ([]byte, error) { return []byte("1234"), giveUp },
	})
	w.sent()
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.ErrorIs(t, err, giveUp)
	require.Empty(t, w.sent())
}

func TestForcedPINChange(t *testing.T) {
	p, c, ui := chooses(t, []string{"0000", "1234"}, "abcd", "1111", "5678")
	key := keyWithPIN(t, virtual.Config{Faults: virtual.Faults{Answer: refuseChange(2)}})
	a := openWire(t, forcing(t, key), ui)
	cred, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.True(t, cred.AuthenticatorData.Flags.Has(ctap2.FlagUV))
	require.Equal(t, []PINReason{PINNeeded, PINInvalid}, p.reasons())
	require.Equal(t, []NewPINReason{NewPINForced, NewPINForced, NewPINRejected}, c.reasons())
	require.False(t, a.Info().ForcePINChange)
	require.NoError(t, a.ChangePIN(t.Context(), []byte("5678"), []byte("1234")), "the last one is the PIN now")
}

// refuseChange refuses the nth changePIN, counted from 1, for the new PIN.
func refuseChange(n int) func(ctaphid.Command, []byte, func() []byte) []byte {
	return func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		if ctap2.Command(request[0]) == clientPIN && subcommand(request) == ctap2.SubcommandChangePIN {
			if n--; n == 0 {
				return []byte{byte(ctap2.ErrPINPolicyViolation)}
			}
		}
		return run()
	}
}

func TestForcedPINChangeWithNobodyToAsk(t *testing.T) {
	_, ui := answers(t)
	w := forcing(t, keyWithPIN(t, virtual.Config{}))
	a := openWire(t, w, ui)
	w.sent()
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.Equal(t, KindPINPolicy, KindOf(err))
	require.Empty(t, w.sent())
	require.NoError(t, a.ChangePIN(t.Context(), []byte("1234"), []byte("5678")))
	require.False(t, a.Info().ForcePINChange)
}

func TestPolicyURL(t *testing.T) {
	for address, want := range map[string]string{
		"":                               "",
		"https://example.org/pin?v=1":    "https://example.org/pin?v=1",
		"http://example.org":             "http://example.org",
		"ftp://example.org":              "",
		"javascript:alert(1)":            "",
		"https:":                         "",
		"example.org":                    "",
		"https://example.org/\x1b[31m":   "",
		"https://example.org/\n":         "",
		"https://example.org/\xff\u202e": "https://example.org/%FF%E2%80%AE",
	} {
		require.Equal(t, want, webAddress([]byte(address)), "%q", address)
	}
}

// A key that calls a PIN invalid without taking a retry has not rejected it.
func TestRejectionThatTookNoRetry(t *testing.T) {
	lies := 1
	key := keyWithPIN(t, virtual.Config{Faults: virtual.Faults{
		Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
			if isPINAttempt(ctaphid.CommandCBOR, request) && lies > 0 {
				lies--
				return []byte{byte(ctap2.ErrPINInvalid)}
			}
			return run()
		},
	}})
	p, ui := answers(t, "1234", "1234")
	a, _ := openKey(t, key, ui)
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.Equal(t, []PINReason{PINNeeded, PINInvalid}, p.reasons())

	// It does not make the others good.
	require.Error(t, a.ChangePIN(t.Context(), []byte("0000"), []byte("5678")))
	lies = 1
	p.pins = []string{"1234", "0000", "0000", "1234"}
	_, err = a.MakeCredential(t.Context(), verifiedOptions())
	require.NoError(t, err)
	require.Equal(t, []PINReason{PINNeeded, PINInvalid, PINRepeated, PINRepeated}, p.reasons()[2:])
}

// A key that lies for ever is asked for no more PINs than one can have.
func TestRejectionsAreBounded(t *testing.T) {
	pins := strings.Fields("0001 0002 0003 0004 0005 0006 0007 0008")
	_, ui := answers(t, pins...)
	key := keyWithPIN(t, virtual.Config{Faults: virtual.Faults{
		Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
			if isPINAttempt(ctaphid.CommandCBOR, request) {
				return []byte{byte(ctap2.ErrPINInvalid)}
			}
			return run()
		},
	}})
	a, _ := openKey(t, key, ui)
	_, err := a.MakeCredential(t.Context(), verifiedOptions())
	require.Equal(t, KindPINInvalid, KindOf(err))
}
