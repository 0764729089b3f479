package ctap2

import (
	"context"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The subcommands of authenticatorBioEnrollment (section 6.7).
const (
	SubcommandEnrollBegin              Subcommand = 0x01
	SubcommandEnrollCaptureNextSample  Subcommand = 0x02
	SubcommandCancelCurrentEnrollment  Subcommand = 0x03
	SubcommandEnumerateEnrollments     Subcommand = 0x04
	SubcommandSetFriendlyName          Subcommand = 0x05
	SubcommandRemoveEnrollment         Subcommand = 0x06
	SubcommandGetFingerprintSensorInfo Subcommand = 0x07
)

// ModalityFingerprint is the only modality of built-in user verification that can be enrolled.
const ModalityFingerprint = 1

// BioEnrollmentRequest holds the parameters of authenticatorBioEnrollment. The methods of [BioEnrollment] fill it in.
type BioEnrollmentRequest struct {
	Modality          uint                `cbor:"1,keyasint,omitempty"`
	Subcommand        Subcommand          `cbor:"2,keyasint,omitempty"`
	Params            ctapcbor.RawMessage `cbor:"3,keyasint,omitempty"` // BioEnrollmentParams, as authenticated
	PINUVAuthProtocol PINProtocol         `cbor:"4,keyasint,omitempty"`
	PINUVAuthParam    []byte              `cbor:"5,keyasint,omitempty"`
	GetModality       bool                `cbor:"6,keyasint,omitempty"` // and nothing else
}

// BioEnrollmentParams holds the parameters of the subcommands of authenticatorBioEnrollment.
type BioEnrollmentParams struct {
	TemplateID           []byte `cbor:"1,keyasint,omitempty"`
	TemplateFriendlyName string `cbor:"2,keyasint,omitempty"`
	TimeoutMilliseconds  uint64 `cbor:"3,keyasint,omitempty"`
}

// BioEnrollmentResponse holds the members of every answer to authenticatorBioEnrollment. Its numbers are untrusted
// and may be as large as they like.
type BioEnrollmentResponse struct {
	Modality                *uint64         `cbor:"1,keyasint,omitempty"`
	FingerprintKind         *uint64         `cbor:"2,keyasint,omitempty"`
	MaxCaptureSamples       *uint64         `cbor:"3,keyasint,omitempty"` // maxCaptureSamplesRequiredForEnroll
	TemplateID              []byte          `cbor:"4,keyasint,omitempty"`
	LastEnrollSampleStatus  *SampleStatus   `cbor:"5,keyasint,omitempty"`
	RemainingSamples        *uint64         `cbor:"6,keyasint,omitempty"`
	TemplateInfos           []*TemplateInfo `cbor:"7,keyasint,omitempty"`
	MaxTemplateFriendlyName uint64          `cbor:"8,keyasint,omitempty"` // bytes
}

// SensorInfo describes a fingerprint sensor.
type SensorInfo struct {
	Kind                    uint64 // [SensorTouch] or [SensorSwipe]
	MaxCaptureSamples       uint64 // that the enrolment of a finger takes
	MaxTemplateFriendlyName uint64 // bytes; 0: it does not say
}

// The kinds of fingerprint sensors.
const (
	SensorTouch = 1
	SensorSwipe = 2
)

// TemplateInfo is an enrolled finger.
type TemplateInfo struct {
	ID           []byte `cbor:"1,keyasint"`
	FriendlyName string `cbor:"2,keyasint,omitempty"` // may be empty
}

// Sample is what an authenticator thinks of one capture of a finger.
type Sample struct {
	Status    SampleStatus
	Remaining uint64 // samples that it wants still; 0: the finger is enrolled
}

// SampleStatus says whether a sample was good, or else what to do better (lastEnrollSampleStatus).
type SampleStatus uint64

// The statuses of samples.
const (
	SampleGood           SampleStatus = 0x00
	SampleTooHigh        SampleStatus = 0x01
	SampleTooLow         SampleStatus = 0x02
	SampleTooLeft        SampleStatus = 0x03
	SampleTooRight       SampleStatus = 0x04
	SampleTooFast        SampleStatus = 0x05
	SampleTooSlow        SampleStatus = 0x06
	SamplePoorQuality    SampleStatus = 0x07
	SampleTooSkewed      SampleStatus = 0x08
	SampleTooShort       SampleStatus = 0x09
	SampleMergeFailure   SampleStatus = 0x0a
	SampleExists         SampleStatus = 0x0b
	SampleDatabaseFull   SampleStatus = 0x0c // "FIDO_2_1_PRE" only
	SampleNoUserActivity SampleStatus = 0x0d // within the timeout
	SampleNoUPTransition SampleStatus = 0x0e // the finger was not lifted
)

var sampleTexts = [...]string{
	"good", "too high", "too low", "too far left", "too far right", "too fast", "too slow", "poor quality", "too skewed",
	"too short", "does not fit the others", "enrolled already", "no room for another finger", "no finger on the sensor",
	"finger not lifted",
}

// String describes the status in a few words.
func (s SampleStatus) String() string {
	if s < SampleStatus(len(sampleTexts)) {
		return sampleTexts[s]
	}
	return fmt.Sprintf("sample status 0x%02x", uint64(s))
}

// BioEnrollment sends authenticatorBioEnrollment, to manage the fingerprints of an authenticator. Each method sends
// one command.
type BioEnrollment struct {
	Client  *Client
	Token   *Token // with PermissionBioEnrollment; not needed to ask for the modality and the sensor, and to cancel
	Preview bool   // use the command of "FIDO_2_1_PRE"
}

// Modality returns what the authenticator verifies users by (getModality): [ModalityFingerprint].
func (b *BioEnrollment) Modality(ctx context.Context) (uint64, error) {
	resp, err := b.call(ctx, &BioEnrollmentRequest{GetModality: true})
	if err != nil {
		return 0, err
	}
	if resp.Modality == nil {
		return 0, missing(b.command(), "modality")
	}
	return *resp.Modality, nil
}

// SensorInfo describes the sensor (getFingerprintSensorInfo).
func (b *BioEnrollment) SensorInfo(ctx context.Context) (*SensorInfo, error) {
	resp, err := b.call(ctx, &BioEnrollmentRequest{
		Modality: ModalityFingerprint, Subcommand: SubcommandGetFingerprintSensorInfo,
	})
	if err != nil {
		return nil, err
	}
	if resp.FingerprintKind == nil {
		return nil, missing(b.command(), "fingerprintKind")
	}
	if resp.MaxCaptureSamples == nil {
		return nil, missing(b.command(), "maxCaptureSamplesRequiredForEnroll")
	}
	return &SensorInfo{
		Kind:                    *resp.FingerprintKind,
		MaxCaptureSamples:       *resp.MaxCaptureSamples,
		MaxTemplateFriendlyName: resp.MaxTemplateFriendlyName,
	}, nil
}

// EnrollBegin begins to enrol a finger and waits for its first sample (enrollBegin). A timeout of zero leaves it to
// the authenticator how long it waits.
func (b *BioEnrollment) EnrollBegin(
	ctx context.Context, timeout time.Duration,
) (templateID []byte, s Sample, err error) {
	resp, err := b.authenticated(ctx, SubcommandEnrollBegin, enrollParams(nil, timeout))
	if err != nil {
		return nil, Sample{}, err
	}
	if len(resp.TemplateID) == 0 {
		return nil, Sample{}, missing(b.command(), "templateId")
	}
	s, err = b.sample(resp)
	return resp.TemplateID, s, err
}

// EnrollNext waits for the next sample of the finger that is being enrolled (enrollCaptureNextSample).
func (b *BioEnrollment) EnrollNext(ctx context.Context, templateID []byte, timeout time.Duration) (Sample, error) {
	resp, err := b.authenticated(ctx, SubcommandEnrollCaptureNextSample, enrollParams(templateID, timeout))
	if err != nil {
		return Sample{}, err
	}
	return b.sample(resp)
}

// enrollParams returns nil if there are none.
func enrollParams(templateID []byte, timeout time.Duration) *BioEnrollmentParams {
	if templateID == nil && timeout <= 0 {
		return nil
	}
	return &BioEnrollmentParams{TemplateID: templateID, TimeoutMilliseconds: uint64(max(0, timeout.Milliseconds()))}
}

func (b *BioEnrollment) sample(resp *BioEnrollmentResponse) (Sample, error) {
	if resp.LastEnrollSampleStatus == nil {
		return Sample{}, missing(b.command(), "lastEnrollSampleStatus")
	}
	if resp.RemainingSamples == nil {
		return Sample{}, missing(b.command(), "remainingSamples")
	}
	return Sample{Status: *resp.LastEnrollSampleStatus, Remaining: *resp.RemainingSamples}, nil
}

// CancelEnrollment makes the authenticator forget the finger that is being enrolled (cancelCurrentEnrollment).
func (b *BioEnrollment) CancelEnrollment(ctx context.Context) error {
	_, err := b.call(ctx, &BioEnrollmentRequest{
		Modality: ModalityFingerprint, Subcommand: SubcommandCancelCurrentEnrollment,
	})
	return err
}

// Enrollments returns the enrolled fingers (enumerateEnrollments). When there are none an authenticator answers
// [ErrInvalidOption] or an empty list.
func (b *BioEnrollment) Enrollments(ctx context.Context) ([]TemplateInfo, error) {
	resp, err := b.authenticated(ctx, SubcommandEnumerateEnrollments, nil)
	if err != nil {
		return nil, err
	}
	if resp.TemplateInfos == nil {
		return nil, missing(b.command(), "templateInfos")
	}
	infos := make([]TemplateInfo, len(resp.TemplateInfos))
	for i, info := range resp.TemplateInfos {
		if info == nil || len(info.ID) == 0 {
			return nil, missing(b.command(), "templateId")
		}
		infos[i] = *info
	}
	return infos, nil
}

// SetFriendlyName gives an enrolled finger a name (setFriendlyName), which must not be empty.
func (b *BioEnrollment) SetFriendlyName(ctx context.Context, templateID []byte, name string) error {
	params := &BioEnrollmentParams{TemplateID: templateID, TemplateFriendlyName: name}
	_, err := b.authenticated(ctx, SubcommandSetFriendlyName, params)
	return err
}

// RemoveEnrollment forgets an enrolled finger (removeEnrollment).
func (b *BioEnrollment) RemoveEnrollment(ctx context.Context, templateID []byte) error {
	_, err := b.authenticated(ctx, SubcommandRemoveEnrollment, &BioEnrollmentParams{TemplateID: templateID})
	return err
}

// authenticated sends a subcommand with the token's MAC over it and its parameters, which are nil if there are none.
func (b *BioEnrollment) authenticated(
	ctx context.Context, sub Subcommand, params *BioEnrollmentParams,
) (*BioEnrollmentResponse, error) {
	req := &BioEnrollmentRequest{Modality: ModalityFingerprint, Subcommand: sub}
	if params != nil {
		var err error
		if req.Params, err = ctapcbor.Marshal(params); err != nil {
			return nil, err
		}
	}
	message := append([]byte{byte(req.Modality), byte(sub)}, req.Params...)
	req.PINUVAuthParam, req.PINUVAuthProtocol = b.Token.param(message)
	return b.call(ctx, req)
}

func (b *BioEnrollment) call(ctx context.Context, req *BioEnrollmentRequest) (*BioEnrollmentResponse, error) {
	resp := new(BioEnrollmentResponse)
	if err := b.Client.call(ctx, b.command(), req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

func (b *BioEnrollment) command() Command {
	if b.Preview {
		return CommandBioEnrollmentPreview
	}
	return CommandBioEnrollment
}
