package authenticator

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// enroller is a transport to a key with the PIN 1234 whose answers to bioEnrollment are made up.
func enroller(t *testing.T, answer func(*ctap2.BioEnrollmentRequest, *ctap2.BioEnrollmentParams) any) (*Authenticator, *wire) {
	t.Helper()
	_, ui := answers(t, "1234", "1234")
	w := &wire{key: keyWithPIN(t, virtual.Config{Finger: finger})}
	w.answering(t, func(*ctap2.Info) {}, map[ctap2.Command]fake{bioEnrollment: func(params []byte) any {
		req, p := decodeParams[ctap2.BioEnrollmentRequest, ctap2.BioEnrollmentParams](t, params)
		return answer(req, p)
	}})
	return openWire(t, w, ui), w
}

func sample(id []byte, status ctap2.SampleStatus, remaining uint64) *ctap2.BioEnrollmentResponse {
	return &ctap2.BioEnrollmentResponse{TemplateID: id, LastEnrollSampleStatus: &status, RemainingSamples: &remaining}
}

// The subcommands that were sent to an enroller.
func subcommands(t *testing.T, w *wire) (sent []ctap2.Subcommand) {
	for _, request := range w.requests {
		if ctap2.Command(request[0]) == bioEnrollment {
			req, _ := decodeParams[ctap2.BioEnrollmentRequest, ctap2.BioEnrollmentParams](t, request[1:])
			sent = append(sent, req.Subcommand)
		}
	}
	return sent
}

const (
	enrollBegin  = ctap2.SubcommandEnrollBegin
	enrollNext   = ctap2.SubcommandEnrollCaptureNextSample
	enrollCancel = ctap2.SubcommandCancelCurrentEnrollment
)

func TestFingerprints(t *testing.T) {
	t.Parallel()
	for _, version := range []virtual.Version{virtual.CTAP21Pre, virtual.CTAP21, virtual.CTAP23} {
		samples := []virtual.Sample{
			{Finger: "thumb"}, {Finger: "thumb", Status: ctap2.SampleTooFast}, {Finger: "thumb"}, {Finger: "thumb"},
		}
		key := keyWithPIN(t, virtual.Config{
			Version: version, EnrollSamples: 3,
			Finger: func(context.Context, virtual.Prompt) (virtual.Sample, error) {
				if len(samples) == 0 {
					return virtual.Sample{Finger: "thumb"}, nil
				}
				s := samples[0]
				samples = samples[1:]
				return s, nil
			},
		})
		_, ui := answers(t, "1234")
		var events []Event
		ui.Notify = func(e Event) { events = append(events, e) }
		a, _ := openKey(t, key, ui)

		sensor, err := a.FingerprintSensor(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, sensor.MaxCaptureSamples)
		none, err := a.Fingerprints(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)

		var seen []ctap2.Sample
		id, err := a.EnrollFingerprint(t.Context(), func(s ctap2.Sample) { seen = append(seen, s) })
		require.NoError(t, err)
		require.Equal(t, []ctap2.Sample{
			{Remaining: 2}, {Status: ctap2.SampleTooFast, Remaining: 2}, {Remaining: 1}, {Remaining: 0},
		}, seen)
		require.Contains(t, events, Event{Kind: EventTouch, Touch: TouchToEnroll})
		require.True(t, isOn(a.Info(), "uv"), "the key is asked again what it can do")
		fingers, err := a.Fingerprints(t.Context())
		require.NoError(t, err)
		require.Equal(t, []ctap2.TemplateInfo{{ID: id}}, fingers)
		require.NoError(t, a.RenameFingerprint(t.Context(), id, "left thumb"))
		fingers, err = a.Fingerprints(t.Context())
		require.NoError(t, err)
		require.Equal(t, []ctap2.TemplateInfo{{ID: id, FriendlyName: "left thumb"}}, fingers)
		require.NoError(t, a.RemoveFingerprint(t.Context(), id))
		require.False(t, isOn(a.Info(), "uv"))
		require.Error(t, a.RemoveFingerprint(t.Context(), id))
	}
}

func TestFingerprintOptionsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	a, w := enroller(t, nil)
	w.sent()
	require.ErrorIs(t, a.RenameFingerprint(t.Context(), nil, "x"), ErrInvalidOptions)
	require.ErrorIs(t, a.RenameFingerprint(t.Context(), []byte{1}, ""), ErrInvalidOptions)
	require.ErrorIs(t, a.RemoveFingerprint(t.Context(), nil), ErrInvalidOptions)
	require.Empty(t, w.sent())
}

// When the program gives up, at whatever sample, the key is told so.
func TestEnrolmentIsCancelled(t *testing.T) {
	t.Parallel()
	for stopAt := 1; stopAt <= 3; stopAt++ {
		ctx, giveUp := context.WithCancelCause(t.Context())
		enough := errors.New("had enough")
		scans := 0
		key := keyWithPIN(t, virtual.Config{Finger: func(ctx context.Context, _ virtual.Prompt) (virtual.Sample, error) {
			if scans++; scans == stopAt {
				giveUp(enough)
				<-ctx.Done()
			}
			return virtual.Sample{Finger: "index"}, ctx.Err()
		}})
		channel, err := ctaphid.Open(t.Context(), key.Device())
		require.NoError(t, err)
		tap := &cancelTap{Channel: channel}
		_, ui := answers(t, "1234")
		a, err := New(t.Context(), tap, ui)
		require.NoError(t, err)
		_, err = a.EnrollFingerprint(ctx, nil)
		require.ErrorIs(t, err, enough)
		require.Equal(t, KindCancelled, KindOf(err))
		require.Equal(t, [][]byte{{0}}, tap.answers)
		fingers, err := a.Fingerprints(t.Context())
		require.NoError(t, err)
		require.Empty(t, fingers)
		require.NoError(t, a.Close())
	}
}

// cancelTap keeps the answers to cancelCurrentEnrollment.
type cancelTap struct {
	*ctaphid.Channel
	answers [][]byte
}

func (c *cancelTap) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	response, err := c.Channel.CBOR(ctx, request, keepalive)
	if bytes.Equal(request, []byte{byte(bioEnrollment), 0xa2, 1, ctap2.ModalityFingerprint, 2, byte(enrollCancel)}) {
		c.answers = append(c.answers, response)
	}
	return response, err
}

func TestEnrolmentEnds(t *testing.T) {
	t.Parallel()
	id := []byte{7}
	for name, tc := range map[string]struct {
		answer func(sent int) any
		err    error
		sent   int // samples that were asked for
		cancel bool
	}{
		"after the first sample": {func(int) any { return sample(id, 0, 0) }, nil, 1, false},
		"without end": {
			func(int) any { return sample(id, ctap2.SampleTooLeft, 1) }, ErrInvalidResponse, maxSamples + 1, true,
		},
		"with 2^64 samples": {func(int) any { return sample(id, 0, 1<<64-1) }, ErrInvalidResponse, maxSamples + 1, true},
		"when the user left": {
			func(int) any { return sample(id, ctap2.SampleNoUserActivity, 5) }, ctap2.ErrUserActionTimeout, 3, true,
		},
		"not while the user comes back": {
			func(sent int) any {
				if sent%3 == 0 {
					return sample(id, ctap2.SampleGood, uint64(10-sent))
				}
				return sample(id, ctap2.SampleNoUserActivity, uint64(10-sent))
			}, nil, 10, false,
		},
		"when a preview's database is full": {
			func(int) any { return sample(id, ctap2.SampleDatabaseFull, 5) }, ctap2.ErrFPDatabaseFull, 1, true,
		},
		"when the database is full": {func(int) any { return ctap2.ErrFPDatabaseFull }, ctap2.ErrFPDatabaseFull, 1, false},
		"when the key says so later": {
			func(sent int) any {
				if sent == 2 {
					return ctap2.ErrUserActionTimeout
				}
				return sample(id, 0, 5)
			}, ctap2.ErrUserActionTimeout, 2, true,
		},
		"without a template": {func(int) any { return sample(nil, 0, 5) }, ctap2.ErrInvalidResponse, 1, true},
		"without a sample":   {func(int) any { return map[int]any{4: id} }, ctap2.ErrInvalidResponse, 1, true},
		"with nothing":       {func(int) any { return map[int]int{} }, ctap2.ErrInvalidResponse, 1, true},
	} {
		sent := 0
		a, w := enroller(t, func(req *ctap2.BioEnrollmentRequest, _ *ctap2.BioEnrollmentParams) any {
			if req.Subcommand == enrollCancel {
				return nil
			}
			sent++
			return tc.answer(sent)
		})
		got, err := a.EnrollFingerprint(t.Context(), nil)
		require.ErrorIs(t, err, tc.err, name)
		require.Equal(t, err == nil, got != nil, name)
		require.Equal(t, tc.sent, sent, name)
		all := subcommands(t, w)
		require.Equal(t, enrollBegin, all[0], name)
		require.Equal(t, tc.cancel, all[len(all)-1] == enrollCancel, name)
		if sent > 1 {
			require.Equal(t, enrollNext, all[1], name)
		}
	}
	require.Equal(t, KindStoreFull, KindOf(ctap2.ErrFPDatabaseFull))
}

func TestListsOfFingersThatLie(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]any{
		"no list":       map[int]any{},
		"null":          map[int]any{7: nil},
		"null in it":    map[int]any{7: []any{nil}},
		"no ID":         map[int]any{7: []any{map[int]any{2: "thumb"}}},
		"empty ID":      map[int]any{7: []any{map[int]any{1: []byte{}}}},
		"not a list":    map[int]any{7: 7},
		"text for bstr": map[int]any{7: []any{map[int]any{1: "id"}}},
	} {
		a, _ := enroller(t, func(*ctap2.BioEnrollmentRequest, *ctap2.BioEnrollmentParams) any { return answer })
		_, err := a.Fingerprints(t.Context())
		require.ErrorIs(t, err, ctap2.ErrInvalidResponse, name)
	}
	a, _ := enroller(t, func(*ctap2.BioEnrollmentRequest, *ctap2.BioEnrollmentParams) any {
		return map[int]any{7: []any{map[int]any{1: []byte{1}}, map[int]any{1: []byte{1}}}}
	})
	_, err := a.Fingerprints(t.Context())
	require.ErrorIs(t, err, ErrInvalidResponse, "the same finger twice")
}
