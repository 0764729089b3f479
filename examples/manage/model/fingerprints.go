package model

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// ReadFingerprints reads which fingers the key knows.
func (d *Desk) ReadFingerprints() {
	d.manage(task{name: "Reading the fingerprints", run: d.readFingerprints})
}

func (d *Desk) readFingerprints(ctx context.Context) error {
	fingers, err := d.key.Fingerprints(ctx)
	if err != nil {
		return err
	}
	all := make([]Fingerprint, len(fingers))
	for i, f := range fingers {
		all[i] = Fingerprint{ID: f.ID, Name: clean(f.FriendlyName)}
		if f.FriendlyName == "" {
			all[i].Name = fmt.Sprintf("Finger %d", i+1)
		}
	}
	d.updateOpen(func(o *Open) { o.Fingerprints, o.FingerprintsRead = all, true })
	return nil
}

// AddFingerprint teaches the key a finger, and asks for its name.
func (d *Desk) AddFingerprint() {
	d.manage(task{name: "Adding a fingerprint", done: "The key knows the finger.", run: func(ctx context.Context) error {
		id, err := d.key.EnrollFingerprint(ctx, d.sampled)
		if err != nil {
			return err
		}
		d.updateTask(func(t *Task) { t.Touch, t.Progress = "", "" })
		name, err := d.askText(ctx, Question{Title: "Name of the finger", Detail: "It may stay without one."})
		if err == nil && name != "" {
			err = d.key.RenameFingerprint(ctx, id, name)
		}
		if err != nil && !errors.Is(err, errDeclined) {
			return err
		}
		return d.readFingerprints(context.WithoutCancel(ctx)) // which may be done: the name was declined, not the finger
	}})
}

// sampled tells how the enrolment of a finger goes.
func (d *Desk) sampled(s ctap2.Sample) {
	d.updateTask(func(t *Task) {
		t.Progress = fmt.Sprintf("The sample was %s. %d to go.", clean(s.Status.String()), s.Remaining)
	})
}

// RenameFingerprint asks for another name of a finger.
func (d *Desk) RenameFingerprint(f Fingerprint) {
	d.manage(task{name: "Renaming a fingerprint", done: "Renamed.", run: func(ctx context.Context) error {
		name, err := d.askText(ctx, Question{Title: "Name of the finger", Initial: f.Name})
		if err != nil {
			return err
		}
		if err := d.key.RenameFingerprint(ctx, f.ID, name); err != nil {
			return err
		}
		return d.readFingerprints(ctx)
	}})
}

// DeleteFingerprint makes the key forget a finger, if the user confirms it.
func (d *Desk) DeleteFingerprint(f Fingerprint) {
	done := "Deleted: " + f.Name + "."
	d.manage(task{name: "Deleting a fingerprint", done: done, run: func(ctx context.Context) error {
		err := d.confirm(ctx, "Delete the fingerprint "+f.Name+"?", "The key will no longer know this finger.", "Delete")
		if err != nil {
			return err
		}
		if err := d.key.RemoveFingerprint(ctx, f.ID); err != nil {
			return err
		}
		return d.readFingerprints(ctx)
	}})
}
