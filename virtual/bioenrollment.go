package virtual

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// maxFingerprintName is maxTemplateFriendlyName, in bytes.
const maxFingerprintName = 32

const (
	paramTemplateID   key = 0x01
	paramFriendlyName key = 0x02
)

var (
	isBioEnrollment = isRecord(
		optional(key(0x01), isUnsigned),
		optional(key(0x02), isUnsigned),
		optional(key(0x03), isMap),
		optional(key(0x04), isUnsigned),
		optional(key(0x05), isBytes),
		optional(key(0x06), isBool),
	)
	isEnrollBegin  = isRecord(optional(key(0x03), isUnsigned))
	isEnrollNext   = isRecord(required(paramTemplateID, isBytes), optional(key(0x03), isUnsigned))
	isFriendlyName = isRecord(required(paramTemplateID, isBytes), required(paramFriendlyName, isText))
	isTemplate     = isRecord(required(paramTemplateID, isBytes))
)

// enrolment is a finger on its way to become a fingerprint.
type enrolment struct {
	id        []byte
	finger    string // of the first good sample
	remaining int
}

// bioEnrollment is authenticatorBioEnrollment, section 6.7.
func (a *Authenticator) bioEnrollment(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.BioEnrollmentRequest)
	if _, err := decode(params, isBioEnrollment, req); err != nil {
		return nil, err
	}
	if req.Subcommand == 0 {
		return getModality(req)
	}
	switch req.Modality {
	case 0:
		return nil, ctap2.ErrMissingParameter
	case ctap2.ModalityFingerprint:
	default:
		return nil, ctap2.ErrUnsupportedOption
	}
	switch req.Subcommand {
	case ctap2.SubcommandGetFingerprintSensorInfo:
		return a.sensorInfo(), nil
	case ctap2.SubcommandCancelCurrentEnrollment:
		a.volatile.enrolment = nil
		return nil, nil
	}
	return a.manageFingerprints(ctx, c, req)
}

func getModality(req *ctap2.BioEnrollmentRequest) (any, error) {
	if !req.GetModality {
		return nil, ctap2.ErrMissingParameter
	}
	modality := uint64(ctap2.ModalityFingerprint)
	return &ctap2.BioEnrollmentResponse{Modality: &modality}, nil
}

func (a *Authenticator) sensorInfo() *ctap2.BioEnrollmentResponse {
	kind, samples := uint64(ctap2.SensorTouch), uint64(a.config.EnrollSamples)
	return &ctap2.BioEnrollmentResponse{
		FingerprintKind:         &kind,
		MaxCaptureSamples:       &samples,
		MaxTemplateFriendlyName: maxFingerprintName,
	}
}

// manageFingerprints runs the subcommands that need a token.
func (a *Authenticator) manageFingerprints(ctx context.Context, c *call, req *ctap2.BioEnrollmentRequest) (any, error) {
	run, ok := map[ctap2.Subcommand]func(*Authenticator, context.Context, *call, []byte) (any, error){
		ctap2.SubcommandEnrollBegin:             (*Authenticator).enrollBegin,
		ctap2.SubcommandEnrollCaptureNextSample: (*Authenticator).enrollNext,
		ctap2.SubcommandEnumerateEnrollments:    (*Authenticator).enumerateFingerprints,
		ctap2.SubcommandSetFriendlyName:         (*Authenticator).nameFingerprint,
		ctap2.SubcommandRemoveEnrollment:        (*Authenticator).removeFingerprint,
	}[req.Subcommand]
	if !ok {
		return nil, ctap2.ErrInvalidSubcommand
	}
	_, err := a.require(claim{
		protocol:   req.PINUVAuthProtocol,
		param:      req.PINUVAuthParam,
		message:    append([]byte{byte(req.Modality), byte(req.Subcommand)}, req.Params...),
		permission: ctap2.PermissionBioEnrollment,
	})
	if err != nil {
		return nil, err
	}
	return run(a, ctx, c, req.Params)
}

// enrollBegin is section 6.7.4: it waits for the first sample.
func (a *Authenticator) enrollBegin(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.BioEnrollmentParams)
	if _, err := decodeOptional(params, isEnrollBegin, req); err != nil {
		return nil, err
	}
	if len(a.state.Fingerprints) >= a.config.MaxFingerprints {
		return nil, ctap2.ErrFPDatabaseFull
	}
	e := &enrolment{id: make([]byte, templateIDSize), remaining: a.config.EnrollSamples}
	a.entropy.read(e.id)
	a.volatile.enrolment = e
	resp, err := a.capture(ctx, c, e, req.TimeoutMilliseconds)
	if err != nil {
		return nil, err
	}
	resp.TemplateID = e.id
	return resp, nil
}

// enrollNext is section 6.7.5.
func (a *Authenticator) enrollNext(ctx context.Context, c *call, params []byte) (any, error) {
	req := new(ctap2.BioEnrollmentParams)
	if err := decodeRequired(params, isEnrollNext, req); err != nil {
		return nil, err
	}
	e := a.volatile.enrolment
	if e == nil {
		return nil, ctap2.ErrNoOperations
	}
	if !bytes.Equal(e.id, req.TemplateID) {
		return nil, ctap2.ErrInvalidParameter
	}
	return a.capture(ctx, c, e, req.TimeoutMilliseconds)
}

// capture waits for a sample. A cancelled one ends the enrolment.
func (a *Authenticator) capture(
	ctx context.Context, c *call, e *enrolment, milliseconds uint64,
) (*ctap2.BioEnrollmentResponse, error) {
	timeout := a.config.TouchTimeout
	if milliseconds > 0 && milliseconds < uint64(timeout.Milliseconds()) {
		timeout = time.Duration(milliseconds) * time.Millisecond
	}
	status := ctap2.SampleNoUserActivity
	sample, err := a.scan(ctx, c, Prompt{Command: c.command}, timeout)
	if refusal, ok := errors.AsType[ctap2.Status](err); ok && refusal != ctap2.ErrUserActionTimeout {
		a.volatile.enrolment = nil
		return nil, err
	}
	if err == nil {
		status = a.state.judge(e, sample)
	}
	if status == ctap2.SampleGood {
		if err := a.merge(e, sample); err != nil {
			return nil, err
		}
	}
	remaining := uint64(e.remaining)
	return &ctap2.BioEnrollmentResponse{LastEnrollSampleStatus: &status, RemainingSamples: &remaining}, nil
}

// merge adds a good sample to the template, and stores the template with the last one.
func (a *Authenticator) merge(e *enrolment, sample Sample) error {
	e.finger = sample.Finger
	e.remaining--
	if e.remaining > 0 {
		return nil
	}
	a.volatile.enrolment = nil
	return a.update(func(s *state) {
		s.Fingerprints = append(s.Fingerprints, &fingerprint{ID: e.id, Finger: e.finger})
	})
}

// judge says what a sample is worth.
func (s *state) judge(e *enrolment, sample Sample) ctap2.SampleStatus {
	switch {
	case sample.Status != ctap2.SampleGood:
		return sample.Status
	case s.matches(sample):
		return ctap2.SampleExists
	case e.finger != "" && sample.Finger != e.finger:
		return ctap2.SampleMergeFailure
	}
	return ctap2.SampleGood
}

// enumerateFingerprints is section 6.7.6.
func (a *Authenticator) enumerateFingerprints(context.Context, *call, []byte) (any, error) {
	if len(a.state.Fingerprints) == 0 {
		return nil, ctap2.ErrInvalidOption
	}
	resp := new(ctap2.BioEnrollmentResponse)
	for _, f := range a.state.Fingerprints {
		resp.TemplateInfos = append(resp.TemplateInfos, &ctap2.TemplateInfo{ID: f.ID, FriendlyName: f.Name})
	}
	return resp, nil
}

// nameFingerprint is section 6.7.7.
func (a *Authenticator) nameFingerprint(_ context.Context, _ *call, params []byte) (any, error) {
	req := new(ctap2.BioEnrollmentParams)
	if err := decodeRequired(params, isFriendlyName, req); err != nil {
		return nil, err
	}
	if len(req.TemplateFriendlyName) > maxFingerprintName {
		return nil, ctap2.ErrInvalidLength
	}
	i := a.state.fingerprint(req.TemplateID)
	if i < 0 {
		return nil, ctap2.ErrInvalidOption
	}
	return nil, a.update(func(s *state) {
		named := *s.Fingerprints[i]
		named.Name = req.TemplateFriendlyName
		s.Fingerprints[i] = &named
	})
}

// removeFingerprint is section 6.7.8.
func (a *Authenticator) removeFingerprint(_ context.Context, _ *call, params []byte) (any, error) {
	req := new(ctap2.BioEnrollmentParams)
	if err := decodeRequired(params, isTemplate, req); err != nil {
		return nil, err
	}
	i := a.state.fingerprint(req.TemplateID)
	if i < 0 {
		return nil, ctap2.ErrInvalidOption
	}
	return nil, a.update(func(s *state) { s.Fingerprints = slices.Delete(s.Fingerprints, i, i+1) })
}

// fingerprint returns the index of the one with the ID, or -1.
func (s *state) fingerprint(id []byte) int {
	return slices.IndexFunc(s.Fingerprints, func(f *fingerprint) bool { return bytes.Equal(f.ID, id) })
}
