package authenticator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/webauthn"
)

func TestAdviceOn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		name   string
		status int
	}{
		{fs.ErrPermission, "NotAllowedError", 4},
		{hid.ErrRemoved, "NotAllowedError", 3},
		{context.Canceled, "AbortError", 6},
		{context.DeadlineExceeded, "NotAllowedError", 5},
		{ctap2.ErrOperationDenied, "NotAllowedError", 6},
		{ctap2.ErrCredentialExcluded, "InvalidStateError", 10},
		{ctap2.ErrNoCredentials, "NotAllowedError", 10},
		{ErrPINRequired, "NotAllowedError", 7},
		{&PINError{Status: ctap2.ErrPINInvalid, Retries: 5}, "NotAllowedError", 8},
		{&PINError{Status: ctap2.ErrPINAuthBlocked, Retries: 5, PowerCycle: true}, "NotAllowedError", 9},
		{&PINError{Status: ctap2.ErrPINBlocked}, "NotAllowedError", 9},
		{ErrUVNotConfigured, "ConstraintError", 7},
		{fmt.Errorf("%w: resident keys", ErrUnsupported), "ConstraintError", 11},
		{fmt.Errorf("%w: %w", ErrUnsupported, ctap2.ErrUnsupportedAlgorithm), "NotSupportedError", 11},
		{webauthn.ErrSecurity, "SecurityError", 2},
		{fmt.Errorf("%w: %w", ErrInvalidOptions, errors.ErrUnsupported), "NotSupportedError", 2},
		{ErrInvalidOptions, "TypeError", 2},
		{ErrInvalidResponse, "UnknownError", 1},
		{errors.New("strange"), "UnknownError", 1},
	} {
		advice := AdviceOn(fmt.Errorf("deep inside: %w", tc.err))
		require.Equal(t, tc.name, advice.DOMException, tc.err)
		require.Equal(t, tc.status, advice.ExitStatus, tc.err)
	}
}

func TestThereIsAdviceOnEveryKind(t *testing.T) {
	t.Parallel()
	require.Len(t, kindAdvice, len(kindNames))
	for kind, advice := range kindAdvice {
		require.NotEmpty(t, advice.DOMException, Kind(kind))
		require.NotZero(t, advice.ExitStatus, Kind(kind))
		require.NotEmpty(t, advice.Hint, Kind(kind))
	}
}
