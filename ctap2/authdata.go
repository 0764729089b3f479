package ctap2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// AuthenticatorData is what an authenticator says about itself and a credential, and signs: WebAuthn Level 3 section
// 6.1. Signatures cover bytes, so keep the encoded form beside it.
type AuthenticatorData struct {
	RPIDHash   [32]byte // SHA-256 of the RP ID
	Flags      Flags
	SignCount  uint32
	Credential *AttestedCredential // nil unless FlagAT
	Extensions ctapcbor.RawMessage // the outputs, one CBOR map with text keys; nil unless FlagED
}

// AttestedCredential is the new credential in the authenticator data of a registration, WebAuthn Level 3 section
// 6.5.1.
type AttestedCredential struct {
	AAGUID       AAGUID
	ID           []byte    // 1 to 1023 bytes
	PublicKey    *cose.Key // nil when package cose does not know its algorithm
	RawPublicKey []byte    // the COSE_Key as it was encoded
}

// maxCredentialID is the longest credential ID that WebAuthn allows, Level 3 section 4.
const maxCredentialID = 1023

// Flags are the bits of authenticator data. Bits 1 and 5 are reserved.
type Flags byte

const (
	FlagUP Flags = 0x01 // user present
	FlagUV Flags = 0x04 // user verified
	FlagBE Flags = 0x08 // backup eligible: the credential may be copied to other devices
	FlagBS Flags = 0x10 // backup state: it has been
	FlagAT Flags = 0x40 // attested credential data is included
	FlagED Flags = 0x80 // extension outputs are included
)

var flagNames = [8]string{"UP", "RFU1", "UV", "BE", "BS", "RFU2", "AT", "ED"}

// Has reports whether all bits of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// String returns the names of the set bits, as in "UP|UV|AT", or "0".
func (f Flags) String() string {
	var names []string
	for bit, name := range flagNames {
		if f.Has(1 << bit) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "0"
	}
	return strings.Join(names, "|")
}

// ParseAuthenticatorData decodes b, which must hold authenticator data and nothing else: the flags must say what is
// there, the credential ID has 1 to 1023 bytes, and the extension outputs are a CBOR map. A public key of an
// algorithm that package cose does not know is no error; see [AttestedCredential]. The result keeps nothing of b.
//
// It does not judge: whose RP ID it is and whether the user was there is for the caller to check.
func ParseAuthenticatorData(b []byte) (*AuthenticatorData, error) {
	d, err := parseAuthData(b)
	if err != nil {
		return nil, fmt.Errorf("ctap2: authenticator data: %w", err)
	}
	return d, nil
}

func parseAuthData(b []byte) (*AuthenticatorData, error) {
	d := new(AuthenticatorData)
	const headerSize = len(d.RPIDHash) + 1 + 4
	if len(b) < headerSize {
		return nil, errTruncated
	}
	copy(d.RPIDHash[:], b)
	d.Flags = Flags(b[32])
	d.SignCount = binary.BigEndian.Uint32(b[33:])

	rest, err := b[headerSize:], error(nil)
	if d.Flags.Has(FlagAT) {
		if d.Credential, rest, err = parseAttestedCredential(rest); err != nil {
			return nil, err
		}
	}
	if d.Flags.Has(FlagED) {
		d.Extensions, rest = bytes.Clone(rest), nil
		if err = checkExtensions(d.Extensions); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes too many for the flags %v", len(rest), d.Flags)
	}
	return d, nil
}

var errTruncated = errors.New("truncated")

func parseAttestedCredential(b []byte) (c *AttestedCredential, rest []byte, err error) {
	c = new(AttestedCredential)
	const headerSize = len(c.AAGUID) + 2
	if len(b) < headerSize {
		return nil, nil, errTruncated
	}
	copy(c.AAGUID[:], b)
	size := int(binary.BigEndian.Uint16(b[len(c.AAGUID):]))
	if err := checkIDSize(size); err != nil {
		return nil, nil, err
	}
	if b = b[headerSize:]; len(b) < size {
		return nil, nil, errTruncated
	}
	c.ID = bytes.Clone(b[:size])
	rest, err = c.parsePublicKey(b[size:])
	if err != nil {
		return nil, nil, err
	}
	return c, rest, nil
}

// parsePublicKey sets both forms of the public key that b begins with.
func (c *AttestedCredential) parsePublicKey(b []byte) (rest []byte, err error) {
	var raw ctapcbor.RawMessage
	rest, err = ctapcbor.UnmarshalFirst(b, &raw)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	c.RawPublicKey = raw
	c.PublicKey, err = cose.ParseKey(raw)
	if err != nil && !errors.Is(err, cose.ErrUnsupportedAlgorithm) {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return rest, nil
}

func checkIDSize(n int) error {
	if n < 1 || n > maxCredentialID {
		return fmt.Errorf("credential ID of %d bytes, want 1 to %d", n, maxCredentialID)
	}
	return nil
}

// checkExtensions checks that b is one map with different text keys. The decoder alone would take null for one.
func checkExtensions(b []byte) error {
	const majorMap = 5
	if len(b) == 0 || b[0]>>5 != majorMap {
		return errors.New("extension outputs are not a map")
	}
	var outputs map[string]ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(b, &outputs); err != nil {
		return fmt.Errorf("extension outputs: %w", err)
	}
	return nil
}

// Marshal returns the encoded form, for what [ParseAuthenticatorData] returned the same bytes again. The flags must
// fit what is set. RawPublicKey is taken as it is; where it is empty, PublicKey is encoded.
func (d *AuthenticatorData) Marshal() ([]byte, error) {
	b, err := d.marshal()
	if err != nil {
		return nil, fmt.Errorf("ctap2: authenticator data: %w", err)
	}
	return b, nil
}

func (d *AuthenticatorData) marshal() ([]byte, error) {
	if d.Flags.Has(FlagAT) != (d.Credential != nil) || d.Flags.Has(FlagED) != (d.Extensions != nil) {
		return nil, fmt.Errorf("the flags %v do not fit what is set", d.Flags)
	}
	b := append(d.RPIDHash[:len(d.RPIDHash):len(d.RPIDHash)], byte(d.Flags))
	b = binary.BigEndian.AppendUint32(b, d.SignCount)
	if d.Credential != nil {
		var err error
		if b, err = d.Credential.appendTo(b); err != nil {
			return nil, err
		}
	}
	if d.Extensions != nil {
		if err := checkExtensions(d.Extensions); err != nil {
			return nil, err
		}
	}
	return append(b, d.Extensions...), nil
}

func (c *AttestedCredential) appendTo(b []byte) ([]byte, error) {
	if err := checkIDSize(len(c.ID)); err != nil {
		return nil, err
	}
	key, err := c.encodedKey()
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	b = append(b, c.AAGUID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.ID)))
	b = append(b, c.ID...)
	return append(b, key...), nil
}

func (c *AttestedCredential) encodedKey() ([]byte, error) {
	if len(c.RawPublicKey) > 0 {
		return c.RawPublicKey, nil
	}
	if c.PublicKey == nil {
		return nil, errors.New("missing")
	}
	return c.PublicKey.MarshalCBOR()
}

// AAGUID names the make and model of an authenticator. All zeros mean that it does not say.
type AAGUID [16]byte

// String returns the form of the FIDO Metadata Service, as in "cb69481e-8ff7-4039-93ec-0a2729a154a8".
func (a AAGUID) String() string {
	s := hex.EncodeToString(a[:])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// MarshalCBOR returns a as a byte string of 16 bytes.
func (a AAGUID) MarshalCBOR() ([]byte, error) { return ctapcbor.Marshal(a[:]) }

// UnmarshalCBOR sets a from a byte string of exactly 16 bytes. Without it the decoder would pad a short one and cut a
// long one.
func (a *AAGUID) UnmarshalCBOR(b []byte) error {
	var item any
	if err := ctapcbor.Unmarshal(b, &item); err != nil {
		return fmt.Errorf("ctap2: AAGUID: %w", err)
	}
	id, _ := item.([]byte)
	if len(id) != len(a) {
		return fmt.Errorf("ctap2: AAGUID is not a byte string of %d bytes", len(a))
	}
	copy(a[:], id)
	return nil
}
