package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

const resetWord = "reset"

// Reset destroys everything on the key, if the user types that that is meant. A key that was not just plugged in has to
// be plugged in again for that: the Task's Progress says so.
func (d *Desk) Reset() {
	d.manage(task{name: "Resetting the key", done: "The key is as good as new.", run: func(ctx context.Context) error {
		if err := d.confirmReset(ctx); err != nil {
			return err
		}
		err := d.reset(ctx)
		if errors.Is(err, ctap2.ErrNotAllowed) {
			err = d.resetReplugged(ctx)
		}
		return err
	}})
}

func (d *Desk) confirmReset(ctx context.Context) error {
	q := Question{Title: "Reset " + d.keyName() + "?", Detail: d.losses() + " Type " + resetWord + " to go on."}
	for {
		answer, err := d.askText(ctx, q)
		if err != nil || answer == resetWord {
			return err
		}
		q.Complaint = "Nothing was reset."
	}
}

// losses says what a reset destroys.
func (d *Desk) losses() string {
	what := "every credential on it"
	if o := d.State().Open; o != nil && o.PasskeysRead {
		what = fmt.Sprintf("its passkeys (%d) and every other credential", len(o.Passkeys))
	}
	return "This destroys " + what + ", its PIN and its settings, for ever. Whatever it opens stays locked."
}

func (d *Desk) reset(ctx context.Context) error {
	if d.key.Info().LongTouchForReset {
		d.updateTask(func(t *Task) { t.Progress = "It wants a touch of several seconds." })
	}
	err := d.key.Reset(ctx)
	if err == nil {
		d.updateOpen(func(o *Open) { *o = Open{Key: o.Key, Info: d.key.Info(), PINRetries: -1} })
	}
	return err
}

// resetReplugged has the user unplug the key and plug it in again, and resets it then: most keys permit it for ten
// seconds only.
func (d *Desk) resetReplugged(ctx context.Context) error {
	old, aaguid := d.key.Key(), d.key.Info().AAGUID
	plugged := make(chan hid.Info, 1)
	d.update(func(*State) { d.replug = plugged })
	defer d.update(func(*State) { d.replug = nil })
	d.close()
	d.updateTask(func(t *Task) { t.Progress = "Unplug the key, and plug it in again." })
	for {
		select {
		case key := <-plugged:
			if differs(old, key) || d.isStillThere(old, key) {
				continue
			}
			if err := d.open(ctx, key); err != nil {
				return err
			}
			if d.key.Info().AAGUID != aaguid {
				d.close()
				return fmt.Errorf("%w: that is another key; nothing was reset", authenticator.ErrInvalidResponse)
			}
			d.updateTask(func(t *Task) { t.Progress = "" })
			return d.reset(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// differs reports whether that is certainly not the key that was there before.
func differs(old, key hid.Info) bool { return old.Serial != key.Serial }

// isStillThere reports whether the old key was not unplugged at all, so that the other one is certainly not it.
func (d *Desk) isStillThere(old, other hid.Info) bool {
	return other.Path != old.Path &&
		slices.ContainsFunc(d.State().Keys, func(k hid.Info) bool { return k.Path == old.Path })
}

// takesLongTouch reports whether a key can be made to want a long touch for a reset, and does not yet.
func takesLongTouch(info *ctap2.Info) bool {
	return info.HasVersion("FIDO_2_3") && !info.LongTouchForReset
}
