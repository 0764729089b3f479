package virtual

import (
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Sizes of tokens. Those of CTAP 2.0 may be any multiple of 16 bytes, and platforms have to take them.
const (
	tokenSize   = 32
	tokenSize20 = 16
)

// Limits of a token's use, section 6.5.2.1.
const (
	tokenFirstUse = 30 * time.Second // the platform must have used it by then
	tokenPresence = 30 * time.Second // so long a touch that came with it counts
	tokenLifetime = 10 * time.Minute
)

// token is a pinUvAuthToken. There is one in use at a time, besides the persistent one: a new one ends the old one's
// life, whatever its protocol. Before CTAP 2.1 it is good for everything, as long as the power lasts.
type token struct {
	protocol    ctap2.PINProtocol // 0 for the persistent one, which is good for both
	key         []byte
	permissions ctap2.Permission
	rpID        string // "" until it is bound to a relying party
	present     bool   // the user touched the key for it
	verified    bool
	issued      time.Time
	used        bool
	endless     bool
}

const (
	// defaultPermissions are those of getPinToken, section 6.5.5.7.1.
	defaultPermissions = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion

	allPermissions = ^ctap2.Permission(0) &^ ctap2.PermissionPersistentReadOnly
)

// issueToken makes a token for what the user was verified for.
func (a *Authenticator) issueToken(p ctap2.PINProtocol, permissions ctap2.Permission, rpID string, present bool) *token {
	switch {
	case a.config.Version < CTAP21:
		return a.issueToken20(p)
	case permissions == ctap2.PermissionPersistentReadOnly:
		return a.persistentToken()
	}
	t := &token{
		protocol:    p,
		key:         make([]byte, tokenSize),
		permissions: permissions,
		rpID:        rpID,
		present:     present,
		verified:    true,
		issued:      time.Now(),
	}
	a.entropy.read(t.key)
	a.volatile.token = t
	return t
}

// issueToken20 returns the one token that the key has until it loses its power.
func (a *Authenticator) issueToken20(p ctap2.PINProtocol) *token {
	if t := a.volatile.token; t != nil && t.protocol == p {
		return t
	}
	t := &token{protocol: p, key: make([]byte, tokenSize20), permissions: allPermissions, verified: true, endless: true}
	if p != ctap2.PINProtocol1 {
		t.key = make([]byte, tokenSize)
	}
	a.entropy.read(t.key)
	a.volatile.token = t
	return t
}

// persistentToken is the persistentPinUvAuthToken, which only a new PIN or a reset replaces.
func (a *Authenticator) persistentToken() *token {
	return &token{
		key:         a.state.persistentToken(),
		permissions: ctap2.PermissionPersistentReadOnly,
		verified:    true,
		endless:     true,
	}
}

func (t *token) isExpired() bool {
	if t.endless {
		return false
	}
	age := time.Since(t.issued)
	return age >= tokenLifetime || !t.used && age >= tokenFirstUse
}

// claim is a pinUvAuthParam with what it is to prove.
type claim struct {
	protocol   ctap2.PINProtocol
	param      []byte           // nil for none
	message    []byte           // whose MAC param is
	permission ctap2.Permission // one of these is enough
}

// require is for commands that work with a token only. It returns the one that the claim is made with, whose relying
// party the caller has to check.
func (a *Authenticator) require(c claim) (*token, error) {
	if c.param == nil {
		return nil, ctap2.ErrPUATRequired
	}
	if err := a.checkProtocol(c.protocol); err != nil {
		return nil, err
	}
	return a.redeem(c)
}

// redeem returns the token that the claim is made with.
func (a *Authenticator) redeem(c claim) (*token, error) {
	tokens := []*token{a.volatile.token}
	if a.has(optionPerCredMgmtRO) && c.permission&ctap2.PermissionPersistentReadOnly != 0 {
		tokens = append(tokens, a.persistentToken())
	}
	for _, t := range tokens {
		if t != nil && t.proves(c) {
			t.used = true
			return t, nil
		}
	}
	return nil, ctap2.ErrPINAuthInvalid
}

func (t *token) proves(c claim) bool {
	return !t.isExpired() && (t.protocol == c.protocol || t.protocol == 0) &&
		c.protocol.Verify(t.key, c.message, c.param) && t.permissions&c.permission != 0
}

// useToken checks the pinUvAuthParam of makeCredential or getAssertion (section 6.1.2 step 11.1, section 6.2.2 step
// 6.1) and binds the token to the relying party if it was not.
func (a *Authenticator) useToken(auth *authorization) (evidence, error) {
	t, err := a.redeem(claim{auth.protocol, auth.param, auth.clientDataHash, auth.permission})
	if err != nil {
		return evidence{}, err
	}
	if !t.verified || t.rpID != "" && t.rpID != auth.rpID {
		return evidence{}, ctap2.ErrPINAuthInvalid
	}
	if !t.endless {
		t.rpID = auth.rpID
	}
	return evidence{verified: true, present: t.present && time.Since(t.issued) < tokenPresence}, nil
}

// spendToken takes from the token what one touch is good for: section 6.1.2, step 14.
func (a *Authenticator) spendToken() {
	if t := a.volatile.token; t != nil && !t.endless {
		t.present, t.verified = false, false
		t.permissions &= ctap2.PermissionLargeBlobWrite
	}
}
