package authenticator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// FingerprintSensor describes the key's fingerprint sensor. It asks for nothing. Keys without one give an error that
// wraps [ErrUnsupported], as do the other methods for fingerprints.
func (a *Authenticator) FingerprintSensor(ctx context.Context) (sensor *ctap2.SensorInfo, err error) {
	err = a.run(ctx, "fingerprint sensor", func(ctx context.Context) error {
		preview, err := a.offersFingerprints()
		if err != nil {
			return err
		}
		sensor, err = (&ctap2.BioEnrollment{Client: a.client(0), Preview: preview}).SensorInfo(ctx)
		return err
	})
	return sensor, err
}

// Fingerprints returns the enrolled fingers, whose names may be empty. It asks for the PIN, or lets the key verify
// the user, unless a call that did so is not long past.
func (a *Authenticator) Fingerprints(ctx context.Context) (fingers []ctap2.TemplateInfo, err error) {
	err = a.run(ctx, "fingerprints", func(ctx context.Context) error {
		return a.manageFingerprints(ctx, 0, func(b *ctap2.BioEnrollment) (err error) {
			fingers, err = listFingerprints(ctx, b)
			return err
		})
	})
	return fingers, err
}

func listFingerprints(ctx context.Context, b *ctap2.BioEnrollment) ([]ctap2.TemplateInfo, error) {
	fingers, err := b.Enrollments(ctx)
	if errors.Is(err, ctap2.ErrInvalidOption) { // there are none
		return nil, nil
	}
	seen := make(map[string]bool)
	for _, f := range fingers {
		if seen[string(f.ID)] {
			return nil, fmt.Errorf("%w: the same finger twice", ErrInvalidResponse)
		}
		seen[string(f.ID)] = true
	}
	return fingers, err
}

// EnrollFingerprint teaches the key a finger, which the user lays on the sensor several times, and returns the
// finger's ID, to name it with [Authenticator.RenameFingerprint]. It asks as [Authenticator.Fingerprints] does; the
// key needs a PIN before it takes a finger.
//
// Unless it is nil, progress is called after each sample, good or bad; its Status says in words what to do better. An
// event tells when the key waits for the finger. When ctx is done the key is told to forget the finger.
func (a *Authenticator) EnrollFingerprint(ctx context.Context, progress func(ctap2.Sample)) (id []byte, err error) {
	if progress == nil {
		progress = func(ctap2.Sample) {}
	}
	err = a.run(ctx, "enrol a fingerprint", func(ctx context.Context) error {
		return a.manageFingerprints(ctx, TouchToEnroll, func(b *ctap2.BioEnrollment) error {
			return a.changes(ctx, func() (err error) {
				id, err = enroll(ctx, b, progress)
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return id, nil
}

// RenameFingerprint gives an enrolled finger a name, which has at least one byte and at most as many as the sensor
// says. It asks as [Authenticator.Fingerprints] does.
func (a *Authenticator) RenameFingerprint(ctx context.Context, id []byte, name string) error {
	return a.run(ctx, "rename a fingerprint", func(ctx context.Context) error {
		if len(id) == 0 || name == "" {
			return fmt.Errorf("%w: empty ID or name", ErrInvalidOptions)
		}
		return a.manageFingerprints(ctx, 0, func(b *ctap2.BioEnrollment) error {
			return b.SetFriendlyName(ctx, id, name)
		})
	})
}

// RemoveFingerprint makes the key forget an enrolled finger. It asks as [Authenticator.Fingerprints] does.
func (a *Authenticator) RemoveFingerprint(ctx context.Context, id []byte) error {
	return a.run(ctx, "remove a fingerprint", func(ctx context.Context) error {
		if len(id) == 0 {
			return fmt.Errorf("%w: empty ID", ErrInvalidOptions)
		}
		return a.manageFingerprints(ctx, 0, func(b *ctap2.BioEnrollment) error {
			return a.changes(ctx, func() error { return b.RemoveEnrollment(ctx, id) })
		})
	})
}

func (a *Authenticator) offersFingerprints() (preview bool, err error) {
	return a.offers("fingerprints", "bioEnroll", "userVerificationMgmtPreview", true)
}

// manageFingerprints runs a command with a token for it.
func (a *Authenticator) manageFingerprints(
	ctx context.Context, reason TouchReason, command func(*ctap2.BioEnrollment) error,
) error {
	preview, err := a.offersFingerprints()
	if err != nil {
		return err
	}
	q := uvQuestion{permissions: ctap2.PermissionBioEnrollment, wish: UVRequired}
	return a.managed(ctx, q, func(token *ctap2.Token) error {
		return command(&ctap2.BioEnrollment{Client: a.client(reason), Token: token, Preview: preview})
	})
}

const (
	maxSamples     = 100 // good and bad, of one finger
	maxIdleSamples = 3   // without a finger, in a row
	cancelTimeout  = 2 * time.Second
)

// enroll collects samples until the key wants no more.
func enroll(ctx context.Context, b *ctap2.BioEnrollment, progress func(ctap2.Sample)) ([]byte, error) {
	id, sample, err := b.EnrollBegin(ctx, 0)
	if err != nil {
		if refused := ctap2.Status(0); !errors.As(err, &refused) { // it may have begun
			cancelEnrollment(ctx, b)
		}
		return nil, err
	}
	progress(sample)
	if err := captureRest(ctx, b, id, sample, progress); err != nil {
		cancelEnrollment(ctx, b)
		return nil, err
	}
	return id, nil
}

func captureRest(
	ctx context.Context, b *ctap2.BioEnrollment, id []byte, sample ctap2.Sample, progress func(ctap2.Sample),
) (err error) {
	idle := 0
	for range maxSamples {
		switch idle++; {
		case sample.Status == ctap2.SampleDatabaseFull:
			return ctap2.ErrFPDatabaseFull
		case sample.Remaining == 0:
			return nil
		case sample.Status != ctap2.SampleNoUserActivity:
			idle = 0
		case idle >= maxIdleSamples:
			return ctap2.ErrUserActionTimeout
		}
		if sample, err = b.EnrollNext(ctx, id, 0); err != nil {
			return err
		}
		progress(sample)
	}
	return fmt.Errorf("%w: it wants more than %d samples", ErrInvalidResponse, maxSamples)
}

// cancelEnrollment tells the key to forget the finger, also when ctx is done. A key that does not listen does so by
// itself when it is next asked for something else.
func cancelEnrollment(ctx context.Context, b *ctap2.BioEnrollment) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	b.CancelEnrollment(ctx)
}
