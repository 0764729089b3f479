package main

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// The command ends with the statuses that the library tells to others.
func TestExitStatusesAreTheLibrarys(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fs.ErrPermission, fs.ErrNotExist, hid.ErrRemoved, hid.ErrBusy, context.Canceled, context.DeadlineExceeded,
		ctap2.ErrOperationDenied, ctap2.ErrCredentialExcluded, ctap2.ErrNoCredentials, ctap2.ErrKeyStoreFull,
		ctap2.ErrPINPolicyViolation, ctap2.ErrUVInvalid, authenticator.ErrPINRequired, authenticator.ErrUVNotConfigured,
		&authenticator.PINError{Status: ctap2.ErrPINInvalid, Retries: 5}, &authenticator.PINError{Status: ctap2.ErrPINBlocked},
		&authenticator.PINError{Status: ctap2.ErrPINAuthBlocked, Retries: 5, PowerCycle: true},
		authenticator.ErrUnsupported, authenticator.ErrInvalidOptions, authenticator.ErrInvalidResponse,
	} {
		err = fmt.Errorf("inside: %w", err)
		require.Equal(t, authenticator.AdviceOn(err).ExitStatus, adviceOn(err).status, err)
	}
}
