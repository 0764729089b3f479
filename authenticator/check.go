package authenticator

import (
	"crypto/sha256"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	hashSize  = sha256.Size
	maxUserID = 64
)

// expectation is what the authenticator data of an answer must say.
type expectation struct {
	rpIDHash [sha256.Size]byte
	flags    ctap2.Flags // at least these
}

// expected says what an answer for rpID must hold. A key without a button (option up is false) never sets UP.
func (a *Authenticator) expected(rpID string, touch bool, z authorization) expectation {
	want := expectation{rpIDHash: sha256.Sum256([]byte(rpID))}
	if up, _ := a.Info().Option("up"); touch && up {
		want.flags |= ctap2.FlagUP
	}
	if z.verified() {
		want.flags |= ctap2.FlagUV
	}
	return want
}

// check decodes authenticator data and holds it against the expectation.
func (e expectation) check(authData []byte) (*ctap2.AuthenticatorData, error) {
	data, err := ctap2.ParseAuthenticatorData(authData)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	if data.RPIDHash != e.rpIDHash {
		return nil, fmt.Errorf("%w: it is for another relying party", ErrInvalidResponse)
	}
	if !data.Flags.Has(e.flags) {
		return nil, fmt.Errorf("%w: flags %v instead of %v", ErrInvalidResponse, data.Flags, e.flags)
	}
	return data, nil
}
