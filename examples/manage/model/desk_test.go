package model

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// bench is a desk in a bubble, with keys in a hub and a user who reads its State.
type bench struct {
	t    *testing.T
	hub  virtual.Hub
	desk *Desk
	stop func()
}

// inBubble runs a test with a bench whose time passes when nothing else happens.
func inBubble(t *testing.T, test func(*bench)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t}
		b.desk = New(Source{Watch: b.hub.Watch, Open: b.hub.Open})
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			err = b.desk.Run(ctx)
		}()
		b.stop = func() {
			cancel()
			<-ended
			require.ErrorIs(t, err, context.Canceled)
		}
		test(b)
		b.stop()
	})
}

func (b *bench) plug(config virtual.Config) *virtual.Authenticator {
	b.t.Helper()
	key, err := virtual.New(config)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { key.Close() })
	b.hub.Plug(key)
	return key
}

// state is what the desk shows once it waits for somebody.
func (b *bench) state() State {
	synctest.Wait()
	return b.desk.State()
}

// enter opens the last key.
func (b *bench) enter() {
	b.t.Helper()
	keys := b.state().Keys
	b.desk.Enter(keys[len(keys)-1])
	require.NotNil(b.t, b.state().Open)
}

// answer answers the question that must be there.
func (b *bench) answer(title, text string) {
	b.t.Helper()
	s := b.state()
	require.NotNil(b.t, s.Question, "%+v", s.Notice)
	require.Contains(b.t, s.Question.Title, title)
	b.desk.Answer(s.Question, []byte(text))
	synctest.Wait()
}

func (b *bench) notice() Notice {
	b.t.Helper()
	s := b.state()
	require.Nil(b.t, s.Task)
	require.NotNil(b.t, s.Notice)
	return *s.Notice
}

func withPIN() virtual.Config {
	return virtual.Config{PIN: virtual.PINPolicy{Initial: []byte("1234")}}
}

// never is a user who does not touch the key.
func never(ctx context.Context, _ virtual.Prompt) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// resetTooLate resets a key that has to be plugged in again for that.
func (b *bench) resetTooLate() *virtual.Authenticator {
	b.t.Helper()
	config := withPIN()
	config.Reset.Window = 10 * time.Second
	key := b.plug(config)
	b.enter()
	time.Sleep(11 * time.Second)
	b.desk.Reset()
	b.answer("Reset", "reset")
	return key
}

func TestResetHasTheKeyPluggedInAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		key := b.resetTooLate()
		require.Equal(t, "Unplug the key, and plug it in again.", b.state().Task.Progress)
		b.hub.Unplug(key)
		require.NotNil(t, b.state().Task)
		b.hub.Plug(key)
		require.Equal(t, Notice{Text: "The key is as good as new."}, b.notice())
		s := b.state()
		require.Equal(t, "virtual:2", s.Open.Key.Path)
		require.False(t, s.Open.PINSet)
	})
}

func TestResetSparesAnotherKey(t *testing.T) {
	inBubble(t, func(b *bench) {
		key := b.resetTooLate()
		b.state()
		b.hub.Unplug(key)
		config := withPIN()
		config.AAGUID = ctap2.AAGUID{1}
		b.plug(config)
		require.Contains(t, b.notice().Text, "that is another key; nothing was reset")
		b.enter()
		require.True(t, b.state().Open.PINSet)
	})
}

// A second key of the same model tells no serial number either. While the first one is still there, it is not it.
func TestResetSparesAnotherKeyOfTheModel(t *testing.T) {
	inBubble(t, func(b *bench) {
		key := b.resetTooLate()
		b.state()
		b.plug(withPIN())
		require.NotNil(t, b.state().Task, "it waits still")
		b.hub.Unplug(key)
		b.state()
		b.hub.Plug(key)
		require.Equal(t, Notice{Text: "The key is as good as new."}, b.notice())
		require.Equal(t, "virtual:3", b.state().Open.Key.Path)
	})
}

func TestWaitingForTheKeyToBePluggedInCanBeCancelled(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.plug(virtual.Config{Reset: virtual.ResetPolicy{Window: time.Second}})
		b.enter()
		time.Sleep(2 * time.Second)
		b.desk.Reset()
		b.answer("Reset", "reset")
		b.state()
		b.desk.Cancel()
		require.Equal(t, Notice{Text: "Cancelled."}, b.notice())
		b.enter() // it is free
	})
}

func TestOneTaskAtATime(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.plug(virtual.Config{UserPresence: never})
		b.enter()
		b.desk.Reset()
		b.desk.SetPIN()
		b.answer("Reset", "reset")
		require.Equal(t, "reset it", b.state().Task.Touch)
		b.desk.Leave()
		b.desk.ReadPasskeys()
		require.Equal(t, "Resetting the key", b.state().Task.Name)
	})
}

func TestEndOfTheProgramFreesTheKey(t *testing.T) {
	inBubble(t, func(b *bench) {
		cancelled := false
		b.plug(virtual.Config{UserPresence: func(ctx context.Context, p virtual.Prompt) error {
			defer func() { cancelled = true }()
			return never(ctx, p)
		}})
		b.enter()
		b.desk.Reset()
		b.answer("Reset", "reset")
		require.NotEmpty(t, b.state().Task.Touch)
		b.stop()
		require.True(t, cancelled)
		require.Nil(t, b.desk.State().Open)
		for range b.desk.Changes() { // ends
		}
		b.desk.SetPIN() // does nothing
		require.Nil(t, b.desk.State().Task)
	})
}

func TestKeyThatIgnoresEverythingIsLeftNevertheless(t *testing.T) {
	inBubble(t, func(b *bench) {
		mute := false
		b.plug(virtual.Config{UserPresence: never, Faults: virtual.Faults{
			IgnoreCancel: true,
			Report: func(r *virtual.Report) {
				if mute {
					virtual.Silence(r)
					return
				}
				r.Send(r.Data)
			},
		}})
		b.enter()
		b.desk.Reset()
		b.answer("Reset", "reset")
		require.NotEmpty(t, b.state().Task.Touch)
		mute = true
		b.desk.Cancel()
		time.Sleep(10 * time.Second)
		require.Equal(t, Notice{Text: "Cancelled."}, b.notice())
	})
}

func TestPulledKeyEndsWhatIsDoneWithIt(t *testing.T) {
	inBubble(t, func(b *bench) {
		key := b.plug(virtual.Config{})
		b.enter()
		b.desk.Reset()
		require.NotNil(t, b.state().Question)
		b.hub.Unplug(key)
		require.Equal(t, Notice{Text: "keyfob virtual key 1 was unplugged.", Failed: true}, b.notice())
		s := b.state()
		require.Empty(t, s.Keys)
		require.Nil(t, s.Open)
		b.desk.ReadPasskeys() // as a slow view may ask
		require.True(t, b.notice().Failed)
	})
}

// A key that is left as it is pulled must not be asked for its name: it is closed.
func TestKeyIsPulledWhileItIsClosed(t *testing.T) {
	inBubble(t, func(b *bench) {
		key := b.plug(virtual.Config{})
		open := b.desk.source.Open
		b.desk.source.Open = func(path string) (io.ReadWriteCloser, error) {
			device, err := open(path)
			return &pulledWhenClosed{device, func() {
				b.hub.Unplug(key)
				for len(b.desk.State().Keys) > 0 { // until the desk has noticed
					time.Sleep(time.Millisecond)
				}
			}}, err
		}
		b.enter()
		b.desk.Leave()
		time.Sleep(time.Second)
		s := b.state()
		require.Nil(t, s.Open)
		require.Nil(t, s.Task)
		require.Nil(t, s.Notice, "nobody uses it any more")
	})
}

type pulledWhenClosed struct {
	io.ReadWriteCloser
	pull func()
}

func (p *pulledWhenClosed) Close() error {
	p.pull()
	return p.ReadWriteCloser.Close()
}

func TestLateAnswerIsNone(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.plug(withPIN())
		b.enter()
		b.desk.ReadPasskeys()
		old := b.state().Question
		b.answer("PIN of", "4321")
		asked := b.state().Question
		require.Equal(t, "Wrong PIN.", asked.Complaint)
		b.desk.Answer(old, []byte("0000")) // would cost another retry
		b.desk.Decline(old)
		require.Same(t, asked, b.state().Question)
		require.Equal(t, "7 retries left.", asked.Detail)
		b.desk.Cancel()
		require.Equal(t, Notice{Text: "Cancelled."}, b.notice())
		require.Equal(t, 7, b.state().Open.PINRetries)
	})
}

func TestKeyThatMayNotBeUsed(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.desk.Enter(hid.Info{Path: "/dev/hidraw0", Err: fs.ErrPermission})
		n := b.notice()
		require.True(t, n.Failed)
		require.Contains(t, n.Text, "permission denied")
		require.NotEmpty(t, n.Hint)
	})
}

func TestIdentify(t *testing.T) {
	inBubble(t, func(b *bench) {
		winks := 0
		b.plug(virtual.Config{Wink: func() { winks++ }})
		b.desk.Identify(b.state().Keys[0])
		require.Equal(t, "The key shows itself.", b.notice().Text)
		require.Nil(t, b.state().Open)
		b.enter()
		b.desk.Identify(b.state().Keys[0])
		require.Equal(t, "The key shows itself.", b.notice().Text)
		require.Equal(t, 2, winks)
	})
}

func TestSourceThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such system")
	d := New(Source{Watch: func(context.Context) ([]hid.Info, <-chan hid.Event, error) { return nil, nil, broken }})
	require.ErrorIs(t, d.Run(t.Context()), broken)
	_, open := <-d.Changes()
	require.False(t, open)
}

func TestFingerprintMayStayWithoutAName(t *testing.T) {
	for name, refuse := range map[string]func(d *Desk){
		"declined":  func(d *Desk) { d.Decline(d.State().Question) },
		"cancelled": (*Desk).Cancel,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				config := virtual.PresetBiometric.Config()
				config.PIN.Initial = []byte("1234")
				b.plug(config)
				b.enter()
				b.desk.AddFingerprint()
				b.answer("PIN of", "1234")
				require.Equal(t, &Task{Name: "Adding a fingerprint"}, b.state().Task, "it wants no touch any more")
				refuse(b.desk)
				require.False(t, b.notice().Failed)
				require.Len(t, b.state().Open.Fingerprints, 1)
				require.Equal(t, "Finger 1", b.state().Open.Fingerprints[0].Name)
			})
		})
	}
}

// With two keys of one kind, it must be clear which one is about to be reset.
func TestKeysOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	one := hid.Info{Path: "/dev/hidraw1", Manufacturer: "Yubico", Product: "YubiKey"}
	two, other := one, hid.Info{Path: "/dev/hidraw3"}
	two.Path = "/dev/hidraw2"
	s := State{Keys: []hid.Info{one, other}}
	require.Equal(t, "Yubico YubiKey", s.NameOf(one))
	require.Equal(t, "/dev/hidraw3", s.NameOf(other))
	s.Keys = append(s.Keys, two)
	require.Equal(t, "Yubico YubiKey at /dev/hidraw1", s.NameOf(one))
	require.Equal(t, "Yubico YubiKey at /dev/hidraw2", s.NameOf(two))
}

func TestPINLocksAndBlocks(t *testing.T) {
	inBubble(t, func(b *bench) {
		config := withPIN()
		config.PIN.Retries = 4
		key := b.plug(config)
		b.enter()
		b.desk.ReadPasskeys()
		for _, wrong := range []string{"0001", "0002", "0003"} {
			b.answer("PIN of", wrong)
		}
		require.Contains(t, b.notice().Text, "unplug the key and plug it in again")
		require.Equal(t, "locked until plugged in again", b.state().Open.PINState())
		b.hub.Unplug(key)
		b.hub.Plug(key)
		b.enter()
		require.Equal(t, "set, 1 retry left", b.state().Open.PINState())
		b.desk.ReadPasskeys()
		b.answer("PIN of", "0004")
		require.Contains(t, b.notice().Text, "only a reset of the key")
		require.Equal(t, "blocked: only a reset helps", b.state().Open.PINState())
	})
}

func TestResetSaysWhatIsLostAndWhatTouchItWants(t *testing.T) {
	inBubble(t, func(b *bench) {
		config := withPIN()
		config.Version, config.Reset.LongTouch, config.UserPresence = virtual.CTAP23, true, never
		b.plug(config)
		b.enter()
		b.desk.Reset()
		require.Contains(t, b.state().Question.Detail, "every credential on it")
		b.desk.Decline(b.state().Question)
		b.notice()
		b.desk.ReadPasskeys()
		b.answer("PIN of", "1234")
		b.desk.Reset()
		require.Contains(t, b.state().Question.Detail, "its passkeys (0) and every other credential")
		b.answer("Reset", "reset")
		s := b.state()
		require.Equal(t, "reset it", s.Task.Touch)
		require.Equal(t, "It wants a touch of several seconds.", s.Task.Progress)
	})
}
