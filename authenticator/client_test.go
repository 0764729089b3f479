package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

func TestOneKeyIsTouchedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{})
		o := d.registration(t.Context(), credentialOptions())
		require.False(t, o.isOver())
		require.Equal(t, []string{"a: added", "a: touch to register"}, d.take())
		d.touch("a")
		cred, err := o.end()
		require.NoError(t, err)
		require.NotEmpty(t, cred.ID)
		require.Equal(t, []string{"a: makeCredential touched", "a: processing to register", "a: touched"}, d.take())
	})
}

func TestOneKeyIsAskedForItsPINAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "0000", "1234")
		key := d.plug("a", virtual.Config{})
		setPIN(t, key, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{"a: added", "a: PIN, reason 0", "a: PIN, reason 1", "a: touch to register"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestTheRealRequestSelectsAmongSeveralKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		a, b, c := d.plug("a", virtual.Config{}), d.plug("b", virtual.Config{U2FOnly: true}), d.plug("c", virtual.Config{})
		opts := credentialOptions()
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{
			"a: added", "a: touch to register", "b: added", "b: touch to register", "c: added", "c: touch to register", "select",
		}, d.take())
		d.touch("b")
		time.Sleep(time.Second) // until the U2F key is asked again
		cred, err := o.end()
		require.NoError(t, err)
		require.Equal(t, "fido-u2f", cred.Attestation.Format)
		require.Zero(t, a.Credentials()+b.Credentials()+c.Credentials())
	})
}

func TestOnlyTheChosenKeyIsAskedForItsPIN(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		for _, name := range []string{"a", "b"} {
			setPIN(t, d.plug(name, virtual.Config{}), "1234")
		}
		opts := credentialOptions()
		opts.ResidentKey = true
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{
			"a: added", "a: touch to select", "b: added", "b: touch to select", "select",
		}, d.take())
		d.touch("b")
		require.Equal(t, []string{
			"b: selection touched", "b: processing to select", "b: touched", "b: PIN, reason 0", "b: touch to register",
		}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

// Of several keys that want a new PIN first, only the chosen one gets it.
func TestOnlyTheChosenKeyGetsANewPIN(t *testing.T) {
	force := withPIN(virtual.Config{})
	force.PIN.ForceChange = true
	for name, tc := range map[string]struct {
		config virtual.Config
		asked  []string
	}{
		"not set":       {virtual.Config{}, []string{"b: new PIN, reason 0"}},
		"forced change": {force, []string{"b: PIN, reason 0", "b: new PIN, reason 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, "1234")
				d.client.UI.NewPIN = func(_ context.Context, req *NewPINRequest) ([]byte, error) {
					d.note("%s: new PIN, reason %d", d.name(req.Key), req.Reason)
					return []byte("567890"), nil
				}
				a := d.plug("a", tc.config)
				d.plug("b", tc.config)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				require.Equal(t, []string{"a: added", "a: touch to select", "b: added", "b: touch to select", "select"}, d.take())
				d.touch("b")
				log := []string{"b: selection touched", "b: processing to select", "b: touched"}
				require.Equal(t, slices.Concat(log, tc.asked, []string{"b: touch to register"}), d.take())
				d.touch("b")
				_, err := o.end()
				require.NoError(t, err)
				other, err := New(t.Context(), unclosed{a}, nil)
				require.NoError(t, err)
				require.Equal(t, tc.config.PIN.Initial != nil, isOn(other.Info(), "clientPin"))
				require.Equal(t, tc.config.PIN.ForceChange, other.Info().ForcePINChange)
			})
		})
	}
}

// Lists that no key takes at once are taken in parts, on every class of key.
func TestLargeLists(t *testing.T) {
	t.Parallel()
	for name, c := range presetsThatWork() {
		s := newSite(t, c)
		id := s.register("").RawID
		require.Equal(t, id, s.signIn(allowing(200, id)).RawID, name)
		excluded := strings.Replace(allowing(200, id), "allow", "exclude", 1)
		_, err := s.client.Register(t.Context(), origin, creating(t, excluded))
		require.Equal(t, "InvalidStateError", AdviceOn(err).DOMException, name)
	}
}

// The others stop blinking at once, not when all is over.
func TestTheOthersStopWhileThePINIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		setPIN(t, d.plug("a", virtual.Config{}), "1234")
		d.plug("b", virtual.Config{NoU2F: true})
		answer := make(chan struct{})
		ask := d.client.UI.PIN
		d.client.UI.PIN = func(ctx context.Context, req *PINRequest) ([]byte, error) {
			<-answer
			return ask(ctx, req)
		}
		opts := credentialOptions()
		opts.UserVerification = UVPreferred
		o := d.registration(t.Context(), opts)
		d.touch("a")
		require.EqualValues(t, 1, d.opens.open.Load(), "the other is cancelled and closed")
		close(answer)
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

// A key without room for a resident key makes another credential, and is no less the chosen one for that.
func TestAFullKeyIsTouchedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{
			Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
				if bytes.Contains(request, []byte("brk\xf5")) { // the option, at the end of a request
					run() // which waits for the touch
					return []byte{byte(ctap2.ErrKeyStoreFull)}
				}
				return run()
			},
		}})
		d.plug("b", virtual.Config{})
		creation := creating(t, `,"authenticatorSelection":{"residentKey":"preferred"},"extensions":{"credProps":true}`)
		o := begin(d, func() (*webauthn.RegistrationResponse, error) {
			return d.client.Register(t.Context(), origin, creation)
		})
		d.touch("a")
		require.False(t, o.isOver())
		require.EqualValues(t, 1, d.opens.open.Load(), "the other is out")
		d.touch("a")
		resp, err := o.end()
		require.NoError(t, err)
		require.False(t, *resp.ClientExtensionResults.CredProps.ResidentKey)
	})
}

func TestTheLastKeyNeedsNoSelection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		a, b := d.plug("a", virtual.Config{}), d.plug("b", virtual.Config{})
		setPIN(t, a, "1234")
		setPIN(t, b, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		d.take()
		d.hub.Unplug(a)
		require.Equal(t, []string{"a: removed", "b: PIN, reason 0", "b: touch to register"}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestKeysJoinAndLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"insert"}, d.take())
		a := d.plug("a", virtual.Config{})
		require.Equal(t, []string{"a: added", "a: touch to register"}, d.take())
		d.plug("b", virtual.Config{})
		require.Equal(t, []string{"b: added", "b: touch to register", "select"}, d.take())
		d.hub.Unplug(a)
		require.Equal(t, []string{"a: removed"}, d.take())
		d.touch("b")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestThePulledChosenKeyEndsTheCeremony(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, "1234")
		key := d.plug("a", virtual.Config{})
		setPIN(t, key, "1234")
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		d.hub.Unplug(key)
		_, err := o.end()
		require.ErrorIs(t, err, hid.ErrRemoved)
	})
}

// A key that cannot serve the request says why when it is touched, and not before.
func TestUnsuitableKeysExplainThemselves(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"CTAP 2.1": {NoClientPIN: true},
		"U2F":      {U2FOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, "1234")
				d.plug("a", c)
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				time.Sleep(time.Hour + time.Second) // not when the key's patience of 30 seconds ends
				require.False(t, o.isOver())
				d.touch("a")
				time.Sleep(time.Second)
				_, err := o.end()
				require.Contains(t, []Kind{KindPINNotSet, KindUnsupported}, KindOf(err))
			})
		})
	}
}

func TestAKeyThatGaveUpWaitingIsAskedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{TouchTimeout: 30 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		o := d.registration(ctx, credentialOptions())
		time.Sleep(4 * time.Minute)
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}

func TestAKeyThatAlwaysGivesUpIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{
			Answer: func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
				if cmd == ctaphid.CommandCBOR && request[0] == byte(makeCredential) {
					return []byte{byte(ctap2.ErrUserActionTimeout)}
				}
				return run()
			},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o := d.registration(ctx, credentialOptions())
		require.Equal(t, []string{"a: added", "a: dropped: timeout", "insert"}, d.take())
		time.Sleep(time.Minute)
		_, err := o.end()
		require.Equal(t, KindTimeout, KindOf(err))
		require.ErrorContains(t, err, "user action timed out", "the reason why the key did not take part")
	})
}

// Nobody can touch a key that is not there.
func TestNoKeyIsToldApartFromNoTouch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		run := func(meanwhile func()) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			o := d.registration(ctx, credentialOptions())
			d.take()
			meanwhile()
			time.Sleep(time.Minute)
			_, err := o.end()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return err
		}
		var key *virtual.Authenticator
		err := run(func() {})
		require.Equal(t, KindNoDevice, KindOf(err))
		require.ErrorContains(t, err, "no security key is plugged in")
		require.Equal(t, KindTimeout, KindOf(run(func() { key = d.plug("a", virtual.Config{}) })))
		require.Equal(t, KindNoDevice, KindOf(run(func() { d.hub.Unplug(key) })))

		ctx, cancel := context.WithCancel(t.Context())
		o := d.registration(ctx, credentialOptions())
		cancel()
		_, err = o.end()
		require.Equal(t, KindCancelled, KindOf(err), "whether there are keys or not")
	})
}

// watched returns a channel that is closed when ctx is done, as a watch does.
func watched(ctx context.Context) chan hid.Event {
	events := make(chan hid.Event)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

// A watch may take its time to end. Nothing of it is left behind.
func TestTheWatchIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		var over atomic.Bool
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events := make(chan hid.Event)
			context.AfterFunc(ctx, func() {
				time.Sleep(time.Second)
				over.Store(true)
				close(events)
			})
			return nil, events, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.client.Select(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, over.Load())
	})
}

// Some keys say so when they have none of the list.
func TestInvalidCredentialIsNoMatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{Faults: virtual.Faults{InvalidCredential: true}})
		d.plug("b", virtual.Config{})
		o := begin(d, func() (*webauthn.AuthenticationResponse, error) {
			return d.client.Authenticate(t.Context(), origin, request(t, allowing(3)))
		})
		require.Equal(t, []string{"a: added", "a: touch to select", "b: added", "b: touch to select", "select"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.Equal(t, KindNoMatch, KindOf(err))
	})
}

// The nodes of a new key appear before the permission to open them. That is nothing to tell.
func TestKeysThatCannotBeOpenedYet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		denied := fmt.Errorf("no rule: %w", fs.ErrPermission)
		old, late, never := hid.Info{Path: "old", Err: denied}, hid.Info{Path: "late", Err: denied}, hid.Info{Path: "never", Err: denied}
		var events chan hid.Event
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events = watched(ctx)
			return []hid.Info{old}, events, nil
		}
		key := d.key("late", virtual.Config{})
		d.client.Open = func(path string) (io.ReadWriteCloser, error) { return key.Device(), nil }
		d.names = map[string]string{"old": "old", "late": "late", "never": "never"}

		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"insert", "old: dropped: permission"}, d.take())
		events <- hid.Event{Kind: hid.Added, Info: late}
		events <- hid.Event{Kind: hid.Added, Info: never}
		require.Empty(t, d.take())
		late.Err = nil
		events <- hid.Event{Kind: hid.Changed, Info: late}
		require.Equal(t, []string{"late: added", "late: touch to register"}, d.take())
		late.Serial = "7"
		events <- hid.Event{Kind: hid.Changed, Info: late}
		time.Sleep(permissionDelay)
		require.Equal(t, []string{"never: dropped: permission"}, d.take())
		d.touch("late")
		_, err := o.end()
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o = d.registration(ctx, credentialOptions())
		time.Sleep(time.Minute)
		_, err = o.end()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no rule", "perhaps that is why")
	})
}

// Whoever touches two keys at the same instant has chosen one of them.
func TestTwoKeysTouchedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		names := []string{"a", "b", "c"}
		for _, name := range names {
			d.plug(name, virtual.Config{})
		}
		o := d.registration(t.Context(), credentialOptions())
		d.take()
		for _, name := range names {
			close(d.fingers[name])
		}
		cred, err := o.end()
		require.NoError(t, err)
		require.NotEmpty(t, cred.ID)
		touched := slices.DeleteFunc(d.take(), func(line string) bool { return line[1:] != ": touched" })
		require.Len(t, touched, 1)
	})
}

// reader is a desk's key with a fingerprint reader, which takes good fingers and others.
func (d *desk) plugReader(name, pin string) (finger chan<- bool) {
	fingers := make(chan bool)
	key := d.plug(name, virtual.Config{UserVerification: func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case good := <-fingers:
			if good {
				return nil
			}
			return errors.New("another finger")
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	setPIN(d.t, key, pin)
	return fingers
}

// Several readers blink; the one that does not know the finger asks for the PIN in the end, and the others stop only then.
func TestFingersOnSeveralReaders(t *testing.T) {
	for name, pins := range map[string][]string{"with a PIN": {"1234"}, "with nobody to ask": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, pins...)
				a := d.plugReader("a", "1234")
				d.plugReader("b", "1234")
				opts := credentialOptions()
				opts.UserVerification = UVRequired
				o := d.registration(t.Context(), opts)
				require.Equal(t, []string{"a: added", "a: touch to verify", "b: added", "b: touch to verify", "select"}, d.take())
				for range 2 {
					a <- false
					require.False(t, o.isOver())
					require.EqualValues(t, 2, d.opens.open.Load(), "the user may still take the other one")
				}
				a <- false
				if pins == nil {
					_, err := o.end() // without another touch
					require.ErrorIs(t, err, ErrPINRequired)
					return
				}
				log := d.take()
				require.Equal(t, []string{"a: touched", "a: PIN, reason 5", "a: touch to register"}, log[len(log)-3:])
				require.EqualValues(t, 1, d.opens.open.Load())
				d.touch("a")
				_, err := o.end()
				require.NoError(t, err)
			})
		})
	}
}

// A reader that is blocked, on a key without a PIN, is as good as none.
func TestABlockedReaderExplainsItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		d.plug("a", virtual.Config{
			NoClientPIN:      true,
			UserVerification: func(context.Context, virtual.Prompt) error { return ctap2.ErrUVBlocked },
			Faults: virtual.Faults{Answer: func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
				if cmd == ctaphid.CommandCBOR && request[0] == byte(clientPIN) && bytes.Contains(request, []byte{2, 6}) {
					return []byte{byte(ctap2.ErrUVBlocked)} // at once
				}
				return run()
			}},
		})
		opts := credentialOptions()
		opts.UserVerification = UVRequired
		o := d.registration(t.Context(), opts)
		require.Equal(t, []string{"a: added", "a: verification failed", "a: touch to select"}, d.take())
		d.touch("a")
		_, err := o.end()
		require.Equal(t, KindUVFailed, KindOf(err))
	})
}

// A key that comes back to the same place is a new one.
func TestAKeyComesBackToItsPlace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t)
		info := hid.Info{Path: "port"}
		var events chan hid.Event
		d.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			events = watched(ctx)
			return []hid.Info{info}, events, nil
		}
		d.client.Open = d.opens.counting(func(string) (io.ReadWriteCloser, error) { return d.hub.Open("virtual:1") })
		d.names["port"] = "port"
		key := d.key("a", virtual.Config{})
		d.hub.Plug(key)
		o := d.registration(t.Context(), credentialOptions())
		require.Equal(t, []string{"port: added", "port: touch to register"}, d.take())
		for range 2 {
			d.hub.Unplug(key) // before the watch tells
			require.Equal(t, []string{"insert", "port: removed"}, d.take())
			events <- hid.Event{Kind: hid.Removed, Info: info}
			require.Empty(t, d.take())
			d.hub = virtual.Hub{}
			d.hub.Plug(key)
			events <- hid.Event{Kind: hid.Added, Info: info}
			require.Equal(t, []string{"port: added", "port: touch to register"}, d.take())
		}
		d.touch("a")
		_, err := o.end()
		require.NoError(t, err)
	})
}
