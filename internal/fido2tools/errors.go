package fido2tools

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// code is an error of libfido2: a status of CTAP, or a negative number for what went wrong on the way.
type code int

const (
	codeTX               code = -1
	codeRX               code = -2
	codeRXInvalidCBOR    code = -4
	codeInvalidParam     code = -5
	codeInvalidSig       code = -6
	codeInvalidArgument  code = -7
	codePresenceRequired code = -8
	codeInternal         code = -9
	codeNotFound         code = -10
	codeCompress         code = -11
)

// Error returns the name of the constant, which scripts look for.
func (c code) Error() string {
	if name, ok := codeNames[c]; ok {
		return "FIDO_ERR_" + name
	}
	return "FIDO_ERR_UNKNOWN"
}

var codeNames = map[code]string{
	0x00: "SUCCESS", 0x01: "INVALID_COMMAND", 0x02: "INVALID_PARAMETER", 0x03: "INVALID_LENGTH", 0x04: "INVALID_SEQ",
	0x05: "TIMEOUT", 0x06: "CHANNEL_BUSY", 0x0a: "LOCK_REQUIRED", 0x0b: "INVALID_CHANNEL",
	0x11: "CBOR_UNEXPECTED_TYPE", 0x12: "INVALID_CBOR", 0x14: "MISSING_PARAMETER", 0x15: "LIMIT_EXCEEDED",
	0x16: "UNSUPPORTED_EXTENSION", 0x17: "FP_DATABASE_FULL", 0x18: "LARGEBLOB_STORAGE_FULL",
	0x19: "CREDENTIAL_EXCLUDED", 0x21: "PROCESSING", 0x22: "INVALID_CREDENTIAL", 0x23: "USER_ACTION_PENDING",
	0x24: "OPERATION_PENDING", 0x25: "NO_OPERATIONS", 0x26: "UNSUPPORTED_ALGORITHM", 0x27: "OPERATION_DENIED",
	0x28: "KEY_STORE_FULL", 0x29: "NOT_BUSY", 0x2a: "NO_OPERATION_PENDING", 0x2b: "UNSUPPORTED_OPTION",
	0x2c: "INVALID_OPTION", 0x2d: "KEEPALIVE_CANCEL", 0x2e: "NO_CREDENTIALS", 0x2f: "USER_ACTION_TIMEOUT",
	0x30: "NOT_ALLOWED", 0x31: "PIN_INVALID", 0x32: "PIN_BLOCKED", 0x33: "PIN_AUTH_INVALID", 0x34: "PIN_AUTH_BLOCKED",
	0x35: "PIN_NOT_SET", 0x36: "PIN_REQUIRED", 0x37: "PIN_POLICY_VIOLATION", 0x38: "PIN_TOKEN_EXPIRED",
	0x39: "REQUEST_TOO_LARGE", 0x3a: "ACTION_TIMEOUT", 0x3b: "UP_REQUIRED", 0x3c: "UV_BLOCKED", 0x3f: "UV_INVALID",
	0x40: "UNAUTHORIZED_PERM", 0x7f: "ERR_OTHER", 0xdf: "SPEC_LAST",

	-1: "TX", -2: "RX", -3: "RX_NOT_CBOR", -4: "RX_INVALID_CBOR", -5: "INVALID_PARAM", -6: "INVALID_SIG",
	-7: "INVALID_ARGUMENT", -8: "USER_PRESENCE_REQUIRED", -9: "INTERNAL", -10: "NOTFOUND", -11: "COMPRESS",
}

// codeOf returns what libfido2 would have called an error that came from the key or on the way to it.
func codeOf(err error) code {
	var own code
	var status ctap2.Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		return own
	case errors.As(err, &status):
		return code(status)
	case errors.Is(err, ctap2.ErrPINLength):
		return code(ctap2.ErrPINInvalid) // libfido2 sends it and loses a retry
	case errors.Is(err, ctap2.ErrInvalidResponse):
		return codeRXInvalidCBOR
	case errors.Is(err, ctaphid.ErrTooLong):
		return codeTX
	}
	return codeRX
}

// failed says which function of libfido2 would have failed, and how. An interrupted one has its own words.
func (t *tool) failed(function string, err error) error {
	switch {
	case err == nil:
		return nil
	case t.ctx.Err() != nil:
		return context.Cause(t.ctx)
	}
	return fmt.Errorf("%s: %w", function, codeOf(err))
}

// failedWithNumber is failed with the number of the error behind its name.
func (t *tool) failedWithNumber(function string, err error) error {
	if err = t.failed(function, err); err == nil || t.ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w (0x%x)", err, uint32(codeOf(err)))
}
