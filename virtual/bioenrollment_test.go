package virtual

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

func bioToken(t testing.TB, client *ctap2.Client) *ctap2.Token {
	t.Helper()
	token, err := client.PINTokenWithPermissions(
		t.Context(), agree(t, client, 2), pin, ctap2.PermissionBioEnrollment, "")
	require.NoError(t, err)
	return token
}

func fingers(t testing.TB, client *ctap2.Client) *ctap2.BioEnrollment {
	t.Helper()
	return &ctap2.BioEnrollment{Client: client, Token: bioToken(t, client)}
}

// enrol enrols the finger that is on the reader with so many samples, and returns its template's ID.
func enrol(t testing.TB, client *ctap2.Client, samples int) []byte {
	t.Helper()
	bio := fingers(t, client)
	id, sample, err := bio.EnrollBegin(t.Context(), 0)
	require.NoError(t, err)
	for left := samples - 1; ; left-- {
		require.Equal(t, ctap2.Sample{Status: ctap2.SampleGood, Remaining: uint64(left)}, sample)
		if left == 0 {
			return id
		}
		sample, err = bio.EnrollNext(t.Context(), id, 0)
		require.NoError(t, err)
	}
}

// hand is a user's: the finger on the reader, and what the reader thinks of it.
type hand struct {
	finger string
	status ctap2.SampleStatus
	err    error
}

func (h *hand) Finger(context.Context, Prompt) (Sample, error) {
	return Sample{Finger: h.finger, Status: h.status}, h.err
}

func TestFingerprintLife(t *testing.T) {
	t.Parallel()
	h := &hand{finger: "thumb"}
	_, client := newKeyWithPIN(t, Config{Finger: h.Finger, EnrollSamples: 2, MaxFingerprints: 2})
	requireOptions(t, client, map[string]bool{"bioEnroll": false, "uv": false})
	_, err := fingers(t, client).Enrollments(t.Context())
	require.ErrorIs(t, err, ctap2.ErrInvalidOption, "none enrolled")

	thumb := enrol(t, client, 2)
	requireOptions(t, client, map[string]bool{"bioEnroll": true, "uv": true})
	h.finger = "index"
	index := enrol(t, client, 2)
	require.NotEqual(t, thumb, index)
	h.finger = "middle"
	_, _, err = fingers(t, client).EnrollBegin(t.Context(), 0)
	require.ErrorIs(t, err, ctap2.ErrFPDatabaseFull)

	bio := fingers(t, client)
	require.NoError(t, bio.SetFriendlyName(t.Context(), index, "pointing finger"))
	list, err := bio.Enrollments(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.TemplateInfo{{ID: thumb}, {ID: index, FriendlyName: "pointing finger"}}, list)

	require.NoError(t, bio.RemoveEnrollment(t.Context(), thumb))
	require.ErrorIs(t, bio.RemoveEnrollment(t.Context(), thumb), ctap2.ErrInvalidOption)
	require.ErrorIs(t, bio.SetFriendlyName(t.Context(), thumb, "x"), ctap2.ErrInvalidOption)
	tooLong := string(make([]byte, maxFingerprintName+1))
	require.ErrorIs(t, bio.SetFriendlyName(t.Context(), index, tooLong), ctap2.ErrInvalidLength)
	require.NoError(t, bio.RemoveEnrollment(t.Context(), index))
	requireOptions(t, client, map[string]bool{"bioEnroll": false, "uv": false})
}

func requireOptions(t *testing.T, client *ctap2.Client, want map[string]bool) {
	t.Helper()
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	for name, wanted := range want {
		value, present := info.Option(name)
		require.True(t, present, name)
		require.Equal(t, wanted, value, name)
	}
}

func TestSamplesThatAreNotGood(t *testing.T) {
	t.Parallel()
	h := &hand{finger: "thumb"}
	_, client := newKeyWithPIN(t, Config{Finger: h.Finger, EnrollSamples: 3})
	bio := fingers(t, client)
	id, sample, err := bio.EnrollBegin(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, ctap2.Sample{Status: ctap2.SampleGood, Remaining: 2}, sample)
	for _, tt := range []struct {
		hand hand
		want ctap2.SampleStatus
	}{
		{hand{finger: "thumb", status: ctap2.SampleTooFast}, ctap2.SampleTooFast},
		{hand{finger: "thumb", status: ctap2.SamplePoorQuality}, ctap2.SamplePoorQuality},
		{hand{finger: "index"}, ctap2.SampleMergeFailure},
		{hand{err: errors.New("nobody there")}, ctap2.SampleNoUserActivity},
	} {
		*h = tt.hand
		sample, err = bio.EnrollNext(t.Context(), id, 0)
		require.NoError(t, err)
		require.Equal(t, ctap2.Sample{Status: tt.want, Remaining: 2}, sample, "it costs nothing")
	}
	*h = hand{finger: "thumb"}
	for left := uint64(2); left > 0; left-- {
		sample, err = bio.EnrollNext(t.Context(), id, 0)
		require.NoError(t, err)
		require.Equal(t, ctap2.Sample{Remaining: left - 1}, sample)
	}
	_, err = bio.EnrollNext(t.Context(), id, 0)
	require.ErrorIs(t, err, ctap2.ErrNoOperations, "it is over")

	_, sample, err = fingers(t, client).EnrollBegin(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, ctap2.Sample{Status: ctap2.SampleExists, Remaining: 3}, sample)
}

func TestEnrolmentEndsEarly(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, key *Authenticator, bio *ctap2.BioEnrollment){
		"cancelled": func(t *testing.T, _ *Authenticator, bio *ctap2.BioEnrollment) {
			require.NoError(t, bio.CancelEnrollment(t.Context()))
		},
		"power cycle": func(t *testing.T, key *Authenticator, bio *ctap2.BioEnrollment) {
			key.PowerCycle()
			bio.Token = bioToken(t, bio.Client)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKeyWithPIN(t, Config{Finger: indexFinger})
			bio := fingers(t, client)
			id, _, err := bio.EnrollBegin(t.Context(), 0)
			require.NoError(t, err)
			_, err = bio.EnrollNext(t.Context(), []byte("another"), 0)
			require.ErrorIs(t, err, ctap2.ErrInvalidParameter)
			end(t, key, bio)
			_, err = bio.EnrollNext(t.Context(), id, 0)
			require.ErrorIs(t, err, ctap2.ErrNoOperations)
		})
	}
}

func TestEnrolmentWaitsAsLongAsThePlatformSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stall := func(ctx context.Context, _ Prompt) (Sample, error) { <-ctx.Done(); return Sample{}, ctx.Err() }
		_, client := newKeyWithPIN(t, Config{Finger: stall})
		for asked, want := range map[time.Duration]time.Duration{5 * time.Second: 5 * time.Second, 0: 30 * time.Second} {
			start := time.Now()
			_, sample, err := fingers(t, client).EnrollBegin(t.Context(), asked)
			require.NoError(t, err)
			require.Equal(t, ctap2.SampleNoUserActivity, sample.Status)
			require.Equal(t, want, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := fingers(t, client).EnrollBegin(ctx, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestFingersThatDoNotMatchBlockTheReader(t *testing.T) {
	t.Parallel()
	h := &hand{finger: "thumb"}
	_, client := newKeyWithPIN(t, Config{Finger: h.Finger, EnrollSamples: 1, UVRetries: 4})
	enrol(t, client, 1)
	get := func() error {
		_, err := client.UVToken(t.Context(), agree(t, client, 2), ctap2.PermissionGetAssertion, testRP.ID)
		return err
	}
	require.NoError(t, get())
	*h = hand{finger: "index"}
	require.ErrorIs(t, get(), ctap2.ErrUVInvalid)
	*h = hand{finger: "thumb", status: ctap2.SamplePoorQuality}
	require.ErrorIs(t, get(), ctap2.ErrUVInvalid)
	*h = hand{finger: "thumb"}
	require.NoError(t, get())
	retries, err := client.UVRetries(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, 4, retries)

	*h = hand{finger: "index"}
	for _, want := range []error{ctap2.ErrUVInvalid, ctap2.ErrUVInvalid, ctap2.ErrUVInvalid, ctap2.ErrUVBlocked} {
		require.ErrorIs(t, get(), want)
	}
	h.finger = "thumb"
	require.ErrorIs(t, get(), ctap2.ErrUVBlocked)
	require.NoError(t, tryPIN(t, client, pin), "the PIN is still good, and frees the reader")
	require.NoError(t, get())
}

func TestReaderWithoutFingerprints(t *testing.T) {
	t.Parallel()
	_, client := newKeyWithPIN(t, Config{Finger: indexFinger})
	_, err := client.UVToken(t.Context(), agree(t, client, 2), ctap2.PermissionGetAssertion, testRP.ID)
	require.ErrorIs(t, err, ctap2.ErrNotAllowed)
	req := newRequest()
	req.Options.UserVerification = true
	_, err = client.MakeCredential(t.Context(), req)
	require.ErrorIs(t, err, ctap2.ErrInvalidOption)
}

func TestPreviewEnrolsWithItsOwnCommand(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Version: CTAP21Pre, Finger: indexFinger, EnrollSamples: 1})
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 1), pin))
	token, err := client.PINToken(t.Context(), agree(t, client, 1), pin)
	require.NoError(t, err)
	bio := &ctap2.BioEnrollment{Client: client, Token: token, Preview: true}
	id, _, err := bio.EnrollBegin(t.Context(), 0)
	require.NoError(t, err)
	list, err := bio.Enrollments(t.Context())
	require.NoError(t, err)
	require.Equal(t, []ctap2.TemplateInfo{{ID: id}}, list)
	requireOptions(t, client, map[string]bool{"userVerificationMgmtPreview": true, "uv": true})
}

func TestBioEnrollmentRefuses(t *testing.T) {
	t.Parallel()
	type m = map[int]any
	for name, tt := range map[string]struct {
		permission ctap2.Permission // of the token that signs; 0 for none
		params     m
		want       ctap2.Status
	}{
		"nothing":                  {0, m{}, ctap2.ErrMissingParameter},
		"getModality false":        {0, m{6: false}, ctap2.ErrMissingParameter},
		"no modality":              {0, m{2: 7}, ctap2.ErrMissingParameter},
		"another modality":         {0, m{1: 2, 2: 7}, ctap2.ErrUnsupportedOption},
		"another subcommand":       {8, m{1: 1, 2: 8}, ctap2.ErrInvalidSubcommand},
		"no token":                 {0, m{1: 1, 2: 4}, ctap2.ErrPUATRequired},
		"no protocol":              {0, m{1: 1, 2: 4, 5: []byte{1}}, ctap2.ErrMissingParameter},
		"another protocol":         {0, m{1: 1, 2: 4, 4: 3, 5: []byte{1}}, ctap2.ErrInvalidParameter},
		"forged":                   {0, m{1: 1, 2: 4, 4: 2, 5: make([]byte, 32)}, ctap2.ErrPINAuthInvalid},
		"another permission":       {ctap2.PermissionAuthenticatorConfig, m{1: 1, 2: 4}, ctap2.ErrPINAuthInvalid},
		"next without template":    {8, m{1: 1, 2: 2, 3: m{3: 1000}}, ctap2.ErrMissingParameter},
		"next without parameters":  {8, m{1: 1, 2: 2}, ctap2.ErrMissingParameter},
		"next without begin":       {8, m{1: 1, 2: 2, 3: m{1: []byte{1}}}, ctap2.ErrNoOperations},
		"name without template":    {8, m{1: 1, 2: 5, 3: m{2: "x"}}, ctap2.ErrMissingParameter},
		"name without name":        {8, m{1: 1, 2: 5, 3: m{1: []byte{1}}}, ctap2.ErrMissingParameter},
		"name that is bytes":       {8, m{1: 1, 2: 5, 3: m{1: []byte{1}, 2: []byte{2}}}, ctap2.ErrCBORUnexpectedType},
		"remove without template":  {8, m{1: 1, 2: 6, 3: m{}}, ctap2.ErrMissingParameter},
		"template that is text":    {8, m{1: 1, 2: 6, 3: m{1: "x"}}, ctap2.ErrCBORUnexpectedType},
		"parameters that are list": {0, m{1: 1, 2: 6, 3: []int{1}}, ctap2.ErrCBORUnexpectedType},
		"subcommand that is text":  {0, m{1: 1, 2: "6"}, ctap2.ErrCBORUnexpectedType},
		"negative timeout":         {8, m{1: 1, 2: 1, 3: m{3: -1}}, ctap2.ErrCBORUnexpectedType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, client := newKeyWithPIN(t, Config{Finger: indexFinger})
			if tt.permission != 0 {
				authorize(t, client, tt.permission, tt.params, 4, 5, []byte{1, byte(tt.params[2].(int))}, tt.params[3])
			}
			require.Equal(t, tt.want, send(t, key, ctap2.CommandBioEnrollment, tt.params))
		})
	}
}

func TestUselessSampleChoosesNoFinger(t *testing.T) {
	t.Parallel()
	h := &hand{finger: "thumb", status: ctap2.SampleTooShort}
	_, client := newKeyWithPIN(t, Config{Finger: h.Finger, EnrollSamples: 1})
	bio := fingers(t, client)
	id, sample, err := bio.EnrollBegin(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, ctap2.Sample{Status: ctap2.SampleTooShort, Remaining: 1}, sample)
	*h = hand{finger: "index"}
	sample, err = bio.EnrollNext(t.Context(), id, 0)
	require.NoError(t, err)
	require.Equal(t, ctap2.Sample{}, sample)
}

func TestFingerprintThatCannotBeStoredStaysAsItWas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.Mkdir(dir, 0o700))
	key, client := newKeyWithPIN(t, Config{Finger: indexFinger, EnrollSamples: 1, StateFile: filepath.Join(dir, "key.json")})
	id := enrol(t, client, 1)
	bio := fingers(t, client)
	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, bio.SetFriendlyName(t.Context(), id, "index"), ctap2.ErrOther)
	require.ErrorIs(t, bio.RemoveEnrollment(t.Context(), id), ctap2.ErrOther)
	require.Equal(t, []*fingerprint{{ID: id, Finger: "index"}}, key.state.Fingerprints)
}
