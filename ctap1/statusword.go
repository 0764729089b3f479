package ctap1

import "fmt"

// StatusWord ends a response, and is an error when it is not 0x9000: [errors.Is] finds it through any wrapping. See
// FIDO U2F Raw Message Formats, section 3.3.
type StatusWord uint16

// The status words that U2F gives a meaning. Keys also send others of ISO 7816-4.
const (
	// ErrConditionsNotSatisfied says that a touch is needed, or to [CheckOnly] that the key handle is the key's.
	ErrConditionsNotSatisfied  StatusWord = 0x6985 // SW_CONDITIONS_NOT_SATISFIED
	ErrWrongData               StatusWord = 0x6a80 // SW_WRONG_DATA: another key's, or another application's, key handle
	ErrWrongLength             StatusWord = 0x6700 // SW_WRONG_LENGTH; from some keys in the sense of ErrWrongData
	ErrClassNotSupported       StatusWord = 0x6e00 // SW_CLA_NOT_SUPPORTED
	ErrInstructionNotSupported StatusWord = 0x6d00 // SW_INS_NOT_SUPPORTED: no U2F, or it is turned off
)

// The status words that are no errors.
const (
	statusOK       StatusWord = 0x9000 // SW_NO_ERROR
	statusMoreData StatusWord = 0x61   // the high byte of 61xx: another piece of xx bytes waits
)

var statusTexts = map[StatusWord]string{
	statusOK:                   "success",
	ErrConditionsNotSatisfied:  "conditions of use not satisfied",
	ErrWrongData:               "wrong data",
	ErrWrongLength:             "wrong length",
	ErrClassNotSupported:       "class not supported",
	ErrInstructionNotSupported: "instruction not supported",
}

// Error describes the status word in a few words; an unknown one is named by its number.
func (s StatusWord) Error() string {
	if text, ok := statusTexts[s]; ok {
		return text
	}
	return fmt.Sprintf("status word 0x%04x", uint16(s))
}
