package virtual

import (
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

const tokenSize = 32

// Limits of a token's use, section 6.5.2.1.
const (
	tokenFirstUse = 30 * time.Second // the platform must have used it by then
	tokenPresence = 30 * time.Second // so long a touch that came with it counts
	tokenLifetime = 10 * time.Minute
)

// token is the pinUvAuthToken in use. There is one at a time: a new one ends the old one's life, whatever its
// protocol.
type token struct {
	protocol    ctap2.PINProtocol
	key         [tokenSize]byte
	permissions ctap2.Permission
	rpID        string // "" until it is bound to a relying party
	present     bool   // the user touched the key for it
	verified    bool
	issued      time.Time
	used        bool
}

// defaultPermissions are those of getPinToken, section 6.5.5.7.1.
const defaultPermissions = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion

func (a *Authenticator) issueToken(req *ctap2.ClientPINRequest, permissions ctap2.Permission, present bool) *token {
	a.volatile.token = &token{
		protocol:    req.PINUVAuthProtocol,
		key:         a.entropy.token(),
		permissions: permissions,
		rpID:        req.RPID,
		present:     present,
		verified:    true,
		issued:      time.Now(),
	}
	return a.volatile.token
}

func (t *token) isExpired() bool {
	age := time.Since(t.issued)
	return age >= tokenLifetime || !t.used && age >= tokenFirstUse
}

// useToken checks a pinUvAuthParam (section 6.1.2 step 11.1, section 6.2.2 step 6.1) and binds the token to the
// relying party if it was not.
func (a *Authenticator) useToken(auth *authorization) (evidence, error) {
	t := a.volatile.token
	if t == nil || t.isExpired() || t.protocol != auth.protocol ||
		!t.protocol.Verify(t.key[:], auth.clientDataHash, auth.param) ||
		t.permissions&auth.permission == 0 ||
		t.rpID != "" && t.rpID != auth.rpID ||
		!t.verified {
		return evidence{}, ctap2.ErrPINAuthInvalid
	}
	t.rpID = auth.rpID
	t.used = true
	return evidence{verified: true, present: t.present && time.Since(t.issued) < tokenPresence}, nil
}

// spendToken takes from the token what one touch is good for: section 6.1.2, step 14.
func (a *Authenticator) spendToken() {
	if t := a.volatile.token; t != nil {
		t.present, t.verified = false, false
		t.permissions &= ctap2.PermissionLargeBlobWrite
	}
}
