package ctap2

import "fmt"

// Status is the first byte of a response, and an error when it is not zero: [errors.Is] finds it through any
// wrapping. See CTAP 2.3, section 8.2.
type Status byte

// The status codes. Each is named after its code in the specification without "CTAP1_ERR_" or "CTAP2_ERR_".
const (
	ErrInvalidCommand         Status = 0x01 // INVALID_COMMAND
	ErrInvalidParameter       Status = 0x02 // INVALID_PARAMETER
	ErrInvalidLength          Status = 0x03 // INVALID_LENGTH
	ErrInvalidSeq             Status = 0x04 // INVALID_SEQ
	ErrTimeout                Status = 0x05 // TIMEOUT
	ErrChannelBusy            Status = 0x06 // CHANNEL_BUSY
	ErrLockRequired           Status = 0x0a // LOCK_REQUIRED
	ErrInvalidChannel         Status = 0x0b // INVALID_CHANNEL
	ErrCBORUnexpectedType     Status = 0x11 // CBOR_UNEXPECTED_TYPE
	ErrInvalidCBOR            Status = 0x12 // INVALID_CBOR
	ErrMissingParameter       Status = 0x14 // MISSING_PARAMETER
	ErrLimitExceeded          Status = 0x15 // LIMIT_EXCEEDED
	ErrUnsupportedExtension   Status = 0x16 // UNSUPPORTED_EXTENSION (CTAP 2.0)
	ErrFPDatabaseFull         Status = 0x17 // FP_DATABASE_FULL
	ErrLargeBlobStorageFull   Status = 0x18 // LARGE_BLOB_STORAGE_FULL
	ErrCredentialExcluded     Status = 0x19 // CREDENTIAL_EXCLUDED
	ErrProcessing             Status = 0x21 // PROCESSING
	ErrInvalidCredential      Status = 0x22 // INVALID_CREDENTIAL
	ErrUserActionPending      Status = 0x23 // USER_ACTION_PENDING
	ErrOperationPending       Status = 0x24 // OPERATION_PENDING
	ErrNoOperations           Status = 0x25 // NO_OPERATIONS
	ErrUnsupportedAlgorithm   Status = 0x26 // UNSUPPORTED_ALGORITHM
	ErrOperationDenied        Status = 0x27 // OPERATION_DENIED
	ErrKeyStoreFull           Status = 0x28 // KEY_STORE_FULL
	ErrNotBusy                Status = 0x29 // NOT_BUSY (CTAP 2.0)
	ErrNoOperationPending     Status = 0x2a // NO_OPERATION_PENDING (CTAP 2.0)
	ErrUnsupportedOption      Status = 0x2b // UNSUPPORTED_OPTION
	ErrInvalidOption          Status = 0x2c // INVALID_OPTION
	ErrKeepaliveCancel        Status = 0x2d // KEEPALIVE_CANCEL
	ErrNoCredentials          Status = 0x2e // NO_CREDENTIALS
	ErrUserActionTimeout      Status = 0x2f // USER_ACTION_TIMEOUT
	ErrNotAllowed             Status = 0x30 // NOT_ALLOWED
	ErrPINInvalid             Status = 0x31 // PIN_INVALID
	ErrPINBlocked             Status = 0x32 // PIN_BLOCKED
	ErrPINAuthInvalid         Status = 0x33 // PIN_AUTH_INVALID
	ErrPINAuthBlocked         Status = 0x34 // PIN_AUTH_BLOCKED
	ErrPINNotSet              Status = 0x35 // PIN_NOT_SET
	ErrPUATRequired           Status = 0x36 // PUAT_REQUIRED; CTAP 2.0: PIN_REQUIRED
	ErrPINPolicyViolation     Status = 0x37 // PIN_POLICY_VIOLATION
	ErrPINTokenExpired        Status = 0x38 // PIN_TOKEN_EXPIRED (CTAP 2.0)
	ErrRequestTooLarge        Status = 0x39 // REQUEST_TOO_LARGE
	ErrActionTimeout          Status = 0x3a // ACTION_TIMEOUT
	ErrUPRequired             Status = 0x3b // UP_REQUIRED
	ErrUVBlocked              Status = 0x3c // UV_BLOCKED
	ErrIntegrityFailure       Status = 0x3d // INTEGRITY_FAILURE
	ErrInvalidSubcommand      Status = 0x3e // INVALID_SUBCOMMAND
	ErrUVInvalid              Status = 0x3f // UV_INVALID
	ErrUnauthorizedPermission Status = 0x40 // UNAUTHORIZED_PERMISSION
	ErrOther                  Status = 0x7f // OTHER
)

var statusTexts = map[Status]string{
	0:                         "success",
	ErrInvalidCommand:         "invalid command",
	ErrInvalidParameter:       "invalid parameter",
	ErrInvalidLength:          "invalid length",
	ErrInvalidSeq:             "invalid sequence number",
	ErrTimeout:                "message timed out",
	ErrChannelBusy:            "channel busy",
	ErrLockRequired:           "lock required",
	ErrInvalidChannel:         "invalid channel",
	ErrCBORUnexpectedType:     "unexpected CBOR type",
	ErrInvalidCBOR:            "invalid CBOR",
	ErrMissingParameter:       "missing parameter",
	ErrLimitExceeded:          "limit exceeded",
	ErrUnsupportedExtension:   "unsupported extension",
	ErrFPDatabaseFull:         "fingerprint database full",
	ErrLargeBlobStorageFull:   "large-blob storage full",
	ErrCredentialExcluded:     "credential excluded",
	ErrProcessing:             "still processing",
	ErrInvalidCredential:      "invalid credential",
	ErrUserActionPending:      "user action pending",
	ErrOperationPending:       "operation pending",
	ErrNoOperations:           "no operations pending",
	ErrUnsupportedAlgorithm:   "unsupported algorithm",
	ErrOperationDenied:        "operation denied",
	ErrKeyStoreFull:           "key store full",
	ErrNotBusy:                "not busy",
	ErrNoOperationPending:     "no operation pending",
	ErrUnsupportedOption:      "unsupported option",
	ErrInvalidOption:          "invalid option",
	ErrKeepaliveCancel:        "cancelled",
	ErrNoCredentials:          "no credentials",
	ErrUserActionTimeout:      "user action timed out",
	ErrNotAllowed:             "not allowed",
	ErrPINInvalid:             "PIN invalid",
	ErrPINBlocked:             "PIN blocked",
	ErrPINAuthInvalid:         "PIN/UV authentication invalid",
	ErrPINAuthBlocked:         "PIN authentication blocked until power cycle",
	ErrPINNotSet:              "PIN not set",
	ErrPUATRequired:           "PIN or user verification required",
	ErrPINPolicyViolation:     "PIN policy violation",
	ErrPINTokenExpired:        "PIN token expired",
	ErrRequestTooLarge:        "request too large",
	ErrActionTimeout:          "action timed out",
	ErrUPRequired:             "user presence required",
	ErrUVBlocked:              "user verification blocked",
	ErrIntegrityFailure:       "integrity failure",
	ErrInvalidSubcommand:      "invalid subcommand",
	ErrUVInvalid:              "user verification failed",
	ErrUnauthorizedPermission: "unauthorized permission",
	ErrOther:                  "unspecified error",
}

// Error describes the status in a few words; an unknown one is named by its number.
func (s Status) Error() string {
	if text, ok := statusTexts[s]; ok {
		return text
	}
	return fmt.Sprintf("status 0x%02x", byte(s))
}
