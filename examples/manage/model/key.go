package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
)

// Enter opens a key to manage it. Other programs may have to wait meanwhile.
func (d *Desk) Enter(key hid.Info) {
	d.start(task{name: "Opening " + keyName(key), run: func(ctx context.Context) error { return d.open(ctx, key) }})
}

// Leave closes the key.
func (d *Desk) Leave() {
	d.start(task{name: "Closing the key", run: func(context.Context) error {
		d.close()
		return nil
	}})
}

// Identify makes a key show itself, by a blinking light for example: the open one, or if there is none, the one given.
func (d *Desk) Identify(key hid.Info) {
	d.start(task{name: "Identifying the key", done: "The key shows itself.", run: func(ctx context.Context) error {
		if d.key != nil {
			return d.key.Wink(ctx)
		}
		a, err := d.dial(ctx, key)
		if err != nil {
			return err
		}
		defer a.Close()
		return a.Wink(ctx)
	}})
}

func (d *Desk) open(ctx context.Context, key hid.Info) error {
	d.close()
	a, err := d.dial(ctx, key)
	if err != nil {
		return err
	}
	d.key = a
	d.update(func(s *State) {
		s.Open = &Open{Key: key, Info: a.Info(), PINRetries: -1}
		if !slices.ContainsFunc(s.Keys, func(k hid.Info) bool { return k.Path == key.Path }) {
			d.openIsGone()
		}
	})
	return nil
}

func (d *Desk) dial(ctx context.Context, key hid.Info) (*authenticator.Authenticator, error) {
	if key.Err != nil {
		return nil, key.Err
	}
	device, err := d.source.Open(key.Path)
	if err != nil {
		return nil, err
	}
	channel, err := ctaphid.Open(ctx, device)
	if err != nil {
		return nil, err
	}
	return authenticator.New(ctx, named{channel, key}, &authenticator.UI{
		PIN: d.askPIN, NewPIN: d.askNewPIN, Notify: d.notify,
	})
}

// named is a channel to a key that knows which it is.
type named struct {
	*ctaphid.Channel
	key hid.Info
}

// Info returns which key it is.
func (n named) Info() hid.Info { return n.key }

// keyName names the open key.
func (d *Desk) keyName() string {
	s := d.State()
	return s.NameOf(d.key.Key())
}

const refreshTimeout = time.Second

// refresh brings what is known of the open key up to date after a task, also one that was cancelled.
func (d *Desk) refresh(ctx context.Context) error {
	if d.key == nil || errors.Is(context.Cause(ctx), hid.ErrRemoved) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	info := d.key.Info()
	set, _ := info.Option("clientPin")
	left, locked := -1, false
	if set {
		var err error
		if left, locked, err = d.key.PINRetries(ctx); err != nil {
			return err
		}
	}
	d.updateOpen(func(o *Open) { o.Info, o.PINSet, o.PINRetries, o.PINLocked = info, set, left, locked })
	return nil
}

// notify tells the user what the key wants.
func (d *Desk) notify(e authenticator.Event) {
	d.updateTask(func(t *Task) {
		switch e.Kind {
		case authenticator.EventTouch:
			t.Touch = touches[e.Touch]
		case authenticator.EventProcessing:
			t.Touch = ""
		case authenticator.EventUVFailed:
			t.Progress = "The key did not recognize you."
			if e.UVRetries >= 0 {
				t.Progress = fmt.Sprintf("The key did not recognize you (%s left).", retries(e.UVRetries))
			}
		}
	})
}

var touches = map[authenticator.TouchReason]string{
	authenticator.TouchToVerify: "prove who you are",
	authenticator.TouchToSelect: "choose the key",
	authenticator.TouchToReset:  "reset it",
	authenticator.TouchToEnroll: "teach it your finger",
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}
