package ctap2

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// managementCalls are the methods whose answers have members that must be there.
var managementCalls = map[string]func(context.Context, *Client) error{
	"metadata": func(ctx context.Context, c *Client) error {
		_, _, err := (&CredentialManagement{Client: c}).Metadata(ctx)
		return err
	},
	"first RP": func(ctx context.Context, c *Client) error {
		_, err := (&CredentialManagement{Client: c}).EnumerateRPsBegin(ctx)
		return err
	},
	"next RP": func(ctx context.Context, c *Client) error {
		_, err := (&CredentialManagement{Client: c}).EnumerateRPsNext(ctx)
		return err
	},
	"first credential": func(ctx context.Context, c *Client) error {
		_, err := (&CredentialManagement{Client: c}).EnumerateCredentialsBegin(ctx, [32]byte{})
		return err
	},
	"next credential": func(ctx context.Context, c *Client) error {
		_, err := (&CredentialManagement{Client: c}).EnumerateCredentialsNext(ctx)
		return err
	},
	"modality": func(ctx context.Context, c *Client) error {
		_, err := (&BioEnrollment{Client: c}).Modality(ctx)
		return err
	},
	"sensor": func(ctx context.Context, c *Client) error {
		_, err := (&BioEnrollment{Client: c}).SensorInfo(ctx)
		return err
	},
	"first sample": func(ctx context.Context, c *Client) error {
		_, _, err := (&BioEnrollment{Client: c}).EnrollBegin(ctx, 0)
		return err
	},
	"next sample": func(ctx context.Context, c *Client) error {
		_, err := (&BioEnrollment{Client: c}).EnrollNext(ctx, []byte{1}, 0)
		return err
	},
	"fingers": func(ctx context.Context, c *Client) error {
		_, err := (&BioEnrollment{Client: c}).Enrollments(ctx)
		return err
	},
	"large blobs": func(ctx context.Context, c *Client) error {
		_, err := c.GetLargeBlobs(ctx, 0, 3)
		return err
	},
}

// Answers that are nearly right.
func TestManagementAnswersThatLackSomething(t *testing.T) {
	t.Parallel()
	hash, user, id, key := "5820"+strings.Repeat("ab", 32), "a1 62 6964 41 07", "a2 62 6964 41 08 64 74797065 60", "a1 01 02"
	for call, answers := range map[string]map[string]string{
		"metadata": {"only one count": "a1 01 02", "only the other": "a1 02 02"},
		"first RP": {
			"no total": "a2 03 a0 04" + hash, "no RP": "a2 04" + hash + "05 02", "no hash": "a2 03 a0 05 02",
			"short hash": "a3 03 a0 04 41 00 05 02",
		},
		"next RP": {"no RP": "a1 04" + hash, "short hash": "a2 03 a0 04 41 00"},
		"first credential": {
			"no total": "a3 06" + user + "07" + id + "08" + key, "no user": "a3 07" + id + "08" + key + "09 01",
			"no credential": "a3 06" + user + "08" + key + "09 01", "no key": "a3 06" + user + "07" + id + "09 01",
		},
		"next credential": {
			"empty ID":            "a3 06" + user + "07 a2 62 6964 40 64 74797065 60 08" + key,
			"ID of 1024 bytes":    "a3 06" + user + "07 a2 62 6964 590400" + strings.Repeat("00", 1024) + "64 74797065 60 08" + key,
			"short large-blobKey": "a4 06" + user + "07" + id + "08" + key + "0b 41 00",
		},
		"sensor":       {"no kind": "a1 03 05", "no samples": "a1 02 01"},
		"first sample": {"no template": "a2 05 00 06 01", "empty template": "a3 04 40 05 00 06 01", "no count": "a2 04 41 01 05 00"},
		"next sample":  {"no status": "a1 06 01", "no count": "a1 05 00", "negative": "a2 05 00 06 20"},
		"fingers": {
			"null in the list": "a1 07 81 f6", "no ID": "a1 07 81 a1 02 61 61", "empty ID": "a1 07 82 a1 01 41 01 a1 01 40",
		},
		"large blobs": {"more than asked for": "a1 01 44 00000000", "text": "a1 01 63 616161"},
	} {
		for name, answer := range answers {
			c := &Client{Transport: hexAnswer(t, "00"+answer)}
			require.ErrorIs(t, managementCalls[call](t.Context(), c), ErrInvalidResponse, "%s: %s", call, name)
		}
	}
}

// What keys leave out although they should not, or say in two ways.
func TestManagementAnswersThatAreTaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := CredentialManagement{Client: &Client{Transport: hexAnswer(t, "00 a1 05 00")}}
	none, err := m.EnumerateRPsBegin(ctx)
	require.NoError(t, err)
	require.Nil(t, none.RP)
	m.Client.Transport = hexAnswer(t, "00 a1 09 00")
	none, err = m.EnumerateCredentialsBegin(ctx, [32]byte{})
	require.NoError(t, err)
	require.Nil(t, none.CredentialID)
	m.Client.Transport = hexAnswer(t, "00 a2 03 a1 62 6964 62 78c3 04 5820"+strings.Repeat("ab", 32))
	rp, err := m.EnumerateRPsNext(ctx)
	require.NoError(t, err)
	require.Equal(t, "x\xc3", rp.RP.ID, "cut off in the middle of a character")

	b := BioEnrollment{Client: &Client{Transport: hexAnswer(t, "00 a1 07 80")}}
	fingers, err := b.Enrollments(ctx)
	require.NoError(t, err)
	require.Empty(t, fingers)
	b.Client.Transport = hexAnswer(t, "00 a2 05 18 63 06 1b ffffffffffffffff")
	sample, err := b.EnrollNext(ctx, []byte{1}, 0)
	require.NoError(t, err)
	require.Equal(t, Sample{Status: 99, Remaining: 1<<64 - 1}, sample)
	require.Equal(t, "sample status 0x63", sample.Status.String())
	require.Equal(t, "finger not lifted", SampleNoUPTransition.String())
	require.Equal(t, "good", SampleGood.String())

	c := Client{Transport: hexAnswer(t, "00 a1 01 40")}
	fragment, err := c.GetLargeBlobs(ctx, 17, 3)
	require.NoError(t, err)
	require.Empty(t, fragment)
}

// sending returns what the call sends, to a key that takes everything.
func sending(t *testing.T, call func(c *Client) error) (cmd Command, params map[uint64]any) {
	t.Helper()
	c := &Client{Transport: transportFunc(func(b []byte) ([]byte, error) {
		cmd, params = Command(b[0]), nil
		return []byte{0}, ctapcbor.Unmarshal(b[1:], &params)
	})}
	require.NoError(t, call(c))
	return cmd, params
}

func TestPreviewsDifferInTheCommandOnly(t *testing.T) {
	t.Parallel()
	token, err := NewToken(PINProtocol2, make([]byte, 32))
	require.NoError(t, err)
	id := CredentialDescriptor{ID: []byte{7}, Type: PublicKeyType}
	deleting := func(preview bool) (Command, map[uint64]any) {
		return sending(t, func(c *Client) error {
			m := CredentialManagement{Client: c, Token: token, Preview: preview}
			return m.DeleteCredential(t.Context(), id)
		})
	}
	removing := func(preview bool) (Command, map[uint64]any) {
		return sending(t, func(c *Client) error {
			b := BioEnrollment{Client: c, Token: token, Preview: preview}
			return b.RemoveEnrollment(t.Context(), []byte{7})
		})
	}
	command, params := deleting(false)
	require.EqualValues(t, 0x0a, command)
	preview, previewParams := deleting(true)
	require.EqualValues(t, 0x41, preview)
	require.Equal(t, params, previewParams)
	command, params = removing(false)
	require.EqualValues(t, 0x09, command)
	preview, previewParams = removing(true)
	require.EqualValues(t, 0x40, preview)
	require.Equal(t, params, previewParams)
}

// Keys without a PIN take settings and large blobs from anybody.
func TestCommandsWithoutAToken(t *testing.T) {
	t.Parallel()
	cmd, params := sending(t, func(c *Client) error {
		return (&AuthenticatorConfig{Client: c}).VendorPrototype(t.Context(), 1<<40, map[uint64]any{1: "ours", 2: []byte{7}})
	})
	require.Equal(t, CommandConfig, cmd)
	require.Equal(t, map[uint64]any{
		1: uint64(0xff), 2: map[any]any{uint64(1): uint64(1 << 40), uint64(2): []byte{7}},
	}, params)
	cmd, params = sending(t, func(c *Client) error { return c.SetLargeBlobs(t.Context(), nil, 0, 3, []byte{7}) })
	require.Equal(t, CommandLargeBlobs, cmd)
	require.Equal(t, map[uint64]any{2: []byte{7}, 3: uint64(0), 4: uint64(3)}, params)
	_, params = sending(t, func(c *Client) error {
		return (&AuthenticatorConfig{Client: c}).SetMinPINLength(t.Context(), SetMinPINLengthParams{PINComplexityPolicy: true})
	})
	require.Equal(t, map[uint64]any{1: uint64(3), 2: map[any]any{uint64(4): true}}, params)
}

func TestEnrolmentTimeouts(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, -time.Second} {
		require.Nil(t, enrollParams(nil, timeout))
		require.Equal(t, &BioEnrollmentParams{TemplateID: []byte{7}}, enrollParams([]byte{7}, timeout))
	}
	require.Equal(t, &BioEnrollmentParams{TimeoutMilliseconds: 1500}, enrollParams(nil, 1500*time.Millisecond))
}

func TestNewTokenRefusesOddSizes(t *testing.T) {
	t.Parallel()
	for p, sizes := range map[PINProtocol][]int{PINProtocol1: {0, 15, 17, 80}, PINProtocol2: {0, 16, 31, 48}, 3: {32}} {
		for _, size := range sizes {
			_, err := NewToken(p, make([]byte, size))
			require.Error(t, err, "%d: %d", p, size)
		}
	}
	key := make([]byte, 16)
	token, err := NewToken(PINProtocol1, key)
	require.NoError(t, err)
	key[0] = 1
	require.Equal(t, make([]byte, 16), token.Secret())
}

func TestAtLeastCTAP21(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"U2F_V2": false, "FIDO_2_0": false, "FIDO_2_1_PRE": false, "FIDO_2_1": true, "FIDO_2_2": true, "FIDO_2_3": true,
	} {
		require.Equal(t, want, (&Info{Versions: []string{"FIDO_2_0", version}}).AtLeastCTAP21(), version)
	}
}

func TestManagementErrorsPass(t *testing.T) {
	t.Parallel()
	pulled := errors.New("pulled")
	c := &Client{Transport: transportFunc(func([]byte) ([]byte, error) { return nil, pulled })}
	for name, call := range managementCalls {
		require.ErrorIs(t, call(t.Context(), c), pulled, name)
	}
	m := CredentialManagement{Client: &Client{Transport: answers{byte(ErrNoCredentials)}}, Preview: true}
	_, err := m.EnumerateRPsBegin(t.Context())
	require.ErrorIs(t, err, ErrNoCredentials)
	require.EqualError(t, err, "ctap2: credentialManagement preview: no credentials")
}
