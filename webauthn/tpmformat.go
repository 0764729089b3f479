package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// Constants of the Trusted Platform Module Library 2.0, part 2, sections 6 and 7.
const (
	tpmGenerated   = 0xff544347 // TPM_GENERATED_VALUE
	tpmAttestation = 0x8017     // TPM_ST_ATTEST_CERTIFY

	tpmAlgRSA    = 0x0001
	tpmAlgSHA1   = 0x0004
	tpmAlgSHA256 = 0x000b
	tpmAlgSHA384 = 0x000c
	tpmAlgSHA512 = 0x000d
	tpmAlgNull   = 0x0010
	tpmAlgECDAA  = 0x001a
	tpmAlgECC    = 0x0023
)

var tpmHashes = map[uint16]crypto.Hash{
	tpmAlgSHA1:   crypto.SHA1,
	tpmAlgSHA256: crypto.SHA256,
	tpmAlgSHA384: crypto.SHA384,
	tpmAlgSHA512: crypto.SHA512,
}

var tpmCurves = map[uint16]elliptic.Curve{
	0x0003: elliptic.P256(),
	0x0004: elliptic.P384(),
	0x0005: elliptic.P521(),
}

// tpmCertifyInfo is what WebAuthn reads of a TPMS_ATTEST that certifies a key, part 2 section 10.12.12.
type tpmCertifyInfo struct {
	extraData []byte
	name      []byte // of the key
}

// parseTPMCertifyInfo skips what WebAuthn tells to ignore.
func parseTPMCertifyInfo(b []byte) (*tpmCertifyInfo, error) {
	r := tpmReader{rest: b}
	if magic := r.uint32(); magic != tpmGenerated {
		return nil, fmt.Errorf("magic %#x is not that of a TPM", magic)
	}
	if kind := r.uint16(); kind != tpmAttestation {
		return nil, fmt.Errorf("type %#x is not that of a certified key", kind)
	}
	info := new(tpmCertifyInfo)
	r.sized() // qualifiedSigner
	info.extraData = r.sized()
	r.take(8 + 4 + 4 + 1) // clockInfo
	r.take(8)             // firmwareVersion
	info.name = r.sized()
	r.sized() // qualifiedName
	return info, r.end()
}

// tpmPublic is what WebAuthn reads of a TPMT_PUBLIC, part 2 section 12.2.4.
type tpmPublic struct {
	name []byte // part 1, section 16
	key  crypto.PublicKey
}

func parseTPMPublic(b []byte) (*tpmPublic, error) {
	r := tpmReader{rest: b}
	kind := r.uint16()
	nameAlg := r.uint16()
	r.take(4) // objectAttributes
	r.sized() // authPolicy
	hash, ok := tpmHashes[nameAlg]
	if !ok {
		return nil, fmt.Errorf("name algorithm %#x is not known", nameAlg)
	}
	public := &tpmPublic{name: append(binary.BigEndian.AppendUint16(nil, nameAlg), digest(hash, b)...)}
	var err error
	switch kind {
	case tpmAlgRSA:
		public.key, err = r.rsa()
	case tpmAlgECC:
		public.key, err = r.ecc()
	default:
		err = fmt.Errorf("type %#x is neither RSA nor ECC", kind)
	}
	if err != nil {
		return nil, err
	}
	return public, r.end()
}

// A tpmReader reads the TPM's structures: big endian and without padding. Past the end of the data it reads zeros, and
// end returns an error.
type tpmReader struct {
	rest   []byte
	failed bool
}

func (r *tpmReader) take(n int) []byte {
	if len(r.rest) < n {
		r.failed, r.rest = true, nil
		return make([]byte, n) // n is at most 65535
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *tpmReader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *tpmReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// sized reads a TPM2B structure.
func (r *tpmReader) sized() []byte { return r.take(int(r.uint16())) }

func (r *tpmReader) end() error {
	switch {
	case r.failed:
		return errors.New("truncated")
	case len(r.rest) > 0:
		return fmt.Errorf("%d bytes too many", len(r.rest))
	}
	return nil
}

// scheme skips a scheme: an algorithm, and its hash unless it is none.
func (r *tpmReader) scheme() {
	switch r.uint16() {
	case tpmAlgNull:
	case tpmAlgECDAA:
		r.take(2 + 2) // hash and count
	default:
		r.take(2)
	}
}

// symmetric must find no cipher: only keys that decrypt have one, part 2 section 12.2.3.5.
func (r *tpmReader) symmetric() error {
	if alg := r.uint16(); alg != tpmAlgNull {
		return fmt.Errorf("a key with the cipher %#x does not sign", alg)
	}
	return nil
}

// rsa reads the parameters TPMS_RSA_PARMS and the modulus.
func (r *tpmReader) rsa() (*rsa.PublicKey, error) {
	if err := r.symmetric(); err != nil {
		return nil, err
	}
	r.scheme()
	bits := r.uint16()
	exponent := r.uint32()
	if exponent == 0 {
		exponent = 65537
	}
	n := new(big.Int).SetBytes(r.sized())
	if n.BitLen() != int(bits) || exponent > math.MaxInt32 {
		return nil, fmt.Errorf("RSA key of %d bits and exponent %d, by its parameters of %d", n.BitLen(), exponent, bits)
	}
	return &rsa.PublicKey{N: n, E: int(exponent)}, nil
}

// ecc reads the parameters TPMS_ECC_PARMS and the point.
func (r *tpmReader) ecc() (*ecdsa.PublicKey, error) {
	if err := r.symmetric(); err != nil {
		return nil, err
	}
	r.scheme()
	id := r.uint16()
	r.scheme() // kdf
	x, y := r.sized(), r.sized()
	curve, ok := tpmCurves[id]
	if !ok {
		return nil, fmt.Errorf("curve %#x is not known", id)
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		return nil, errors.New("a coordinate is too long")
	}
	point := make([]byte, 1+2*size) // a TPM may leave out zeros at the front
	point[0] = 4
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	return ecdsa.ParseUncompressedPublicKey(curve, point)
}
