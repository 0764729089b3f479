package fido2tools

import (
	"errors"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

const sampleTimeout = 10 * time.Second

// fingerprints gets access to the fingerprints, for which the PIN is always asked.
func (d *device) fingerprints(function string, run func(*ctap2.BioEnrollment) error) error {
	pin, err := d.askPIN(d.path)
	if err != nil {
		return err
	}
	defer clear(pin)
	if function == enrollBegin {
		fmt.Fprintln(d.out, "Touch your security key.")
		d.out.Flush()
	}
	token, err := d.token(pin, ctap2.PermissionBioEnrollment, "")
	if err != nil {
		return d.failed(function, err)
	}
	defer token.Clear()
	return d.failed(function, run(&ctap2.BioEnrollment{Client: &d.ctap2, Token: token, Preview: d.previewOf("bioEnroll")}))
}

// previewOf reports whether to use the commands of the preview of CTAP 2.1 in place of what the option stands for. The
// old version knows no others.
func (d *device) previewOf(option string) bool {
	if d.info == nil {
		return d.Old
	}
	_, final := d.info.Option(option)
	return !final || d.Old && d.info.HasVersion("FIDO_2_1_PRE")
}

func (d *device) listFingerprints() error {
	return d.fingerprints("fido_bio_dev_get_template_array", func(b *ctap2.BioEnrollment) error {
		all, err := b.Enrollments(d.ctx)
		for i, finger := range all {
			fmt.Fprintf(d.out, "%02d: %s %s\n", i, encodeBase64(finger.ID), finger.FriendlyName)
		}
		return err
	})
}

// setFingerprint is -S -e: a new finger, or a name for one.
func (t *tool) setFingerprint(o *tokenOptions) error {
	switch {
	case o.enterprise || o.uv || (o.id == nil) != (o.name == nil):
		return errUsage
	case o.id == nil:
		return t.withDevice(o.device, (*device).enroll)
	}
	id, err := decodeBase64([]byte(*o.id))
	if err != nil {
		return errors.New("base64_decode")
	}
	return t.withDevice(o.device, func(d *device) error {
		return d.fingerprints("fido_bio_dev_set_template_name", func(b *ctap2.BioEnrollment) error {
			return b.SetFriendlyName(d.ctx, id, *o.name)
		})
	})
}

func (t *tool) removeFingerprint(path, argument string) error {
	id, err := decodeBase64([]byte(argument))
	if err != nil {
		return errors.New("base64_decode")
	}
	return t.withDevice(path, func(d *device) error {
		return d.fingerprints("fido_bio_dev_enroll_remove", func(b *ctap2.BioEnrollment) error {
			return b.RemoveEnrollment(d.ctx, id)
		})
	})
}

const (
	enrollBegin    = "fido_bio_dev_enroll_begin"
	enrollContinue = "fido_bio_dev_enroll_continue"
)

// maxSamples is how many samples of a finger are taken before the key is not believed any more.
const maxSamples = 1000

// enroll teaches the key a finger. Each line is written as soon as it is true.
func (d *device) enroll() error {
	var later error // of a sample after the first
	err := d.fingerprints(enrollBegin, func(b *ctap2.BioEnrollment) error {
		id, sample, err := b.EnrollBegin(d.ctx, sampleTimeout)
		if err != nil {
			return err
		}
		later = d.enrollRest(b, id, sample)
		return nil
	})
	if err != nil {
		return err
	}
	return later
}

func (d *device) enrollRest(b *ctap2.BioEnrollment, id []byte, sample ctap2.Sample) (err error) {
	for range maxSamples {
		fmt.Fprintf(d.out, "%s.\n", sampleText(sample.Status))
		if sample.Remaining == 0 {
			return nil
		}
		fmt.Fprintf(d.out, "Touch your security key (%d sample%s left).\n", uint32(sample.Remaining), plural(sample.Remaining))
		d.out.Flush()
		if sample, err = b.EnrollNext(d.ctx, id, sampleTimeout); err != nil {
			return d.failed(enrollContinue, err)
		}
	}
	return d.failed(enrollContinue, codeRXInvalidCBOR)
}

// sampleText says what became of a sample.
func sampleText(s ctap2.SampleStatus) string {
	texts := [...]string{
		"Sample ok", "Sample too high", "Sample too low", "Sample too left", "Sample too right", "Sample too fast",
		"Sample too slow", "Poor quality sample", "Sample too skewed", "Sample too short", "Sample merge failure",
		"Sample exists", "Fingerprint database full", "No user activity", "No user presence transition",
	}
	if s < ctap2.SampleStatus(len(texts)) {
		return texts[s]
	}
	return "Unknown error"
}

func plural(n uint64) string {
	if n == 1 {
		return ""
	}
	return "s"
}
