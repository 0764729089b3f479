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
	labelPub = -1 // AKP
)

var errRS1 = fmt.Errorf("%w RS1 outside of attestation statements", ErrUnsupportedAlgorithm)

// ParseKey decodes b, which must hold one COSE_Key and nothing else. The key must have exactly the members that its
// type demands (with alg, and without kid, key_ops and Base IV), coordinates of the curve's full length (32, 48 or 66
// bytes) and no compressed point; what else it checks is said at [NewKey]. The result keeps nothing of b.
//
// The error wraps [ErrUnsupportedAlgorithm] when b is a COSE_Key of an algorithm that this package does not know.
func ParseKey(b []byte) (*Key, error) {
	k, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("cose: %w", err)
	}
	return k, nil
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
	k := new(Key)
	if k.Algorithm, err = m.algorithm(); err != nil {
		return nil, err
	}
	p, err := k.Algorithm.profile()
	if err != nil {
		return nil, err
	}
	if k.Algorithm == RS1 {
		return nil, errRS1
	}
	if err := m.expect(labelKty, p.kty); err != nil {
		return nil, err
	}
	if err := m.public(k, p); err != nil {
		return nil, err
	}
	return k, k.validate()
}

// members are the members of a COSE_Key by their labels.
type members map[int64]any

// decodeMembers decodes into interfaces because a decoder that is asked for an integer also takes null and simple
// values, and for a byte string also null and arrays of small integers.
func decodeMembers(b []byte) (members, error) {
	var items map[any]any
	if err := ctapcbor.Unmarshal(b, &items); err != nil {
		return nil, err
	}
	m := make(members, len(items))
	for item, value := range items {
		label, ok := integer(item)
		if !ok {
			return nil, errors.New("a label is not an integer")
		}
		m[label] = value
	}
	return m, nil
}

// integer refuses what int64 cannot hold: 2^64-1 must not become -1.
func integer(item any) (n int64, ok bool) {
	switch n := item.(type) {
	case int64: // only the negative ones
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

// algorithm calls what does not fit an Algorithm on 32-bit platforms an unknown one everywhere.
func (m members) algorithm() (Algorithm, error) {
	n, ok := integer(m[labelAlg])
	if !ok {
		return 0, errors.New("no algorithm")
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%w COSE(%d)", ErrUnsupportedAlgorithm, n)
	}
	return Algorithm(n), nil
}

// public sets k.Public from the members of the key type.
func (m members) public(k *Key, p profile) (err error) {
	if p.kty == ktyRSA {
		k.Public, err = m.rsa()
		return err
	}
	b, err := m.encoded(p)
	if err != nil {
		return err
	}
	switch {
	case p.isExternal():
		k.Public, err = parseExternal(k.Algorithm, b)
	case p.kty == ktyOKP:
		k.Public = ed25519.PublicKey(b)
	case k.Algorithm == ECDHESHKDF256:
		k.Public, err = ecdh.P256().NewPublicKey(b)
	default:
		k.Public, err = ecdsa.ParseUncompressedPublicKey(p.curve, b)
	}
	return err
}

// encoded returns the standard encoding of a key that is not RSA.
func (m members) encoded(p profile) ([]byte, error) {
	switch p.kty {
	case ktyEC2:
		return m.point(p)
	case ktyOKP:
		if err := m.only(labelKty, labelAlg, labelCrv, labelX); err != nil {
			return nil, err
		}
		if err := m.expect(labelCrv, p.crv); err != nil {
			return nil, err
		}
		return m.bytesOfSize(labelX, p.size)
	default: // AKP
		if err := m.only(labelKty, labelAlg, labelPub); err != nil {
			return nil, err
		}
		return m.bytesOfSize(labelPub, p.size)
	}
}

// point returns the uncompressed SEC 1 form of an EC2 key.
func (m members) point(p profile) ([]byte, error) {
	if err := m.only(labelKty, labelAlg, labelCrv, labelX, labelY); err != nil {
		return nil, err
	}
	if err := m.expect(labelCrv, p.crv); err != nil {
		return nil, err
	}
	x, err := m.bytesOfSize(labelX, p.size)
	if err != nil {
		return nil, err
	}
	y, err := m.bytesOfSize(labelY, p.size)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{4}, x...), y...), nil
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

func (m members) expect(label, want int64) error {
	if n, ok := integer(m[label]); !ok || n != want {
		return fmt.Errorf("member %d is not %d", label, want)
	}
	return nil
}

func (m members) bytesOfSize(label int64, size int) ([]byte, error) {
	b, _ := m[label].([]byte)
	if len(b) != size {
		return nil, fmt.Errorf("member %d is not a byte string of %d bytes", label, size)
	}
	return b, nil
}

// bigEndian returns an unsigned number in as few bytes as it needs, RFC 8230 section 4, and at most limit.
func (m members) bigEndian(label int64, limit int) ([]byte, error) {
	b, _ := m[label].([]byte)
	if len(b) == 0 || len(b) > limit || b[0] == 0 {
		return nil, fmt.Errorf("member %d is not a number of 1 to %d bytes without leading zeros", label, limit)
	}
	return b, nil
}
