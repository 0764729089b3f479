package ctap1

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Control says what [Client.Authenticate] asks for: U2F Raw Message Formats, section 5.1.
type Control byte

// The controls.
const (
	// EnforceUserPresence asks for a signature after a touch.
	EnforceUserPresence Control = 0x03 // enforce-user-presence-and-sign

	// CheckOnly asks whether the key handle is the key's: never a signature, and [ErrConditionsNotSatisfied] means
	// yes. [Client.Check] asks the same and understands the answers.
	CheckOnly Control = 0x07 // check-only

	// DontEnforceUserPresence asks for a signature without a touch. It is new in U2F 1.2, and not all keys know it.
	DontEnforceUserPresence Control = 0x08 // dont-enforce-user-presence-and-sign
)

// Assertion is the answer to [Client.Authenticate]: U2F Raw Message Formats, section 5.4.
type Assertion struct {
	UserPresent bool
	Counter     uint32
	Signature   []byte // DER, by the credential's key: of [Assertion.AuthenticatorData] and the challenge
}

// maxKeyHandle is the longest key handle that the one byte for its length can count.
const maxKeyHandle = 255

// Authenticate asks for a signature over the challenge by the key pair that a registration for the same application
// made. A key handle that is not the key's gives [ErrWrongData], or from some keys [ErrWrongLength], and one that
// does not have 1 to 255 bytes always the latter. The signature is not verified.
//
// With [EnforceUserPresence] it waits for a touch as [Client.Register] does, and the UserPresent of the answer is
// true. The other controls never wait.
func (c *Client) Authenticate(
	ctx context.Context, control Control, challenge, application [32]byte, keyHandle []byte,
) (*Assertion, error) {
	if !validKeyHandle(keyHandle) {
		return nil, fmt.Errorf("ctap1: authenticate: key handle of %d bytes: %w", len(keyHandle), ErrWrongLength)
	}
	a, err := c.assert(ctx, control, authenticateCommand(control, challenge, application, keyHandle))
	if err != nil {
		return nil, fmt.Errorf("ctap1: authenticate: %w", err)
	}
	return a, nil
}

func (c *Client) assert(ctx context.Context, control Control, cmd command) (*Assertion, error) {
	send := c.send
	if control == EnforceUserPresence {
		send = c.untilTouched
	}
	data, err := send(ctx, cmd)
	if err != nil {
		return nil, err
	}
	a, err := parseAssertion(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	if control == EnforceUserPresence && !a.UserPresent {
		return nil, fmt.Errorf("%w: signed without a touch", ErrInvalidResponse)
	}
	return a, nil
}

func validKeyHandle(keyHandle []byte) bool {
	return len(keyHandle) > 0 && len(keyHandle) <= maxKeyHandle
}

// Check reports whether keyHandle is one that the key made for the application. It neither waits nor wants a touch,
// and says no to what cannot be a key handle without asking.
func (c *Client) Check(ctx context.Context, application [32]byte, keyHandle []byte) (bool, error) {
	if !validKeyHandle(keyHandle) {
		return false, nil
	}
	var challenge [32]byte // nothing is signed
	_, err := c.send(ctx, authenticateCommand(CheckOnly, challenge, application, keyHandle))
	switch {
	case err == nil, errors.Is(err, ErrConditionsNotSatisfied): // a key that signed after all knows the handle, too
		return true, nil
	case errors.Is(err, ErrWrongData), errors.Is(err, ErrWrongLength):
		return false, nil
	}
	return false, fmt.Errorf("ctap1: check: %w", err)
}

// userPresent is the only bit that the first byte of an assertion may have. Others would be taken for flags of the
// authenticator data.
const userPresent = 0x01

// parseAssertion decodes b and keeps parts of it.
func parseAssertion(b []byte) (*Assertion, error) {
	const headerSize = 1 + 4
	if len(b) < headerSize {
		return nil, fmt.Errorf("only %d bytes", len(b))
	}
	if b[0]&^userPresent != 0 {
		return nil, fmt.Errorf("reserved bits in the user presence byte 0x%02x", b[0])
	}
	signature := b[headerSize:]
	if err := checkSignature(signature); err != nil {
		return nil, err
	}
	return &Assertion{b[0] == userPresent, binary.BigEndian.Uint32(b[1:]), signature}, nil
}

// AuthenticatorData returns the authenticator data of the assertion, as CTAP 2.3 section 10.3 makes it. The Signature
// covers its bytes, followed by the challenge.
func (a *Assertion) AuthenticatorData(application [32]byte) []byte {
	var flags byte
	if a.UserPresent {
		flags = userPresent
	}
	return binary.BigEndian.AppendUint32(slices.Concat(application[:], []byte{flags}), a.Counter)
}
