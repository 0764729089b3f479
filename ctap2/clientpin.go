package ctap2

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
)

// The subcommands of authenticatorClientPIN (section 6.5.5).
const (
	SubcommandGetPINRetries              Subcommand = 0x01
	SubcommandGetKeyAgreement            Subcommand = 0x02
	SubcommandSetPIN                     Subcommand = 0x03
	SubcommandChangePIN                  Subcommand = 0x04
	SubcommandGetPINToken                Subcommand = 0x05
	SubcommandGetUVTokenWithPermissions  Subcommand = 0x06 // getPinUvAuthTokenUsingUvWithPermissions
	SubcommandGetUVRetries               Subcommand = 0x07
	SubcommandGetPINTokenWithPermissions Subcommand = 0x09 // getPinUvAuthTokenUsingPinWithPermissions
)

const (
	pinHashSize   = 16 // bytes
	paddedPINSize = 64
	maxPINSize    = 63
)

// Permission is a set of things that a pinUvAuthToken may be used for (section 6.5.5.7).
type Permission uint

// The permissions of a token.
const (
	PermissionMakeCredential       Permission = 0x01 // mc; wants an RP ID
	PermissionGetAssertion         Permission = 0x02 // ga; wants an RP ID
	PermissionCredentialManagement Permission = 0x04 // cm
	PermissionBioEnrollment        Permission = 0x08 // be
	PermissionLargeBlobWrite       Permission = 0x10 // lbw
	PermissionAuthenticatorConfig  Permission = 0x20 // acfg
	PermissionPersistentReadOnly   Permission = 0x40 // pcmr; stands alone
)

// ClientPINRequest holds the parameters of authenticatorClientPIN. The methods of [Client] fill it in.
type ClientPINRequest struct {
	PINUVAuthProtocol PINProtocol `cbor:"1,keyasint,omitempty"`
	Subcommand        Subcommand  `cbor:"2,keyasint"`
	KeyAgreement      *cose.Key   `cbor:"3,keyasint,omitempty"`
	PINUVAuthParam    []byte      `cbor:"4,keyasint,omitempty"`
	NewPINEnc         []byte      `cbor:"5,keyasint,omitempty"`
	PINHashEnc        []byte      `cbor:"6,keyasint,omitempty"`
	Permissions       Permission  `cbor:"9,keyasint,omitempty"`
	RPID              string      `cbor:"10,keyasint,omitempty"`
}

// ClientPINResponse holds the members of every answer to authenticatorClientPIN.
type ClientPINResponse struct {
	KeyAgreement    *cose.Key `cbor:"1,keyasint,omitempty"`
	PINUVAuthToken  []byte    `cbor:"2,keyasint,omitempty"` // encrypted
	PINRetries      *uint64   `cbor:"3,keyasint,omitempty"`
	PowerCycleState *bool     `cbor:"4,keyasint,omitempty"`
	UVRetries       *uint64   `cbor:"5,keyasint,omitempty"`
}

// ErrPINLength is wrapped when a PIN is too short or too long to be sent at all.
var ErrPINLength = errors.New("a PIN has 4 characters at least and 63 bytes at most")

func (c *Client) clientPIN(ctx context.Context, req *ClientPINRequest) (*ClientPINResponse, error) {
	resp := new(ClientPINResponse)
	if err := c.call(ctx, CommandClientPIN, req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// maxRetries is far above what any authenticator counts down from (8 by the specification).
const maxRetries = 255

// PINRetries returns how many wrong PINs may follow before the authenticator blocks, and whether it wants to be
// unplugged before it takes the next one (getPINRetries). It costs no retry.
func (c *Client) PINRetries(ctx context.Context, p PINProtocol) (retries int, powerCycle bool, err error) {
	resp, err := c.clientPIN(ctx, &ClientPINRequest{PINUVAuthProtocol: p, Subcommand: SubcommandGetPINRetries})
	if err != nil {
		return 0, false, err
	}
	if resp.PINRetries == nil || *resp.PINRetries > maxRetries {
		return 0, false, missing(CommandClientPIN, "pinRetries")
	}
	return int(*resp.PINRetries), resp.PowerCycleState != nil && *resp.PowerCycleState, nil
}

// UVRetries returns how many failed built-in user verifications may follow before the authenticator wants the PIN
// (getUVRetries).
func (c *Client) UVRetries(ctx context.Context, p PINProtocol) (int, error) {
	resp, err := c.clientPIN(ctx, &ClientPINRequest{PINUVAuthProtocol: p, Subcommand: SubcommandGetUVRetries})
	if err != nil {
		return 0, err
	}
	if resp.UVRetries == nil || *resp.UVRetries > maxRetries {
		return 0, missing(CommandClientPIN, "uvRetries")
	}
	return int(*resp.UVRetries), nil
}

// KeyAgreement makes a new key pair and agrees on a secret with the authenticator (getKeyAgreement). The secret holds
// until the authenticator is unplugged or sees a wrong PIN.
func (c *Client) KeyAgreement(ctx context.Context, p PINProtocol) (*SharedSecret, error) {
	resp, err := c.clientPIN(ctx, &ClientPINRequest{PINUVAuthProtocol: p, Subcommand: SubcommandGetKeyAgreement})
	if err != nil {
		return nil, err
	}
	if resp.KeyAgreement == nil {
		return nil, missing(CommandClientPIN, "keyAgreement")
	}
	peer, ok := resp.KeyAgreement.Public.(*ecdh.PublicKey)
	if !ok {
		return nil, missing(CommandClientPIN, "keyAgreement")
	}
	own, err := c.random().privateKey()
	if err != nil {
		return nil, err
	}
	s, err := NewSharedSecret(p, own, peer)
	if err != nil {
		return nil, err
	}
	s.readIV = c.random().readIV
	return s, nil
}

// SetPIN sets the first PIN (setPIN): UTF-8 in normalization form C, at most 63 bytes.
func (c *Client) SetPIN(ctx context.Context, s *SharedSecret, pin []byte) error {
	newPINEnc, err := encryptPIN(s, pin)
	if err != nil {
		return err
	}
	_, err = c.clientPIN(ctx, &ClientPINRequest{
		PINUVAuthProtocol: s.protocol,
		Subcommand:        SubcommandSetPIN,
		KeyAgreement:      s.PublicKey(),
		PINUVAuthParam:    s.Authenticate(newPINEnc),
		NewPINEnc:         newPINEnc,
	})
	return err
}

// ChangePIN replaces the PIN (changePIN). A wrong old PIN costs a retry, and the shared secret then holds no longer.
func (c *Client) ChangePIN(ctx context.Context, s *SharedSecret, oldPIN, newPIN []byte) error {
	pinHashEnc, err := encryptPINHash(s, oldPIN)
	if err != nil {
		return err
	}
	newPINEnc, err := encryptPIN(s, newPIN)
	if err != nil {
		return err
	}
	_, err = c.clientPIN(ctx, &ClientPINRequest{
		PINUVAuthProtocol: s.protocol,
		Subcommand:        SubcommandChangePIN,
		KeyAgreement:      s.PublicKey(),
		PINUVAuthParam:    s.Authenticate(append(newPINEnc[:len(newPINEnc):len(newPINEnc)], pinHashEnc...)),
		NewPINEnc:         newPINEnc,
		PINHashEnc:        pinHashEnc,
	})
	return err
}

// PINToken returns a token by the subcommand of CTAP 2.0 (getPinToken): it may be used for makeCredential and
// getAssertion, and on CTAP 2.0 authenticators for everything. A wrong PIN costs a retry, and the shared secret then
// holds no longer.
func (c *Client) PINToken(ctx context.Context, s *SharedSecret, pin []byte) (*Token, error) {
	return c.pinToken(ctx, s, pin, &ClientPINRequest{Subcommand: SubcommandGetPINToken})
}

// PINTokenWithPermissions returns a token for the given uses, bound to rpID unless that is empty
// (getPinUvAuthTokenUsingPinWithPermissions). A wrong PIN costs a retry, and the shared secret then holds no longer.
func (c *Client) PINTokenWithPermissions(
	ctx context.Context, s *SharedSecret, pin []byte, permissions Permission, rpID string,
) (*Token, error) {
	return c.pinToken(ctx, s, pin, &ClientPINRequest{
		Subcommand:  SubcommandGetPINTokenWithPermissions,
		Permissions: permissions,
		RPID:        rpID,
	})
}

func (c *Client) pinToken(ctx context.Context, s *SharedSecret, pin []byte, req *ClientPINRequest) (*Token, error) {
	pinHashEnc, err := encryptPINHash(s, pin)
	if err != nil {
		return nil, err
	}
	req.PINHashEnc = pinHashEnc
	return c.token(ctx, s, req)
}

// UVToken returns a token after the authenticator verified the user itself, by a fingerprint or its own PIN pad
// (getPinUvAuthTokenUsingUvWithPermissions). The authenticator waits for the user.
func (c *Client) UVToken(ctx context.Context, s *SharedSecret, permissions Permission, rpID string) (*Token, error) {
	return c.token(ctx, s, &ClientPINRequest{
		Subcommand:  SubcommandGetUVTokenWithPermissions,
		Permissions: permissions,
		RPID:        rpID,
	})
}

func (c *Client) token(ctx context.Context, s *SharedSecret, req *ClientPINRequest) (*Token, error) {
	req.PINUVAuthProtocol = s.protocol
	req.KeyAgreement = s.PublicKey()
	resp, err := c.clientPIN(ctx, req)
	if err != nil {
		return nil, err
	}
	key, err := s.Decrypt(resp.PINUVAuthToken)
	if err != nil || !validTokenSize(s.protocol, len(key)) {
		clear(key)
		return nil, missing(CommandClientPIN, "pinUvAuthToken")
	}
	return &Token{protocol: s.protocol, key: key}, nil
}

// validTokenSize knows that CTAP 2.0 authenticators make protocol 1 tokens of any multiple of 16 bytes.
func validTokenSize(p PINProtocol, n int) bool {
	if p == PINProtocol1 {
		return n > 0 && n <= 64
	}
	return n == 32
}

// Token is a pinUvAuthToken: it authorizes commands until the authenticator takes it back.
type Token struct {
	protocol PINProtocol
	key      []byte
}

// NewToken returns the token that [Token.Secret] took out of another: 32 bytes, with protocol 1 any multiple of 16 up
// to 64. It keeps nothing of key.
func NewToken(p PINProtocol, key []byte) (*Token, error) {
	if p != PINProtocol1 && p != PINProtocol2 || len(key)%aes.BlockSize != 0 || !validTokenSize(p, len(key)) {
		return nil, fmt.Errorf("ctap2: no token of PIN/UV auth protocol %d has %d bytes", p, len(key))
	}
	return &Token{protocol: p, key: bytes.Clone(key)}, nil
}

// Secret returns a copy of the token itself, for those who keep a persistent one (PermissionPersistentReadOnly).
// Whoever has it can use it.
func (t *Token) Secret() []byte { return bytes.Clone(t.key) }

// Protocol returns the PIN/UV auth protocol of the token, which goes into the same request as its MAC.
func (t *Token) Protocol() PINProtocol { return t.protocol }

// Authenticate returns the pinUvAuthParam over message, which is the client data hash for makeCredential and
// getAssertion.
func (t *Token) Authenticate(message []byte) []byte { return t.protocol.Authenticate(t.key, message) }

// param returns the pinUvAuthParam over message and its protocol. Without a token, for authenticators that protect
// nothing yet, there is none.
func (t *Token) param(message []byte) ([]byte, PINProtocol) {
	if t == nil {
		return nil, 0
	}
	return t.Authenticate(message), t.protocol
}

// Clear overwrites the token, which is of no use afterwards.
func (t *Token) Clear() { clear(t.key) }

// Format implements [fmt.Formatter]. It never prints the token itself, whatever the verb.
func (t *Token) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "<token of PIN/UV auth protocol %d>", t.protocol)
}

// encryptPIN pads a new PIN with zeroes to 64 bytes and encrypts it.
func encryptPIN(s *SharedSecret, pin []byte) ([]byte, error) {
	if len(pin) < defaultMinPINLength || len(pin) > maxPINSize {
		return nil, fmt.Errorf("ctap2: %w", ErrPINLength)
	}
	var padded [paddedPINSize]byte
	defer clear(padded[:])
	copy(padded[:], pin)
	return s.Encrypt(padded[:])
}

// encryptPINHash encrypts LEFT(SHA-256(pin), 16).
func encryptPINHash(s *SharedSecret, pin []byte) ([]byte, error) {
	if len(pin) == 0 || len(pin) > maxPINSize {
		return nil, fmt.Errorf("ctap2: %w", ErrPINLength)
	}
	hash := sha256.Sum256(pin)
	defer clear(hash[:])
	return s.Encrypt(hash[:pinHashSize])
}
