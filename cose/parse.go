package cose

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Labels of COSE_Key members. The negative ones mean something else for each key type.
const (
	labelKty = 1
	labelAlg = 3
	labelCrv = -1 // EC2, OKP
	labelX   = -2 // EC2, OKP
	labelY   = -3 // EC2
	labelN   = -1 // RSA
	labelE   = -2 // RSA
)

// ParseKey decodes b, which must hold one COSE_Key and nothing else. The key must have exactly the members that its type
// demands (with alg, and without kid, key_ops and Base IV), coordinates of the curve's full length (32, 48 or 66 bytes)
// and no compressed point; what else it checks is said at [NewKey]. The result keeps nothing of b.
//
// The error wraps [ErrUnsupportedAlgorithm] when b is a COSE_Key of an algorithm that this package does not know.
func ParseKey(b []byte) (*Key, error) {
	k, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return k, nil
}

// ParseFirstKey is [ParseKey] for a COSE_Key that other bytes follow, as in attested credential data. It returns them as a
// part of b.
func ParseFirstKey(b []byte) (k *Key, rest []byte, err error) {
	var first ctapcbor.RawMessage
	rest, err = ctapcbor.UnmarshalFirst(b, &first)
	if err != nil {
		return nil, nil, fmt.Errorf("cose: %w", err)
	}
	if k, err = ParseKey(first); err != nil {
		return nil, nil, err
	}
	return k, rest, nil
}

// UnmarshalCBOR is [ParseKey], so that a Key can be a member of a CBOR message.
func (k *Key) UnmarshalCBOR(b []byte) error {
	parsed, err := ParseKey(b)
	if err != nil {
		return err
	}
	*k = *parsed
	return nil
}

func parse(b []byte) (*Key, error) {
	m, err := decodeMembers(b)
	if err != nil {
		return nil, err
	}
	alg, err := m.integer(labelAlg)
	if err != nil {
		return nil, err
	}
	k := &Key{Algorithm: Algorithm(alg)}
	p, err := k.Algorithm.profile()
	if err != nil {
		return nil, err
	}
	if err := m.expect(labelKty, p.kty); err != nil {
		return nil, err
	}
	if err := m.public(k, p); err != nil {
		return nil, err
	}
	return k, k.validate()
}

// members are the encoded members of a COSE_Key by their labels.
type members map[int64]ctapcbor.RawMessage

// decodeMembers decodes into any-typed labels because a decoder that is asked for integers takes simple values for them.
func decodeMembers(b []byte) (members, error) {
	var labelled map[any]ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(b, &labelled); err != nil {
		return nil, err
	}
	m := make(members, len(labelled))
	for label, value := range labelled {
		switch n := label.(type) {
		case int64: // the negative ones
			m[n] = value
		case uint64:
			if n > math.MaxInt64 {
				return nil, fmt.Errorf("label %d is out of range", n) // 2^64-1 must not become -1
			}
			m[int64(n)] = value
		default:
			return nil, errors.New("a label is not an integer")
		}
	}
	return m, nil
}

// public sets k.Public from the members of the key type.
func (m members) public(k *Key, p profile) (err error) {
	switch {
	case p.kty == ktyRSA:
		k.Public, err = m.rsa()
	case p.kty == ktyOKP:
		k.Public, err = m.ed25519()
	case k.Algorithm == ECDHESHKDF256:
		k.Public, err = m.ecdh(p)
	default:
		k.Public, err = m.ecdsa(p)
	}
	return err
}

func (m members) ecdsa(p profile) (*ecdsa.PublicKey, error) {
	point, err := m.point(p)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseUncompressedPublicKey(p.curve, point)
}

func (m members) ecdh(p profile) (*ecdh.PublicKey, error) {
	point, err := m.point(p)
	if err != nil {
		return nil, err
	}
	return ecdh.P256().NewPublicKey(point)
}

// point returns the uncompressed SEC 1 form of an EC2 key.
func (m members) point(p profile) ([]byte, error) {
	if err := m.only(labelKty, labelAlg, labelCrv, labelX, labelY); err != nil {
		return nil, err
	}
	if err := m.expect(labelCrv, p.crv); err != nil {
		return nil, err
	}
	size := coordinateSize(p)
	x, err := m.bytesOfSize(labelX, size)
	if err != nil {
		return nil, err
	}
	y, err := m.bytesOfSize(labelY, size)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{4}, x...), y...), nil
}

func (m members) ed25519() (ed25519.PublicKey, error) {
	if err := m.only(labelKty, labelAlg, labelCrv, labelX); err != nil {
		return nil, err
	}
	if err := m.expect(labelCrv, crvEd25519); err != nil {
		return nil, err
	}
	return m.bytesOfSize(labelX, ed25519.PublicKeySize)
}

func (m members) rsa() (*rsa.PublicKey, error) {
	if err := m.only(labelKty, labelAlg, labelN, labelE); err != nil {
		return nil, err
	}
	n, err := m.bigEndian(labelN, maxModulusBits/8)
	if err != nil {
		return nil, err
	}
	e, err := m.bigEndian(labelE, 4)
	if err != nil {
		return nil, err
	}
	exponent := binary.BigEndian.Uint32(append(make([]byte, 4-len(e)), e...))
	// From 2^31 the exponent is negative where int has 32 bits; validate refuses it either way.
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

// only checks that the map has exactly these labels.
func (m members) only(labels ...int64) error {
	for _, label := range labels {
		if _, ok := m[label]; !ok {
			return fmt.Errorf("member %d is missing", label)
		}
	}
	if len(m) != len(labels) {
		return fmt.Errorf("%d members, want exactly %d", len(m), labels)
	}
	return nil
}

// CBOR major types, the upper three bits of an item's first byte.
const (
	majorUnsigned = 0
	majorNegative = 1
	majorBytes    = 2
)

// integer returns a member that must be an integer. It looks at the major type itself because the decoder also takes null
// and simple values for integers.
func (m members) integer(label int64) (int32, error) {
	raw, ok := m[label]
	if !ok {
		return 0, fmt.Errorf("member %d is missing", label)
	}
	if major := raw[0] >> 5; major != majorUnsigned && major != majorNegative {
		return 0, fmt.Errorf("member %d is not an integer", label)
	}
	var n int32
	if err := ctapcbor.Unmarshal(raw, &n); err != nil {
		return 0, fmt.Errorf("member %d: %w", label, err)
	}
	return n, nil
}

func (m members) expect(label int64, want int32) error {
	got, err := m.integer(label)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("member %d is %d, want %d", label, got, want)
	}
	return nil
}

// bytes returns a member that must be a byte string. The decoder would also take null and arrays of small integers.
func (m members) bytes(label int64) ([]byte, error) {
	raw := m[label] // only has seen that it is there
	if raw[0]>>5 != majorBytes {
		return nil, fmt.Errorf("member %d is not a byte string", label)
	}
	var b []byte
	if err := ctapcbor.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("member %d: %w", label, err)
	}
	return b, nil
}

func (m members) bytesOfSize(label int64, size int) ([]byte, error) {
	b, err := m.bytes(label)
	if err != nil {
		return nil, err
	}
	if len(b) != size {
		return nil, fmt.Errorf("member %d has %d bytes, want %d", label, len(b), size)
	}
	return b, nil
}

// bigEndian returns an unsigned number in as few bytes as it needs, RFC 8230 section 4, and at most limit.
func (m members) bigEndian(label int64, limit int) ([]byte, error) {
	b, err := m.bytes(label)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || len(b) > limit || b[0] == 0 {
		return nil, fmt.Errorf("member %d is not a number of 1 to %d bytes without leading zeros", label, limit)
	}
	return b, nil
}

func coordinateSize(p profile) int { return (p.curve.Params().BitSize + 7) / 8 }
